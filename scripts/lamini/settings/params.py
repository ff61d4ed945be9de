"""What each rule's result depends on: one class for each rule, of the rule's name.

`lamini.workflow.params` builds them for the rules, and a rule's function takes them, so both sides
of a rule are checked. A rule's `params` are the fields in their order (`as_params`): a change of a
name or of the order makes results of earlier runs stale. What changes speed or safety alone is no
field.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from lamini.settings.base import Settings
from lamini.settings.dataset import (
    Contamination,
    Deduplication,
    Duplicates,
    Funnel,
    Mixture,
    Published,
    Verbs,
)
from lamini.settings.evaluation import Answers, Evaluation, Task, TaskData
from lamini.settings.human_evaluation import Judge
from lamini.settings.sources import Download, InstructionGeneration, SeedData, Topics
from lamini.settings.students import Architecture, BuiltModel, Recipe, TrainedTokenizer
from lamini.settings.teacher import InstructionRequests, Price, ResponseRequests

GivenFiles = str | None
"""A digest of the given files that a rule reads (`lamini.roots`); null: all are made by rules."""


class Location(Settings):
    """Where a model or tokenizer is."""

    path: str
    """Folder or hub id."""
    revision: str | None = None
    """Commit or tag on the hub."""


class DownloadFile(Download):
    """Of `download_file`."""


class PreparePrompts(Settings):
    """Of `prepare_prompts`."""

    source: str
    seeds: SeedData
    files: GivenFiles
    samples: int | None
    """Prompts kept at most; null: all."""
    seed: int
    version: int


class SelectTopics(Settings):
    """Of `select_topics`."""

    topics: Topics
    files: GivenFiles


class GenerateInstructions(Settings):
    """Of `generate_instructions`: one shard."""

    source: str
    generation: InstructionGeneration
    model: str
    """The teacher's."""
    requests: InstructionRequests
    """The teacher's; the source's own, `generation.requests`, stand before them."""
    seed_requests: bool
    count: int
    """Accepted instructions wanted."""
    seed: int
    version: int
    files: Annotated[GivenFiles, Field(exclude_if=lambda digest: digest is None)] = None
    """Of the user's own prompt template; no param where the prompt is the packaged one."""


class SelectQueries(Settings):
    """Of `select_queries`."""

    source: str
    deduplication: Deduplication
    shards: int
    version: int


class GeneratePairs(Settings):
    """Of `generate_pairs`."""

    source: str
    model: str
    """The teacher's."""
    responses: ResponseRequests
    seed_requests: bool
    seed: int


Prices = dict[str, Price]
"""Of `summarize_generation`: prices by the teacher's model."""


class _NamedMixture(Settings):
    mixture: str
    """Its key."""


class MergePairs(Mixture, _NamedMixture):
    """Of `merge_pairs` and `import_published`: a mixture, and the data released in its place."""

    published: Published | None
    files: GivenFiles


class ExportDataset(Settings):
    """Of `export_dataset`."""

    mixture: str


class CountTokens(Settings):
    """Of `count_tokens`."""

    tokenizer_location: Location
    symbols: dict[str, str]
    """The sources' names in tables."""


class MeasureDataset(Settings):
    """Of `measure_dataset`."""

    tokenizer: str
    mattr_window: int
    mattr_texts: Literal["mean", "concatenated", "shuffled"]
    version: int
    tokenizer_location: Location
    symbols: dict[str, str]
    """The sources' names in tables."""
    seed: int


class EmbedInstructions(Settings):
    """Of `embed_instructions`. Settings of the plot are left out, as embedding is expensive."""

    model: str
    revision: str | None
    samples: int
    """Instructions per set at most."""
    version: int
    sources: list[str]
    seed: int


class ProjectEmbeddings(Settings):
    """Of `project_embeddings`."""

    panels: list[tuple[str, str]]
    perplexity: float
    replicates: int
    version: int
    seed: int


