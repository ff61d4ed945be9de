"""Model of the whole configuration, with the checks that span several sections."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from lamini.settings.base import Name, Settings, Version, did_you_mean
from lamini.settings.dataset import Analysis, Deduplication, Mixture, Published
from lamini.settings.evaluation import Answers, Evaluation, Task
from lamini.settings.exports import Exports
from lamini.settings.human_evaluation import HumanEvaluation, RatingProtocol
from lamini.settings.site import Site
from lamini.settings.sources import Download, Source, Topics
from lamini.settings.students import PAPER_FAMILIES, Model, Recipe, Tokenizer, with_inherited
from lamini.settings.sweeps import Point, Sweep, sweep_points, swept_model
from lamini.settings.teacher import StageModel, Teacher


class Report(Settings):
    """Settings of the report."""

    title: str
    """Title of the report."""
    reproduction: bool
    """False marks every number as not a reproduction of the paper (the demo)."""
    selected: list[Name]
    """Models of Table 4, in the order of its rows; those that are not evaluated are left out."""
    acceptance: list[Name] = []
    """Reference models whose scores are compared with the authors' unrounded scores."""
    reference_lines: list[Name] = []
    """Models drawn as horizontal lines in Figure 5."""
    shown_points: Annotated[int, Field(ge=1)] = 1500
    """Number of instructions per set in the report's interactive Figure 3; the printed figure and
    its data have all. Each instruction adds about 150 bytes to the page."""
    version: Version = 2


