"""Params of each rule: one class per rule, named after the rule.

A class has the settings that the rule's result depends on. `lamini.workflow.params` builds the
instances; the rule's function takes them, so mypy checks both sides. Snakemake's `params` are the
fields in their order (`as_params`): renaming or reordering a field makes existing results stale.
Settings that change only speed or safety are not fields.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from lamini.settings.base import Settings, Version
from lamini.settings.dataset import (
    Contamination,
    Deduplication,
    Duplicates,
    Funnel,
    MattrTexts,
    MattrTokens,
    Mixture,
    Paraphrases,
    PersonalData,
    Published,
    Thinking,
    Verbs,
)
from lamini.settings.evaluation import Answers, Evaluation, Task, TaskData
from lamini.settings.exports import CTranslate2Type, ExportType, GgufType
from lamini.settings.human_evaluation import Judge, RatingProtocol
from lamini.settings.sources import Download, InstructionGeneration, SeedData, Topics
from lamini.settings.students import Architecture, BuiltModel, Recipe, TrainedTokenizer
from lamini.settings.teacher import InstructionRequests, Price, ResponseRequests, Sampling

UserFilesDigest = str | None
"""Digest of the user-provided files that a rule reads (`lamini.user_files`); null: all input files
are outputs of rules."""


WeightsDigest = Annotated[str | None, Field(exclude_if=lambda digest: digest is None)]
"""Digest of the files of a user-provided folder or file with a model or tokenizer
(`lamini.workflow.weights`), so that other weights at the same path are noticed; omitted for the hub
and for outputs of rules."""


class Location(Settings):
    """Location of a model or tokenizer."""

    path: str
    """Folder or hub id."""
    revision: str | None = None
    """Commit or tag on the hub."""
    digest: WeightsDigest = None


class DownloadFile(Download):
    """Params of rule `download_file`."""


class PreparePrompts(Settings):
    """Params of rule `prepare_prompts`."""

    source: str
    seeds: SeedData
    files: UserFilesDigest
    samples: int | None
    """Maximum number of prompts; null: all."""
    seed: int
    version: int


class SelectTopics(Settings):
    """Params of rule `select_topics`."""

    topics: Topics
    files: UserFilesDigest


class GenerateInstructions(Settings):
    """Params of rule `generate_instructions`, for one shard."""

    source: str
    generation: InstructionGeneration
    model: str
    """The teacher's model name."""
    requests: InstructionRequests
    """`teacher.instructions`; the source's own `generation.requests` has priority."""
    seed_requests: bool
    count: int
    """Number of accepted instructions to generate."""
    seed: int
    version: int
    files: Annotated[UserFilesDigest, Field(exclude_if=lambda digest: digest is None)] = None
    """Digest of a user-provided prompt template; omitted for the packaged template."""


class SelectQueries(Settings):
    """Params of rule `select_queries`."""

    source: str
    deduplication: Deduplication
    shards: int
    version: int


class SeveralAnswers(Settings):
    """Several answers to each query, of which the best is kept."""

    per_query: int
    by: Literal["agreement", "judge"]
    judge: Annotated[Judge | None, Field(exclude_if=lambda judge: judge is None)] = None
    """Only for the choice by judge, as is `protocol`."""
    protocol: Annotated[RatingProtocol | None, Field(exclude_if=lambda name: name is None)] = None


class Turns(Settings):
    """Further turns of conversations."""

    count: int
    """Number of user turns of a conversation."""
    template: str
    """Jinja text of the prompt that asks for a user turn."""
    sampling: Sampling


class GeneratePairs(Settings):
    """Params of rule `generate_pairs`."""

    source: str
    model: str
    """The teacher's model name."""
    responses: ResponseRequests
    seed_requests: bool
    seed: int
    several: Annotated[SeveralAnswers | None, Field(exclude_if=lambda several: several is None)] = (
        None
    )
    """Omitted with one answer to each query."""
    turns: Annotated[Turns | None, Field(exclude_if=lambda turns: turns is None)] = None
    """Omitted with one turn."""


Prices = dict[str, Price]
"""Params of rule `summarize_generation`: prices by the teacher's model name."""


class _NamedMixture(Settings):
    mixture: str
    """Key of the mixture in the configuration."""


