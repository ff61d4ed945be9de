"""Checks of the files that the configuration names; run before any job starts."""

from collections.abc import Iterator
from pathlib import Path

from lamini.errors import LaminiError, SettingsError
from lamini.settings.teacher import InstructionTemplate
from lamini.user_files import files_of
from lamini.workflow.inputs import Inputs


def check_files(flow: Inputs) -> None:
    """Check that prompt templates, task definitions and custom rules exist and are valid.

    Raises:
        SettingsError: names every setting with a missing or invalid file, and the remedy.
    """
    missing = [path for path in flow.config.custom_rules if not Path(path).is_file()]
    problems = [
        *_wrong_templates(flow),
        *_wrong_tasks(flow),
        *(f"custom_rules: {path}: no such file" for path in missing),
    ]
    if problems:
        lines = dict.fromkeys(f"  {problem}" for problem in problems)
        raise SettingsError("\n".join(["the configuration is wrong:", *lines]))


def _wrong_templates(flow: Inputs) -> Iterator[str]:
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


def _wrong_tasks(flow: Inputs) -> Iterator[str]:
    for name in flow.config.evaluated_tasks:
        folder = flow.config.tasks[name].include_path
        if folder is None:
            continue
        files = [file for file in files_of(folder) if file.suffix == ".yaml"]
        if not Path(folder).is_dir():
            yield f"tasks.{name}.include_path: {folder}: no such folder"
        elif not any(name.encode() in file.read_bytes() for file in files):
            yield f"tasks.{name}.include_path: no .yaml file in {folder} has `task: {name}`"
