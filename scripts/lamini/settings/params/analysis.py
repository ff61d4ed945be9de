"""Params of the rules that analyse a dataset."""

from lamini.settings.base import Settings
from lamini.settings.dataset import (
    Contamination,
    Duplicates,
    Funnel,
    MattrTexts,
    MattrTokens,
    Paraphrases,
    PersonalData,
    Verbs,
)
from lamini.settings.evaluation import TaskData
from lamini.settings.params.common import Location, UserFilesDigest


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
