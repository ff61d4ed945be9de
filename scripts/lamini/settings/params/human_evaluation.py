"""Params of the rules of the human evaluation."""

from typing import Annotated, Literal

from pydantic import Field

from lamini.settings.base import Settings
from lamini.settings.human_evaluation import Judge, RatingProtocol
from lamini.settings.params.common import UserFilesDigest


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