class Config(Settings):
    """The configuration of a run, validated as a whole before any job starts."""

    seed: int = 42
    """Seed of all sampling, except where a setting has its own seed."""
    dataset: Literal["generated", "published"] = "generated"
    """`generated`: generate D_ALL with the teacher; `published`: read the released dataset."""
    published: Published | None = None
    downloads: dict[Name, Download] = {}
    """Public files, by their file name in `results/downloads/`."""
    sources: dict[Name, Source]
    topics: Topics
    deduplication: Deduplication = Deduplication()
    mixtures: dict[Name, Mixture]
    teacher: Teacher
    analysis: Analysis
    tokenizers: dict[Name, Tokenizer]
    recipes: dict[Name, Recipe]
    models: dict[Name, Model]
    """Definitions of all models; `students` and `references` select the models of the run."""
    students: list[Name]
    """Students that are trained and evaluated."""
    checkpoints: Literal["trained", "released"] = "trained"
    """`trained`: train the students; `released`: evaluate the released checkpoints of the students
    (`published_as` of each) instead, without training."""
    sweeps: Annotated[dict[Name, Sweep], Field(exclude_if=lambda sweeps: not sweeps)] = {}
    """Students trained on several sizes of the data, with several seeds: how much data is enough,
    and how much the results vary by chance."""
    references: list[Name]
    """Reference models that are evaluated."""
    tasks: dict[Name, Task]
    """Definitions of all tasks; `evaluated_tasks` selects the tasks of the run."""
    evaluated_tasks: list[Name]
    """Keys in `tasks`: the tasks of the run."""
    evaluation: Evaluation = Evaluation()
    answers: Answers
    exports: Annotated[Exports, Field(exclude_if=lambda exports: exports == Exports())] = Exports()
    human_evaluation: HumanEvaluation = HumanEvaluation()
    report: Report
    custom_rules: Annotated[list[str], Field(exclude_if=lambda rules: not rules)] = []
    """Snakemake files (`.smk`) with user-defined rules, relative to the project's root; included
    after the pipeline's rules."""
    site: Annotated[Site, Field(exclude_if=lambda site: site == Site())] = Site()
    code_changes: Annotated[Literal["ask", "recompute"], Field(exclude=True)] = "ask"
    """Action for results that cost GPU-hours or dollars and whose code has changed since. `ask`:
    stop before the first job and print the choices; `recompute`: compute them again. All other
    results are always recomputed."""

    @field_validator("models", mode="before")
    @classmethod
    def _inherit(cls, models: Any) -> Any:
        return with_inherited(models) if isinstance(models, Mapping) else models

    @model_validator(mode="after")
    def _with_sweeps(self) -> "Config":
        """Define the students of the sweeps, so that they can be named like all others."""
        swept: dict[str, Model] = {}
        for name in self.sweeps:
            recipes = self._recipes(self.sweeps[name].students)
            for point in self.points(name):
                if point.key != point.student:
                    model = self.models[point.student]
                    swept[point.key] = swept_model(point, model, recipes[point.student])
        if taken := sorted(swept.keys() & self.models.keys()):
            raise ValueError(f"models.{taken[0]}: this is the name of a sweep's student; rename it")
        return self.model_copy(update={"models": self.models | swept}) if swept else self

    @model_serializer(mode="wrap")
    def _without_swept(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The settings as a user writes them: without the definitions that sweeps add."""
        written: dict[str, Any] = handler(self)
        swept = {point.key for name in self.sweeps for point in self.points(name)}
        added = swept - {student for sweep in self.sweeps.values() for student in sweep.students}
        if added and "models" in written:
            models = written["models"].items()
            written["models"] = {name: model for name, model in models if name not in added}
        return written

    @model_validator(mode="after")
    def _check_references(self) -> "Config":
        problems = [
            *_unknown_names(self),
            *_wrong_models(self),
            *_wrong_thinking(self),
            *_wrong_conversations(self),
            *_wrong_mixtures(self),
            *_wrong_studies(self),
            *_wrong_sweeps(self),
            *_wrong_exports(self),
            *_wrong_teachers(self),
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def recipe(self, model: str) -> Recipe:
        """The recipe of a student, with its `recipe_changes` applied."""
        definition = self.models[model]
        assert definition.recipe is not None
        base = self.recipes[definition.recipe].model_dump()
        return Recipe.model_validate(base | definition.recipe_changes)

    def _recipes(self, students: Iterable[str]) -> dict[str, Recipe]:
        """Recipes of those names that are students with a valid recipe."""
        found = {}
        for name in students:
            model = self.models.get(name)
            if model and model.role == "student" and model.recipe in self.recipes:
                try:
                    found[name] = self.recipe(name)
                except ValueError:  # `_wrong_models` reports it
                    continue
        return found

    def points(self, sweep: str) -> list[Point]:
        """The students of a sweep, by student, mixture, size and seed."""
        settings = self.sweeps[sweep]
        return sweep_points(settings, self.models, self._recipes(settings.students))

    def turns(self, mixture: str) -> dict[str, int]:
        """Number of user turns of a mixture's sources with conversations; of none if it is read
        from the released dataset."""
        sources = self.mixtures[mixture].sources if self.dataset == "generated" else []
        known = {name: self.sources[name].turns for name in sources if name in self.sources}
        return {name: turns for name, turns in known.items() if turns > 1}

    @property
    def sweep_students(self) -> list[str]:
        """Students of all sweeps that are not among `students`, each once."""
        keys = (point.key for sweep in self.sweeps for point in self.points(sweep))
        return [key for key in dict.fromkeys(keys) if key not in self.students]

    def is_wrapped(self, model: str) -> bool:
        """Whether requests to the model use its tokenizer's prompt format.

        Default, as in the authors' repository: True for decoder-only students; reference models and
        encoder-decoder models get the bare text.
        """
        definition = self.models[model]
        if definition.wrapped is not None:
            return definition.wrapped
        return definition.role == "student" and definition.architecture == "decoder-only"

    def protocol(self, model: str) -> Literal["paper", "modern"]:
        """The evaluation protocol of a model.

        The authors' harness fits the paper's families only: it sends no begin token, which other
        families need, and sends encoder-decoders more tokens than other families have positions.
        """
        definition, wanted = self.models[model], self.evaluation.protocol
        if definition.protocol is not None:
            return definition.protocol
        if wanted != "auto":
            return wanted
        return "paper" if definition.family in PAPER_FAMILIES else "modern"

    def evaluation_precision(self, model: str) -> Literal["auto", "fp32", "bf16", "fp16"]:
        """The evaluation precision of a model; the job resolves `auto` for its device.

        Models of `report.acceptance` get fp32: acceptance compares single examples, and rounding in
        bf16 or fp16 flips some of them.
        """
        wanted = self.evaluation.precision
        return "fp32" if wanted == "auto" and model in self.report.acceptance else wanted

    @property
    def rating_protocol(self) -> RatingProtocol:
        """Wording of the levels of the human evaluation."""
        default: RatingProtocol = "paper" if self.report.reproduction else "own"
        return self.human_evaluation.protocol or default

    @property
    def exported_task(self) -> str:
        """Task on which exported files are scored: `exports.task`, or the first with accuracy."""
        return self.exports.task or next(iter(_accuracy_tasks(self)))

    @property
    def analysed_mixture(self) -> str:
        """The mixture that tables, figures and report show.

        Default: the first of `mixtures` that a student is trained on, before decontamination.
        """
        if self.analysis.mixture:
            return self.analysis.mixture
        used = {self.models[student].mixture for student in self.students if student in self.models}
        bases = {
            mixture.decontamination.mixture if mixture.decontamination else name
            for name, mixture in self.mixtures.items()
            if name in used
        }
        return next((name for name in self.mixtures if name in bases), next(iter(self.mixtures)))

    def evaluation_batches(self) -> dict[str, list[str]]:
        """Evaluated tasks by batch (one job per model); a task in no batch gets its own batch."""
        batches = {
            name: [task for task in tasks if task in self.evaluated_tasks]
            for name, tasks in self.evaluation.batches.items()
        }
        batched = {task for tasks in batches.values() for task in tasks}
        batches |= {task: [task] for task in self.evaluated_tasks if task not in batched}
        return {name: tasks for name, tasks in batches.items() if tasks}


def _unknown_names(config: Config) -> list[str]:
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


def _wrong_teachers(config: Config) -> list[str]:
    """Errors in the models of single sources and judges; `Teacher` checks those of its stages."""
    teacher, problems = config.teacher, list[str]()
    for name, source in config.sources.items():
        if source.generation and source.generation.requests:
            key = f"sources.{name}.generation.requests"
            problems += teacher.stage_problems(source.generation.requests, key)
    if any(study.judge for study in config.human_evaluation.studies.values()):
        problems += teacher.stage_problems(StageModel(), "teacher")
    return list(dict.fromkeys(problems))


def _wrong_studies(config: Config) -> list[str]:
    """Errors in studies: more annotators than instructions."""
    problems = []
    for name, study in config.human_evaluation.studies.items():
        mixture = config.mixtures.get(study.mixture or config.analysed_mixture)
        instructions = study.instructions
        if study.kind == "dataset":
            instructions = study.samples_per_source * len(mixture.sources) if mixture else None
        if instructions is not None and study.annotators > instructions:
            problems.append(
                f"human_evaluation.studies.{name}.annotators: {study.annotators} are too many for"
                f" {instructions} instructions; each annotator needs at least one"
            )
    return problems


def _wrong_sweeps(config: Config) -> list[str]:
    """Errors in sweeps: models that are not trained, tasks that are not evaluated."""
    problems = []
    for name, sweep in config.sweeps.items():
        problems += [
            f"sweeps.{name}.students: {student} has role reference, not student"
            for student in sweep.students
            if student in config.models and config.models[student].role == "reference"
        ]
        problems += [
            f"sweeps.{name}.students: the recipe of {student} has `samples` already; the sizes of a"
            " sweep take its place"
            for student, recipe in config._recipes(sweep.students).items()
            if recipe.samples is not None
        ]
        problems += [
            f"sweeps.{name}.tasks: {task} is not in `evaluated_tasks`"
            for task in sweep.tasks or []
            if task in config.tasks and task not in config.evaluated_tasks
        ]
        if config.checkpoints == "released":
            problems.append(f"sweeps.{name}: needs `checkpoints: trained`, as it trains students")
    return problems


def _accuracy_tasks(config: Config) -> list[str]:
    """Evaluated tasks with a metric of accuracy: their examples have choices."""
    tasks = (task for task in config.evaluated_tasks if task in config.tasks)
    return [task for task in tasks if config.tasks[task].metric in ("acc", "acc_norm")]


def _wrong_exports(config: Config) -> list[str]:
    """Errors in exports: models that are no students, or a task without accuracy."""
    exports = config.exports
    problems = [
        f"exports.models: {name} has role {config.models[name].role}, not student"
        for name in exports.models
        if name in config.models and config.models[name].role != "student"
    ]
    if not exports.models:
        return problems
    for key, architecture in (("gguf", "decoder-only"), ("ctranslate2", "encoder-decoder")):
        models = (name for name in exports.models if name in config.models)
        alike = [name for name in models if config.models[name].architecture == architecture]
        if alike and not getattr(exports, key):
            problems.append(f"exports.{key}: empty, so nothing of {', '.join(alike)} is exported")
    known = _accuracy_tasks(config)
    if exports.task in config.tasks and exports.task not in known:
        problems.append(
            f"exports.task: {exports.task} is no evaluated task with metric acc or acc_norm; set"
            f" one of {', '.join(known) or 'none'}"
        )
    elif exports.task is None and not known:
        problems.append("exports.models: need an evaluated task with metric acc or acc_norm")
    return problems


def _wrong_mixtures(config: Config) -> list[str]:
    """Errors in funnel and decontamination: sources or hits that would be missing."""
    problems = _equal_answers(config)
    shortest = min(config.analysis.contamination.ngrams)
    too_short = f"must be at least {shortest}, the smallest of `analysis.contamination.ngrams`"
    if config.analysis.funnel.shared_words < shortest:
        problems.append(f"analysis.funnel.shared_words: {too_short}")
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
            problems.append(f"{key}.mixture: {wanted.mixture} is itself decontaminated")
        if name in used and not set(mixture.sources) & set(base.sources):
            problems.append(f"{key}.mixture: {wanted.mixture} has no source of {name}")
        if wanted.words < shortest:
            problems.append(f"{key}.words: {too_short}")
    return problems


def _equal_answers(config: Config) -> list[str]:
    """Errors in `answers_per_query`: greedy requests, whose answers are all equal."""
    greedy = config.teacher.responses.sampling.temperature == 0
    return [
        f"sources.{name}.answers_per_query: {source.answers_per_query} answers at temperature 0 are"
        " equal; raise teacher.responses.sampling.temperature"
        for name, source in config.sources.items()
        if greedy and source.answers_per_query > 1
    ]


def _wrong_thinking(config: Config) -> list[str]:
    """Errors in `thinking`: students that cannot be trained on the thoughts of their mixture."""
    problems = []
    for name in [*config.students, *config.sweep_students]:
        model = config.models.get(name)
        mixture = config.mixtures.get(model.mixture) if model else None
        if model is None or mixture is None or mixture.thinking not in ("keep", "mask"):
            continue
        key = f"mixtures.{model.mixture}.thinking: {mixture.thinking}"
        if mixture.thinking == "mask" and model.architecture != "decoder-only":
            problems.append(
                f"{key} is for decoder-only students, and {name} is {model.architecture}: its"
                " thoughts cannot be read without being trained on; use keep or strip"
            )
        tokenizer = config.tokenizers.get(model.tokenizer)
        options = tokenizer.chat.options if tokenizer and tokenizer.chat else {}
        if options.get("enable_thinking") is False:
            problems.append(
                f"{key}, but the prompts of {name} turn thoughts off; remove"
                f" tokenizers.{model.tokenizer}.chat.options.enable_thinking, or use strip"
            )
    return problems


def _wrong_conversations(config: Config) -> list[str]:
    """Errors of students that are trained on conversations without a chat template."""
    problems = []
    for name in [*config.students, *config.sweep_students]:
        model = config.models.get(name)
        tokenizer = config.tokenizers.get(model.tokenizer) if model else None
        if model is None or tokenizer is None or model.mixture not in config.mixtures:
            continue
        turns = [f"sources.{source}.turns" for source in config.turns(model.mixture)]
        if config.dataset == "published" and config.published and config.published.messages:
            turns = ["published.messages"]
        if turns and tokenizer.prompt_format != "chat":
            problems.append(
                f"{turns[0]}: {name} would be trained on conversations, which need a tokenizer with"
                f" `prompt_format: chat`; tokenizers.{model.tokenizer} has"
                f" {tokenizer.prompt_format}"
            )
    return problems


def _wrong_models(config: Config) -> list[str]:
    """Errors in models: wrong role, listed twice, contradictory architecture, invalid recipe."""
    problems = []
    for key, role in (("students", "student"), ("references", "reference")):
        names = getattr(config, key)
        problems += [f"{key}: {name} is listed twice" for name in {*names} if names.count(name) > 1]
        problems += [
            f"{key}: {name} has role {config.models[name].role}, not {role}"
            for name in names
            if name in config.models and config.models[name].role != role
        ]
    for name, model in config.models.items():
        initialization = config.models.get(model.initialization or "")
        problems += [
            f"models.{name}.{key}: {getattr(model, key)}, but its initialization"
            f" {model.initialization} has {getattr(initialization, key)}; leave it out"
            for key in ("architecture", "parameters")
            if initialization and getattr(model, key) != getattr(initialization, key)
        ]
        tokenizer = config.tokenizers.get(model.tokenizer)
        if tokenizer and tokenizer.prompt_format == "chat" and model.architecture != "decoder-only":
            problems.append(
                f"models.{name}: `prompt_format: chat` of tokenizer {model.tokenizer} is for"
                f" decoder-only models, not {model.architecture}; use `bare`"
            )
        if model.recipe in config.recipes:
            try:
                config.recipe(name)
            except ValueError as error:
                problems.append(f"models.{name}.recipe_changes: {error}")
    if config.checkpoints == "released":
        problems += [
            f"models.{student}.published_as: required, because `checkpoints` is `released`"
            for student in config.students
            if student in config.models and config.models[student].published_as is None
        ]
    if config.dataset == "published" and config.published is None:
        problems.append("published: required, because `dataset` is `published`")
    for name, source in config.sources.items():
        same_subset = source.generation is not None and source.generation.same_subset
        if same_subset and source.seeds.format not in ("p3", "flan"):
            problems.append(f"sources.{name}.generation.same_subset: the seeds have no subsets")
    return problems
