"""Params of the report's rules: one class per builder of a table or figure, named after it.

The entries of the catalogue build the instances; builders take them, so mypy checks both sides.
Snakemake's `params` are the fields in their order: renaming or reordering a field makes existing
results stale. The classes are not in `lamini.settings`, which a job that makes a table need not
load.
"""

from collections.abc import Callable
from inspect import signature
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

AnotherTeacher = Annotated[
    str | None, Field(description="the teacher of a replication (`Run.another_teacher`)")
]


class BuilderParams(BaseModel):
    """Params of a builder. Unknown fields are errors; values cannot change."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=True,  # every job loads all classes and uses few
    )

    def as_params(self) -> dict[str, Any]:
        """JSON-ready values in declaration order, used as a rule's `params`."""
        return self.model_dump(mode="json")


class NoParams(BuilderParams):
    """Params of a builder that depends on its inputs only."""


class CommonParams(BuilderParams):
    """Params that all tables and figures have."""

    reproduction: bool
    """Whether the run reproduces the paper; if not, each of its numbers is marked."""
    published_files: str | None
    """Digest of the published numbers (`config/paper`)."""
    version: int


class ItemParams(CommonParams):
    """Params of rules `make_table` and `draw_figure`; the builder's are the extra fields."""

    model_config = ConfigDict(extra="allow")

    kind: str
    """Name of the builder, so that another builder reruns the job."""

    def of_builder(self, builder: Callable[..., Any]) -> BuilderParams:
        """Params of a builder, in the class of its parameter `params`."""
        params: type[BuilderParams] = signature(builder).parameters["params"].annotation
        return params.model_validate(self.model_extra)


class NamedModel(BuilderParams):
    """A model of this run."""

    key: str
    """Key in the configuration."""
    name: str
    """Display name, as in the paper."""


class ScoredModel(NamedModel):
    """A model in tables and figures of scores."""

    role: Literal["student", "reference"]
    architecture: Literal["encoder-decoder", "decoder-only"]
    family: str
    parameters: int
    """Number of parameters."""


class Student(NamedModel):
    """A student and its training."""

    architecture: Literal["encoder-decoder", "decoder-only"]
    initialization: str
    """Display name of its initialization."""
    learning_rate: float


SeedRuns = list[list[tuple[str, str]]]
"""Trainings of a student with several seeds, by size of the data: key of each, and the key of the
model that it is compared with."""


class Pair(BuilderParams):
    """A student and its baseline: its initialization, or its twin of another mixture."""

    student: NamedModel
    baseline: NamedModel
    seeds: Annotated[SeedRuns, Field(exclude_if=lambda runs: not runs)] = []
    """The sweeps' trainings of the student; empty if no sweep has several seeds of it."""


# --- Dataset


class SourceParams(BuilderParams):
    """Params of all tables of a mixture's sources."""

    mixture: str
    """Name of the analysed mixture."""
    symbols: dict[str, str]
    """The paper's symbol of each source."""


class StatisticsParams(SourceParams):
    """Params of `statistics_table`."""

    tokenizer: str


class DiversityParams(SourceParams):
    """Params of `diversity_table`."""

    window: int
    """Tokens in the window of MATTR."""
    tokens: Literal["words_and_punctuation", "words", "subwords"]
    """The tokens that MATTR counts (`analysis.mattr_tokens`)."""
    lower_case: bool
    texts: Literal["mean", "concatenated", "shuffled", "parts_in_order"]
    """How the texts of a source are combined (`analysis.mattr_texts`)."""


class MattrReadingsParams(SourceParams):
    """Params of `mattr_readings_table`."""

    sources: list[str]
    """Sources of the mixture, in order."""
    tokenizer: str
    """Tokenizer of the subwords."""
    window: int
    """Tokens in the window of MATTR."""


class TokenizersParams(SourceParams):
    """Params of `tokenizers_table`."""

    tokenizers: list[str]
    dataset: Literal["generated", "published"]


class ContaminationParams(SourceParams):
    """Params of `contamination_table`."""

    sources: list[str]
    """Sources of the mixture, in order."""
    ngrams: list[int]
    """Lengths of shared word sequences, in words, ascending."""
    tasks: dict[str, str]
    """Display name of each task."""