class MeasureTopicCoverage(Settings):
    """Of `measure_topic_coverage`."""

    version: int


class FindNearDuplicates(Duplicates):
    """Of `find_near_duplicates`."""


class CountFunnel(Funnel):
    """Of `count_funnel`."""


class CountVerbs(Verbs):
    """Of `count_verbs`."""

    seed: int


class FindContamination(Settings):
    """Of `find_contamination`."""

    contamination: Contamination
    tasks: dict[str, TaskData]
    mirror: str | None
    files: GivenFiles


class TrainTokenizer(Settings):
    """Of `train_tokenizer`."""

    train: TrainedTokenizer
    pad_token: str | None


class BuildModel(Settings):
    """Of `build_model`."""

    architecture: Architecture
    build: BuiltModel
    tokenizer: Location | None
    """For random weights only: a GGUF file has its own."""
    seed: int


class TokenizePairs(Settings):
    """Of `tokenize_pairs`."""

    tokenizer: Location
    prompt_format: str
    """How an instruction becomes a prompt (`lamini.prompt_formats`)."""
    pad_token: str | None


class TrainModel(Settings):
    """Of `train_model`: one student's training run."""

    model: str
    name: str
    architecture: Architecture
    family: str
    initialization: Location
    tokenizer: Location
    prompt_format: str
    pad_token: str | None
    recipe: Recipe

    def as_params(self) -> dict[str, Any]:
        """As of any rule, without the recipe's fields of speed and safety."""
        return super().as_params() | {"recipe": self.recipe.result_params()}


class MirrorTaskData(TaskData):
    """Of `mirror_task_data`."""


class AskedModel(Settings):
    """A model as evaluation and answers see it."""

    model: str
    """Its key in the configuration."""
    architecture: Architecture
    prompt_format: str | None
    """The wrapper that it is asked in; null: the bare text."""
    path: str
    """Folder or hub id."""
    revision: str | None
    """Commit or tag on the hub."""

    @property
    def manifest(self) -> Path | None:
        """The manifest of a model that the pipeline made; none for any other."""
        path = Path(self.path) / "manifest.json"
        return path if path.is_file() else None


class EvaluateModel(Settings):
    """Of `evaluate_{batch}`: one model on a batch of tasks."""

    model: AskedModel
    tasks: dict[str, Task]
    evaluation: Evaluation
    """Its protocol and precision are those of this model."""
    files: GivenFiles

    def as_params(self) -> dict[str, Any]:
        """As of any rule, without how tasks are batched."""
        without_effect = {"evaluation": {"batches", "tokens_per_batch"}}
        return self.model_dump(mode="json", exclude=without_effect)


class GenerateAnswers(Settings):
    """Of `generate_answers`."""

    model: AskedModel
    answers: Answers
    files: GivenFiles
    seed: int

    def as_params(self) -> dict[str, Any]:
        """As of any rule, without the size of batches."""
        return self.model_dump(mode="json", exclude={"answers": {"tokens_per_batch"}})


class SelectItems(Settings):
    """Of `select_items`: a study, without what comes after the selection."""

    study: str
    kind: Literal["models", "dataset"]
    models: list[str]
    mixture: str
    samples_per_source: int
    max_per_app: int
    instructions: int | None
    exclude: str | None
    annotators: int
    rated_twice: float
    version: int
    files: GivenFiles
    seed: int


class MakeRatingSheets(Settings):
    """Of `make_rating_sheets_{study}`."""

    study: str
    kind: Literal["models", "dataset"]
    version: int


class JudgeItems(Settings):
    """Of `judge_items`."""

    study: str
    model: str
    """The teacher's."""
    judge: Judge
    seed_requests: bool
    seed: int


class CollectRatings(Settings):
    """Of `collect_ratings`."""

    study: str
    kind: Literal["models", "dataset"]
    annotators: list[str]
    """Their names."""
    replicates: int
    files: GivenFiles
    seed: int
    version: int
