"""Params of the tables and figures of the human evaluation."""

from typing import Literal

from lamini.catalogue.params.common import BuilderParams, SourceParams


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
