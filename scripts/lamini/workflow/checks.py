"""Checks of the files that the configuration names; run before any job starts.

The contents of the users' files are checked in `lamini.workflow.content_checks`.
"""

from collections.abc import Iterator
from pathlib import Path

from lamini.errors import LaminiError, SettingsError
from lamini.evaluation.metric_names import metric_names
from lamini.exports.families import refusal
from lamini.files import resolve_path
from lamini.settings.teacher import InstructionTemplate
from lamini.user_files import files_of, is_user_file
from lamini.workflow.content_checks import (
    wrong_rating_files,
    wrong_seed_files,
    wrong_studies,
)
from lamini.workflow.inputs import weights_of
from lamini.workflow.resources import Resources


def check_files(flow: Resources) -> list[str]:
    """Check that input files exist, and that they, tasks, studies and partitions are valid.

    Returns:
        What the run leaves out of the users' files.

    Raises:
        SettingsError: names every setting with a missing or invalid file, and the remedy.
    """
    missing = [path for path in flow.config.custom_rules if not Path(path).is_file()]
    wrong_seeds, left_out = wrong_seed_files(flow)
    problems = [
        *_missing_files(flow),
        *wrong_seeds,
        *wrong_studies(flow),
        *wrong_rating_files(flow),
        *_wrong_templates(flow),
        *_wrong_tasks(flow),
        *_wrong_partitions(flow),
        *_wrong_next_turns(flow),
        *_wrong_chat_templates(flow),
        *_wrong_exports(flow),
        *(f"custom_rules: {path}: no such file" for path in missing),
    ]
    if problems:
        lines = dict.fromkeys(f"  {problem}" for problem in problems)
        raise SettingsError("\n".join(["the configuration is wrong:", *lines]))
    return left_out


def _missing_files(flow: Resources) -> Iterator[str]:
    """User-provided inputs that do not exist; Snakemake would not name their setting."""
    config = flow.config
    named: dict[str, str | None] = {}
    if config.dataset == "published":
        named |= dict.fromkeys(["published.local.path"], next(iter(flow.published_files), None))
    else:
        for source in flow.active_sources:
            named[f"sources.{source}.seeds.local.path"] = next(iter(flow.seed_files(source)), None)
        if any(flow.topics(source) for source in flow.generated_sources):
            named["topics.dump"] = config.topics.dump
    named["answers.instructions"] = config.answers.instructions
    for name in flow.studies:
        named[f"human_evaluation.studies.{name}.exclude"] = flow.study(name).exclude
        named[f"human_evaluation.studies.{name}.questions"] = flow.study(name).questions
    for key, path in named.items():
        if path and is_user_file(path) and not Path(path).exists():
            yield f"{key}: {path}: no such file or folder"


def _wrong_templates(flow: Resources) -> Iterator[str]:
    for source in flow.generated_sources:
        prompt = flow.instruction_requests(source).prompt
        if prompt == InstructionTemplate():  # the paper's, checked by the tests
            continue
        from lamini.generation.prompt_template import PromptTemplate  # loads Jinja

        generation = flow.source(source).generation
        assert generation is not None
        own = f"sources.{source}.generation.requests"
        key = own if generation.requests else "teacher.instructions"
        try:
            template = PromptTemplate(prompt)
            template.check(generation.examples_per_request, generation.topics_per_request)
        except LaminiError as error:
            yield f"{key}.prompt: {error}"


def _wrong_next_turns(flow: Resources) -> Iterator[str]:
    """A wrong template of the next user turn, if a source has several turns."""
    if flow.config.dataset != "generated":
        return
    for source in flow.active_sources:
        if flow.source(source).turns == 1:
            continue
        from lamini.generation.turns import NextTurnTemplate  # loads Jinja

        path = flow.config.teacher.next_turns.template
        try:
            NextTurnTemplate(resolve_path(path).read_text(encoding="utf-8"), path)
        except OSError:
            yield f"teacher.next_turns.template: {path}: no such file"
        except LaminiError as error:
            yield f"teacher.next_turns.template: {error}"
        return


def _wrong_chat_templates(flow: Resources) -> Iterator[str]:
    models = [*flow.evaluated_models, *flow.sweep_students]
    for name in sorted({flow.config.models[model].tokenizer for model in models}):
        try:
            chat = flow.chat_template(name)
        except SettingsError as error:
            yield str(error)
            continue
        if chat is None or chat.template is not None:
            continue
        from lamini.workflow.model_files import lacks_template  # loads the hub's client

        location = flow.tokenizer_location(name)
        if lacks_template(location):
            yield (
                f"tokenizers.{name}: {location.path} has no chat template; set `chat.template` to a"
                " file with one, for example the chat_template.jinja of the family's instruct model"
            )


def _wrong_exports(flow: Resources) -> Iterator[str]:
    """Students of a type that can't be exported; a type that is not known yet is not refused."""
    for name in flow.exported_types:
        model = flow.config.models[name]
        reason = refusal(kind, model.architecture) if (kind := _model_type(flow, name)) else None
        if reason:
            yield f"exports.models: {name}: {reason}; leave it out"


def _model_type(flow: Resources, student: str) -> str | None:
    """transformers' type of a student, from its family, its definition or the hub."""
    if flow.config.models[student].family == "GPT-Neo":
        return "gpt_neo"
    initialization = flow.config.models[student].initialization
    assert initialization is not None
    build = weights_of(flow.config.models[initialization].weights).build
    if build is not None:
        return build.config.get("model_type")
    from lamini.workflow.model_files import model_type  # loads the hub's client

    return model_type(flow.model_location(initialization))


def _wrong_tasks(flow: Resources) -> Iterator[str]:
    for name in flow.config.evaluated_tasks:
        task = flow.config.tasks[name]
        folder = task.include_path
        if folder is not None:
            files = [file for file in files_of(folder) if file.suffix == ".yaml"]
            if not Path(folder).is_dir():
                yield f"tasks.{name}.include_path: {folder}: no such folder"
                continue
            if not any(name.encode() in file.read_bytes() for file in files):
                yield f"tasks.{name}.include_path: no .yaml file in {folder} has `task: {name}`"
                continue
        measured = metric_names(name, folder)
        for key, metrics in (("metric", [task.metric]), ("other_metrics", task.other_metrics)):
            for metric in metrics:
                if measured and metric.partition(",")[0] not in measured:
                    yield (
                        f"tasks.{name}.{key}: the task does not measure {metric}; it has"
                        f" {', '.join(sorted(measured))}"
                    )


def _wrong_partitions(flow: Resources) -> Iterator[str]:
    try:
        _ = flow.partition_gpus
    except SettingsError as error:
        yield str(error)
