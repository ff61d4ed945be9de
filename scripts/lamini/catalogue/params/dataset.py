"""Params of the tables and figures of the dataset."""

from typing import Literal

from lamini.catalogue.params.common import BuilderParams, SourceParams


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