class ParaphrasesParams(BuilderParams):
    """Params of `paraphrases_table`."""

    tasks: dict[str, str]
    """Name of each task."""
    model: str
    """Model of the embeddings."""
    samples: int
    """Maximum number of instructions per source."""
    sources: list[str]
    """Sources whose instructions are compared."""
    min_words: int
    pairs: str
    """File of the nearest pairs."""


class PlainParams(BuilderParams):
    """Params of `plain_table`."""

    title: str
    notes: list[str]
    digits: int
    """Decimals of numbers that are not whole."""
    columns: list[str]
    """Columns of an empty file."""
    detectors: dict[str, str] = {}
    """Detectors whose counts are shown, with their names in the notes; inputs have `errors`."""


class ProjectionParams(BuilderParams):
    """Params of `draw_projection`."""

    panels: list[tuple[str, str]]
    """Two sources per panel."""
    symbols: dict[str, str]


class LengthsParams(BuilderParams):
    """Params of `draw_lengths`."""

    symbols: dict[str, str]


class NearDuplicateCurveParams(SourceParams):
    """Params of `draw_near_duplicates`."""

    threshold: float
    """Minimum similarity of the near-duplicates that were searched."""


class VerbsParams(BuilderParams):
    """Params of `draw_verbs`."""

    mixture: str


# --- Models


class CollectionParams(BuilderParams):
    """Params of `collection_table`."""

    students: list[Student]
    trained: bool
    """Whether this run trains them; if not, their released checkpoints are used."""


class TrainingParams(BuilderParams):
    """Params of `training_table` and `draw_learning_curves`."""

    students: list[Student]


class ExportsParams(BuilderParams):
    """Params of `exports_table`."""

    models: dict[str, str]
    """Display name of each exported student."""
    task: str
    """Display name of the task."""


# --- Evaluation


class ScoresParams(BuilderParams):
    """Params of `scores_table`."""

    title: str
    models: list[ScoredModel]
    """Models of this run in the table."""
    published_models: list[str]
    """Display names of the published models in the table."""
    tasks: dict[str, str]
    """Display name of each task."""


class TaskFacts(BuilderParams):
    """A task in Table 8."""

    name: str
    category: str
    metric: str
    examples: int
    """Published number of examples."""


class AveragesParams(BuilderParams):
    """Params of `averages_table`."""

    models: list[ScoredModel]
    """Evaluated models."""
    bases: dict[str, str]
    """Key of the initialization of each student; both are evaluated."""
    reference_lines: list[str]
    """Keys of the reference models to which distances are shown."""
    tasks: dict[str, str]
    """Display name of each task."""
    seeds: Annotated[dict[str, SeedRuns], Field(exclude_if=lambda seeds: not seeds)] = {}
    """The sweeps' trainings of each student against its initialization, by student."""


class TaskScoresParams(BuilderParams):
    """Params of `task_scores_table` and `by_task_table`."""

    models: list[ScoredModel]
    """Evaluated models."""
    tasks: dict[str, TaskFacts]
    mixture: str
    """Mixture whose pairs are searched for evaluated examples."""
    words: int
    """Minimum length of a shared word sequence that counts as contamination."""
    another_teacher: AnotherTeacher = None


class TasksParams(BuilderParams):
    """Params of `tasks_table`."""

    tasks: dict[str, TaskFacts]


class ReproductionParams(BuilderParams):
    """Params of `reproduction_table`."""

    models: list[ScoredModel]
    """Models of this run that are in the paper."""
    tasks: dict[str, str]
    """Display name of each task."""
    another_teacher: AnotherTeacher = None


class ReproducedImprovementParams(BuilderParams):
    """Params of `reproduced_improvement_table`."""

    pairs: list[Pair]
    tasks: dict[str, str]
    """Display name of each task."""
    another_teacher: AnotherTeacher = None


class ImprovementParams(BuilderParams):
    """Params of `improvement_table`."""

    pairs: list[Pair]
    tasks: dict[str, str]
    """Display name of each task."""
    mixture: str
    """Mixture whose pairs are searched for evaluated examples."""
    words: int
    """Minimum length of a shared word sequence that counts as contamination."""