class MergedMixture(Mixture, _NamedMixture):
    """Settings of a dataset in its manifest: the mixture, and the released dataset that replaces
    it."""

    published: Published | None
    writers: Annotated[list[str], Field(exclude_if=lambda models: not models)] = []
    """Models of the generated instructions, for the card; empty if the responses' model wrote
    them, too."""
    several: Annotated[dict[str, SeveralAnswers], Field(exclude_if=lambda known: not known)] = {}
    """Sources with several answers to each query, for the card."""
    turns: Annotated[dict[str, int], Field(exclude_if=lambda known: not known)] = {}
    """Number of user turns of the sources with conversations."""


class MergePairs(MergedMixture):
    """Params of rules `merge_pairs` and `import_published`."""

    files: UserFilesDigest
    licenses: Annotated[dict[str, str], Field(exclude_if=lambda known: not known)] = {}
    """Licence of each source's prompts, for the card."""


class ExportDataset(Settings):
    """Params of rule `export_dataset`."""

    mixture: str


class CountTokens(Settings):
    """Params of rule `count_tokens`."""

    tokenizer_location: Location
    symbols: dict[str, str]
    """Name of each source in tables."""


class MeasureDataset(Settings):
    """Params of rule `measure_dataset`."""

    tokenizer: str
    mattr_window: int
    mattr_tokens: MattrTokens
    mattr_lower_case: bool
    mattr_texts: MattrTexts
    version: int
    tokenizer_location: Location
    symbols: dict[str, str]
    """Name of each source in tables."""
    seed: int


class MeasureMattrReadings(Settings):
    """Params of rule `measure_mattr_readings`."""

    mattr_window: int
    tokenizer_location: Location
    version: int
    seed: int


class EmbedInstructions(Settings):
    """Params of rule `embed_instructions`. Plot settings are left out, because embedding is
    expensive."""

    model: str
    revision: str | None
    samples: int
    """Maximum number of instructions per set."""
    version: int
    sources: list[str]
    seed: int


class ProjectEmbeddings(Settings):
    """Params of rule `project_embeddings`."""

    panels: list[tuple[str, str]]
    perplexity: float
    version: int
    seed: int


class MeasureTopicCoverage(Settings):
    """Params of rule `measure_topic_coverage`."""

    version: int


class FindNearDuplicates(Duplicates):
    """Params of rule `find_near_duplicates`."""


class ScanPersonalData(PersonalData):
    """Params of rule `scan_personal_data`."""


class DescribeDataset(Settings):
    """Params of rule `describe_dataset`."""

    licenses: dict[str, str]
    """Licence of each source's prompts."""


class CountFunnel(Funnel):
    """Params of rule `count_funnel`."""


class MeasureDetectors(Settings):
    """Params of rule `measure_detectors`."""

    language_score: float
    model: str
    """spaCy model of the verbs."""
    files: UserFilesDigest


class CountVerbs(Verbs):
    """Params of rule `count_verbs`."""

    seed: int


class FindContamination(Settings):
    """Params of rule `find_contamination`."""

    contamination: Contamination
    tasks: dict[str, TaskData]
    mirror: str | None
    files: UserFilesDigest


class FindParaphrases(Paraphrases):
    """Params of rule `find_paraphrases`."""

    model: str
    """The model of the embeddings."""
    revision: str | None
    tasks: dict[str, TaskData]
    mirror: str | None
    files: UserFilesDigest
    seed: int


class TrainTokenizer(Settings):
    """Params of rule `train_tokenizer`."""

    train: TrainedTokenizer
    pad_token: str | None


class BuildModel(Settings):
    """Params of rule `build_model`."""

    architecture: Architecture
    build: BuiltModel
    tokenizer: Location | None
    """For random weights only; a GGUF file contains its tokenizer."""
    digest: WeightsDigest = None
    seed: int


class ChatTemplate(Settings):
    """Chat template of `prompt_format: chat`."""

    template: str | None = None
    """Jinja text; null: the tokenizer's own template."""
    system: str | None = None
    """System message of each prompt; null: none, or the template's own default."""
    options: dict[str, bool | int | float | str | None] = {}
    """Variables of the template."""


OnlyForChat = Annotated[ChatTemplate | None, Field(exclude_if=lambda chat: chat is None)]
"""Chat template, only for `prompt_format: chat`; params of other prompt formats do not have it."""


