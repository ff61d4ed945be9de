"""Model of the whole configuration; `cross_checks` compares its sections."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from lamini.settings import cross_checks
from lamini.settings.base import Name, Settings, Version
from lamini.settings.dataset import Analysis, Deduplication, Mixture, PublishedDataset
from lamini.settings.evaluation import Answers, Evaluation, Task
from lamini.settings.exports import Exports
from lamini.settings.human_evaluation import HumanEvaluation, RatingProtocol
from lamini.settings.site import Site
from lamini.settings.sources import Download, Source, Topics
from lamini.settings.students import PAPER_FAMILIES, Model, Recipe, Tokenizer, with_inherited
from lamini.settings.sweeps import Point, Sweep, sweep_points, swept_model
from lamini.settings.teacher import Teacher


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
    published: PublishedDataset | None = None
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
            recipes = self.recipes_of(self.sweeps[name].students)
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
        problems = cross_checks.problems(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def recipe(self, model: str) -> Recipe:
        """The recipe of a student, with its `recipe_changes` applied."""
        definition = self.models[model]
        assert definition.recipe is not None
        base = self.recipes[definition.recipe].model_dump()
        return Recipe.model_validate(base | definition.recipe_changes)

    def recipes_of(self, students: Iterable[str]) -> dict[str, Recipe]:
        """Recipes of those names that are students with a valid recipe."""
        recipes = {}
        for name in students:
            model = self.models.get(name)
            if model and model.role == "student" and model.recipe in self.recipes:
                try:
                    recipes[name] = self.recipe(name)
                except ValueError:  # `cross_checks` reports it
                    continue
        return recipes

    def points(self, sweep: str) -> list[Point]:
        """The students of a sweep, by student, mixture, size and seed."""
        settings = self.sweeps[sweep]
        return sweep_points(settings, self.models, self.recipes_of(settings.students))

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
    def accuracy_tasks(self) -> list[str]:
        """Evaluated tasks with a metric of accuracy: their examples have choices."""
        tasks = (task for task in self.evaluated_tasks if task in self.tasks)
        return [task for task in tasks if self.tasks[task].metric in ("acc", "acc_norm")]

    @property
    def exported_task(self) -> str:
        """Task on which exported files are scored: `exports.task`, or the first with accuracy."""
        return self.exports.task or next(iter(self.accuracy_tasks))

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