class CleanScoresParams(BuilderParams):
    """Params of `clean_scores_table`."""

    pairs: list[Pair]
    """Students with their initializations, and with their twins of a decontaminated mixture."""
    tasks: dict[str, str]
    """Display name of each task."""
    mixture: str
    """Mixture whose pairs were searched for evaluated examples."""
    words: int
    """Minimum length of a shared word sequence that counts as contamination."""


class AcceptanceParams(BuilderParams):
    """Params of `acceptance_table`."""

    models: list[NamedModel]
    tasks: dict[str, str]
    """Display name of each task."""


class FigureOfScoresParams(BuilderParams):
    """Params of `draw_scores`."""

    models: list[ScoredModel]
    reference_lines: list[str]
    """Keys of the models that are drawn as lines."""
    tasks: list[str]
    """Keys of the tasks."""


# --- Sweeps


class SweepTableParams(BuilderParams):
    """Params of `sweep_table`, `law_table` and `compared_table`."""

    students: dict[str, str]
    """Display name of each student."""
    several_mixtures: bool
    """Whether the sweep has several mixtures, so that their names are shown."""

    def label(self, group: tuple[str, str]) -> str:
        """Display name of a student, with its mixture if there are several."""
        student, mixture = group
        name = self.students[student]
        return f"{name}, {mixture}" if self.several_mixtures else name


class SweepFigureParams(SweepTableParams):
    """Params of `draw_sweep`."""

    measure: Literal["score", "held_out_loss"]


# --- Human evaluation


class DisagreementParams(BuilderParams):
    """Params of `disagreement_table`."""

    students: list[str]
    """Keys of the rated students."""
    references: list[str]
    """Keys of the rated reference models."""
    names: dict[str, str]
    """Display name of each rated model."""
    ahead: Literal["students", "references"]
    """Side with the higher ratings."""


class RatingsParams(BuilderParams):
    """Params of `rating_shares_table`, `rating_comparisons_table` and `draw_model_ratings`."""

    names: dict[str, str]
    """Display name of each rated model or source."""


class JudgedQualityParams(SourceParams):
    """Params of `judged_quality_table`."""

    sources: list[str]
    """The sampled sources, in the order of the table."""


class LevelsParams(BuilderParams):
    """Params of `levels_table`."""

    protocol: Literal["paper", "own"]
    """Wording of the levels."""


class DatasetRatingsParams(BuilderParams):
    """Params of `draw_dataset_ratings`."""

    symbols: dict[str, str]


# --- Costs


class CostBySourceParams(BuilderParams):
    """Params of `cost_by_source_table`."""

    sources: dict[str, str]
    """Symbol of each source of the analysed mixture."""


class CostByModelParams(BuilderParams):
    """Params of `cost_by_model_table`."""

    models: dict[str, str]
    """Display name of each evaluated model."""
    evaluation_rules: list[str]
    """Rules that evaluate a model, one for each batch of tasks."""


# --- Report


class ReportParams(BuilderParams):
    """Params of rule `write_report`, and of the builders of interactive figures."""

    title: str
    reproduction: bool
    another_teacher: AnotherTeacher
    shown_points: int
    """Maximum number of dots per source in the interactive Figure 3."""
    version: int
    teacher: str | None
    """The teacher's model name; null: the published dataset is used."""
    students: list[str]
    """Display names of the students."""
    student_keys: list[str]
    trained: bool
    references: list[str]
    """Display names of the reference models."""
    tasks: int
    """Number of evaluated tasks."""
    task_keys: dict[str, str]
    """Key of each evaluated task, by display name."""
    model_keys: dict[str, str]
    """Key of each evaluated model, by display name."""
    rated: list[ScoredModel]
    """Models of the first study of models, in its order."""
    samples: bool
    """Whether the requests and outputs of the evaluation were written."""
    protocol: str
    studies: list[str]
    symbols: dict[str, str]
    panels: list[tuple[str, str]]
    left_out: list[str]
    """Settings with models or sources that take no part in the run, one note each."""


class CrateParams(BuilderParams):
    """Params of rule `write_crate`."""

    title: str
    files: str | None
    """Digest of the source files that the crate describes."""
    version: int


class LineageParams(BuilderParams):
    """Params of rule `collect_lineage`."""

    version: int