class TokenizePairs(Settings):
    """Params of rule `tokenize_pairs`."""

    tokenizer: Location
    prompt_format: str
    """Prompt format of the instructions (`lamini.prompt_formats`)."""
    chat: OnlyForChat = None
    pad_token: str | None
    thinking: Annotated[Thinking | None, Field(exclude_if=lambda kind: kind is None)] = None
    """The mixture's; null for `strip`, too, with which no response has thoughts."""


class TrainModel(Settings):
    """Params of rule `train_model`: the training run of one student."""

    model: str
    name: Annotated[str, Field(exclude=True)] = ""
    """Title of the model card. Not one of the params: another name does not retrain a model."""
    architecture: Architecture
    initialization: Location
    tokenizer: Location
    prompt_format: str
    chat: OnlyForChat = None
    pad_token: str | None
    recipe: Recipe

    def as_params(self) -> dict[str, Any]:
        """All fields, except the recipe's fields of speed and safety."""
        return super().as_params() | {"recipe": self.recipe.result_params()}


class SweepPoint(Settings):
    """A student of a sweep (`lamini.settings.sweeps.Point`)."""

    model: str
    """Its name in the configuration."""
    student: str
    mixture: str
    samples: float
    seed: int


class FitSweep(Settings):
    """Params of rule `fit_sweep`."""

    points: list[SweepPoint]
    tasks: list[str]
    """Evaluated tasks; empty: only the held-out loss is fitted."""
    version: Version


class MirrorTaskData(TaskData):
    """Params of rule `mirror_task_data`."""


class EvaluatedModel(Settings):
    """A model that is evaluated or that generates answers."""

    model: str
    """Key of the model in the configuration."""
    architecture: Architecture
    prompt_format: str | None
    """Prompt format (wrapper) of the model; null: the bare text."""
    chat: OnlyForChat = None
    path: str
    """Folder or hub id."""
    revision: str | None
    """Commit or tag on the hub."""
    digest: WeightsDigest = None


class EvaluateModel(Settings):
    """Params of rule `evaluate_{batch}`: one model and a batch of tasks."""

    model: EvaluatedModel
    tasks: dict[str, Task]
    evaluation: Evaluation
    """`protocol` and `precision` are resolved for this model."""
    files: UserFilesDigest

    def as_params(self) -> dict[str, Any]:
        """All fields, except the batching of tasks and the batch size."""
        without_effect = {"evaluation": {"batches", "tokens_per_batch"}}
        return self.model_dump(mode="json", exclude=without_effect)


class ExportGguf(Settings):
    """Params of rule `export_gguf`."""

    model: EvaluatedModel
    name: str
    """Display name of the student, which the file contains."""
    type: GgufType
    version: int


class ExportCtranslate2(Settings):
    """Params of rule `export_ctranslate2`."""

    model: EvaluatedModel
    type: CTranslate2Type
    version: int


class CheckExport(EvaluateModel):
    """Params of rule `check_export`: the evaluation on one task, and the greedy tokens."""

    type: ExportType
    max_new_tokens: int
    """Greedy tokens that are compared per instruction."""
    version: int


class GenerateAnswers(Settings):
    """Params of rule `generate_answers`."""

    model: EvaluatedModel
    answers: Answers
    files: UserFilesDigest
    seed: int

    def as_params(self) -> dict[str, Any]:
        """All fields, except the batch size."""
        return self.model_dump(mode="json", exclude={"answers": {"tokens_per_batch"}})


class SelectItems(Settings):
    """Params of rule `select_items`: the study's settings that affect the selection."""

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
    files: UserFilesDigest
    seed: int


class MakeRatingSheets(Settings):
    """Params of rule `make_rating_sheets_{study}`."""

    study: str
    kind: Literal["models", "dataset"]
    protocol: RatingProtocol
    version: int


class JudgeItems(Settings):
    """Params of rule `judge_items`."""

    study: str
    model: str
    """The teacher's model name."""
    judge: Judge
    protocol: Annotated[RatingProtocol, Field(exclude_if=lambda protocol: protocol == "own")] = (
        "own"
    )
    seed_requests: bool
    seed: int


class CollectRatings(Settings):
    """Params of rule `collect_ratings`."""

    study: str
    kind: Literal["models", "dataset"]
    annotators: list[str]
    """Names of the annotators."""
    replicates: int
    files: UserFilesDigest
    seed: int
    version: int
