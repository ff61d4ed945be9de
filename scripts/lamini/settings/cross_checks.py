"""Checks that compare several sections of the configuration; `Config` calls them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lamini.settings.base import did_you_mean
from lamini.settings.teacher import StageModel

if TYPE_CHECKING:
    from lamini.settings.root import Config


def problems(config: "Config") -> list[str]:
    """All errors, each as the key of the setting, what is wrong, and the remedy."""
    return [
        *_unknown_names(config),
        *_wrong_models(config),
        *_wrong_thinking(config),
        *_wrong_conversations(config),
        *_wrong_mixtures(config),
        *_wrong_studies(config),
        *_wrong_sweeps(config),
        *_wrong_exports(config),
        *_wrong_teachers(config),
    ]


def _unknown_names(config: "Config") -> list[str]:
    """Errors for references to names that are not defined."""
    uses: list[tuple[str, str, str]] = []

    def use(key: str, kind: str, names: str | Iterable[str] | None) -> None:
        listed = [names] if isinstance(names, str) else names or []
        uses.extend((key, kind, name) for name in listed)

    for name, mixture in config.mixtures.items():
        use(f"mixtures.{name}.sources", "sources", mixture.sources)
        if mixture.decontamination:
            base = mixture.decontamination.mixture
            use(f"mixtures.{name}.decontamination.mixture", "mixtures", base)
    for name, tokenizer in config.tokenizers.items():
        use(f"tokenizers.{name}.model", "models", tokenizer.model)
        if tokenizer.train:
            use(f"tokenizers.{name}.train.mixture", "mixtures", tokenizer.train.mixture)
    for name, model in config.models.items():
        use(f"models.{name}.tokenizer", "tokenizers", model.tokenizer)
        use(f"models.{name}.initialization", "models", model.initialization)
        use(f"models.{name}.recipe", "recipes", model.recipe)
        use(f"models.{name}.mixture", "mixtures", model.mixture)
    for name, sweep in config.sweeps.items():
        use(f"sweeps.{name}.students", "models", sweep.students)
        use(f"sweeps.{name}.mixtures", "mixtures", sweep.mixtures)
        use(f"sweeps.{name}.tasks", "tasks", sweep.tasks)
    use("students", "models", config.students)
    use("references", "models", config.references)
    use("evaluated_tasks", "tasks", config.evaluated_tasks)
    for name, tasks in config.evaluation.batches.items():
        use(f"evaluation.batches.{name}", "tasks", tasks)
    use("analysis.mixture", "mixtures", config.analysis.mixture)
    use("analysis.tokenizer", "tokenizers", config.analysis.tokenizer)
    for name in config.analysis.other_tokenizers:
        use("analysis.other_tokenizers", "tokenizers", name)
    for number, panel in enumerate(config.analysis.embeddings.panels):
        use(f"analysis.embeddings.panels.{number}", "sources", panel)
    for name, study in config.human_evaluation.studies.items():
        use(f"human_evaluation.studies.{name}.models", "models", study.models)
        use(f"human_evaluation.studies.{name}.mixture", "mixtures", study.mixture)
    use("exports.models", "models", config.exports.models)
    use("exports.task", "tasks", config.exports.task)
    use("report.selected", "models", config.report.selected)
    use("report.reference_lines", "models", config.report.reference_lines)
    use("report.acceptance", "models", config.report.acceptance)
    return [
        f"{key}: unknown {kind[:-1]} {name!r}{did_you_mean(name, getattr(config, kind))}"
        f" (defined under `{kind}`: {', '.join(sorted(getattr(config, kind)))}"
        f"{_HINTS.get(kind, '')})"
        for key, kind, name in uses
        if name not in getattr(config, kind)
    ]


_HINTS = {"tasks": "; any other task of lm-eval can be defined there (docs/own-herd.md)"}


def _wrong_teachers(config: "Config") -> list[str]:
    """Errors in the models of single sources and judges; `Teacher` checks those of its stages."""
    teacher, errors = config.teacher, list[str]()
    for name, source in config.sources.items():
        if source.generation and source.generation.requests:
            key = f"sources.{name}.generation.requests"
            errors += teacher.stage_problems(source.generation.requests, key)
    if any(study.judge for study in config.human_evaluation.studies.values()):
        errors += teacher.stage_problems(StageModel(), "teacher")
    return list(dict.fromkeys(errors))


def _wrong_studies(config: "Config") -> list[str]:
    """Errors in studies: more annotators than instructions."""
    errors = []
    for name, study in config.human_evaluation.studies.items():
        mixture = config.mixtures.get(study.mixture or config.analysed_mixture)
        instructions = study.instructions
        if study.kind == "dataset":
            instructions = study.samples_per_source * len(mixture.sources) if mixture else None
        if instructions is not None and study.annotators > instructions:
            errors.append(
                f"human_evaluation.studies.{name}.annotators: {study.annotators} are too many for"
                f" {instructions} instructions; each annotator needs at least one"
            )
    return errors


def _wrong_sweeps(config: "Config") -> list[str]:
    """Errors in sweeps: models that are not trained, tasks that are not evaluated."""
    errors = []
    for name, sweep in config.sweeps.items():
        errors += [
            f"sweeps.{name}.students: {student} has role reference, not student"
            for student in sweep.students
            if student in config.models and config.models[student].role == "reference"
        ]
        errors += [
            f"sweeps.{name}.students: the recipe of {student} has `samples` already; the sizes of a"
            " sweep take its place"
            for student, recipe in config.recipes_of(sweep.students).items()
            if recipe.samples is not None
        ]
        errors += [
            f"sweeps.{name}.tasks: {task} is not in `evaluated_tasks`"
            for task in sweep.tasks or []
            if task in config.tasks and task not in config.evaluated_tasks
        ]
        if config.checkpoints == "released":
            errors.append(f"sweeps.{name}: needs `checkpoints: trained`, as it trains students")
    return errors


def _wrong_exports(config: "Config") -> list[str]:
    """Errors in exports: models that are no students, or a task without accuracy."""
    exports = config.exports
    errors = [
        f"exports.models: {name} has role {config.models[name].role}, not student"
        for name in exports.models
        if name in config.models and config.models[name].role != "student"
    ]
    if not exports.models:
        return errors
    for key, architecture in (("gguf", "decoder-only"), ("ctranslate2", "encoder-decoder")):
        models = (name for name in exports.models if name in config.models)
        alike = [name for name in models if config.models[name].architecture == architecture]
        if alike and not getattr(exports, key):
            errors.append(f"exports.{key}: empty, so nothing of {', '.join(alike)} is exported")
    known = config.accuracy_tasks
    if exports.task in config.tasks and exports.task not in known:
        errors.append(
            f"exports.task: {exports.task} is no evaluated task with metric acc or acc_norm; set"
            f" one of {', '.join(known) or 'none'}"
        )
    elif exports.task is None and not known:
        errors.append("exports.models: need an evaluated task with metric acc or acc_norm")
    return errors


def _wrong_mixtures(config: "Config") -> list[str]:
    """Errors in funnel and decontamination: sources or hits that would be missing."""
    errors = _equal_answers(config)
    shortest = min(config.analysis.contamination.ngrams)
    too_short = f"must be at least {shortest}, the smallest of `analysis.contamination.ngrams`"
    if config.analysis.funnel.shared_words < shortest:
        errors.append(f"analysis.funnel.shared_words: {too_short}")
    models = (config.models[student] for student in config.students if student in config.models)
    used = {config.analysis.mixture, *(model.mixture for model in models)}
    used |= {study.mixture for study in config.human_evaluation.studies.values()}
    used |= {each.train.mixture for each in config.tokenizers.values() if each.train}
    for name, mixture in config.mixtures.items():
        wanted = mixture.decontamination
        base = config.mixtures.get(wanted.mixture) if wanted else None
        if wanted is None or base is None:
            continue
        key = f"mixtures.{name}.decontamination"
        if base.decontamination:
            errors.append(f"{key}.mixture: {wanted.mixture} is itself decontaminated")
        if name in used and not set(mixture.sources) & set(base.sources):
            errors.append(f"{key}.mixture: {wanted.mixture} has no source of {name}")
        if wanted.words < shortest:
            errors.append(f"{key}.words: {too_short}")
    return errors


def _equal_answers(config: "Config") -> list[str]:
    """Errors in `answers_per_query`: greedy requests, whose answers are all equal."""
    greedy = config.teacher.responses.sampling.temperature == 0
    return [
        f"sources.{name}.answers_per_query: {source.answers_per_query} answers at temperature 0 are"
        " equal; raise teacher.responses.sampling.temperature"
        for name, source in config.sources.items()
        if greedy and source.answers_per_query > 1
    ]


def _wrong_thinking(config: "Config") -> list[str]:
    """Errors in `thinking`: students that cannot be trained on the thoughts of their mixture."""
    errors = []
    for name in [*config.students, *config.sweep_students]:
        model = config.models.get(name)
        mixture = config.mixtures.get(model.mixture) if model else None
        if model is None or mixture is None or mixture.thinking not in ("keep", "mask"):
            continue
        key = f"mixtures.{model.mixture}.thinking: {mixture.thinking}"
        if mixture.thinking == "mask" and model.architecture != "decoder-only":
            errors.append(
                f"{key} is for decoder-only students, and {name} is {model.architecture}: its"
                " thoughts cannot be read without being trained on; use keep or strip"
            )
        tokenizer = config.tokenizers.get(model.tokenizer)
        options = tokenizer.chat.options if tokenizer and tokenizer.chat else {}
        if options.get("enable_thinking") is False:
            errors.append(
                f"{key}, but the prompts of {name} turn thoughts off; remove"
                f" tokenizers.{model.tokenizer}.chat.options.enable_thinking, or use strip"
            )
    return errors


def _wrong_conversations(config: "Config") -> list[str]:
    """Errors of students that are trained on conversations without a chat template."""
    errors = []
    for name in [*config.students, *config.sweep_students]:
        model = config.models.get(name)
        tokenizer = config.tokenizers.get(model.tokenizer) if model else None
        if model is None or tokenizer is None or model.mixture not in config.mixtures:
            continue
        turns = [f"sources.{source}.turns" for source in config.turns(model.mixture)]
        if config.dataset == "published" and config.published and config.published.messages:
            turns = ["published.messages"]
        if turns and tokenizer.prompt_format != "chat":
            errors.append(
                f"{turns[0]}: {name} would be trained on conversations, which need a tokenizer with"
                f" `prompt_format: chat`; tokenizers.{model.tokenizer} has"
                f" {tokenizer.prompt_format}"
            )
    return errors


def _wrong_models(config: "Config") -> list[str]:
    """Errors in models: wrong role, listed twice, contradictory architecture, invalid recipe."""
    errors = []
    for key, role in (("students", "student"), ("references", "reference")):
        names = getattr(config, key)
        errors += [f"{key}: {name} is listed twice" for name in {*names} if names.count(name) > 1]
        errors += [
            f"{key}: {name} has role {config.models[name].role}, not {role}"
            for name in names
            if name in config.models and config.models[name].role != role
        ]
    for name, model in config.models.items():
        initialization = config.models.get(model.initialization or "")
        errors += [
            f"models.{name}.{key}: {getattr(model, key)}, but its initialization"
            f" {model.initialization} has {getattr(initialization, key)}; leave it out"
            for key in ("architecture", "parameters")
            if initialization and getattr(model, key) != getattr(initialization, key)
        ]
        tokenizer = config.tokenizers.get(model.tokenizer)
        if tokenizer and tokenizer.prompt_format == "chat" and model.architecture != "decoder-only":
            errors.append(
                f"models.{name}: `prompt_format: chat` of tokenizer {model.tokenizer} is for"
                f" decoder-only models, not {model.architecture}; use `bare`"
            )
        if model.recipe in config.recipes:
            try:
                config.recipe(name)
            except ValueError as error:
                errors.append(f"models.{name}.recipe_changes: {error}")
    if config.checkpoints == "released":
        errors += [
            f"models.{student}.published_as: required, because `checkpoints` is `released`"
            for student in config.students
            if student in config.models and config.models[student].published_as is None
        ]
    if config.dataset == "published" and config.published is None:
        errors.append("published: required, because `dataset` is `published`")
    for name, source in config.sources.items():
        same_subset = source.generation is not None and source.generation.same_subset
        if same_subset and source.seeds.format not in ("p3", "flan"):
            errors.append(f"sources.{name}.generation.same_subset: the seeds have no subsets")
    return errors
