"""Summary of a study's ratings: counts, shares, comparisons and agreement, for tables and report.

Ratings by people and by the judge are never counted together.
"""

from collections.abc import Iterable
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

from lamini.json_file import JsonFile

T = TypeVar("T")
MACHINE = "a machine"
"""Name of the judge as a rater in tables."""


class _SummaryPart(BaseModel, extra="forbid", frozen=True):
    """Part of a summary."""


class ByRater(_SummaryPart, Generic[T]):
    """Values of people's and of the judge's ratings."""

    human: T
    machine: T

    @property
    def labelled(self) -> list[tuple[str, T]]:
        """Both values with the name of the raters in tables."""
        return [("people", self.human), (MACHINE, self.machine)]


class ByLevel(_SummaryPart, Generic[T]):
    """Values of the four levels."""

    A: T
    B: T
    C: T
    D: T

    @classmethod
    def of(cls, values: Iterable[T]) -> Self:
        """From the values in the order of the levels."""
        a, b, c, d = values
        return cls(A=a, B=b, C=c, D=d)

    @property
    def values(self) -> tuple[T, T, T, T]:
        """Values in the order of the levels."""
        return self.A, self.B, self.C, self.D


class Estimate(_SummaryPart):
    """Estimate with its 95 % interval."""

    estimate: float
    low: float | None
    high: float | None


class AnnotatorCounts(_SummaryPart):
    """Number of ratings of one annotator."""

    assigned: int
    rated: int


class LevelShares(_SummaryPart):
    """Ratings of one subject and part."""

    subject: str
    """Key of the rated model or source."""
    part: str
    instructions: int
    ratings: int
    counts: ByLevel[int]
    shares: ByLevel[Estimate]
    mean: Estimate
    """Mean level: A = 3 ... D = 0."""


class RatingComparison(_SummaryPart):
    """Two subjects, compared on the instructions where both are rated."""

    part: str
    first: str
    second: str
    instructions: int
    better: int
    """Number of instructions on which `first` is better."""
    equal: int
    worse: int
    difference: Estimate
    """Mean difference, first minus second, in levels; no interval if all differences are equal."""
    p: float
    """P-value of no difference, not corrected for multiple tests."""


class Agreement(_SummaryPart):
    """Agreement of two ratings of the same text."""

    equal: float
    """Share of equal ratings."""
    within_one_level: float
    krippendorff_alpha_ordinal: float | None
    """Null if all ratings are equal, because both coefficients are undefined then."""
    kappa_quadratic: float | None


class AnnotatorAgreement(Agreement):
    """Agreement of people, on the items that two of them rated."""

    items: int


class JudgeAgreement(Agreement):
    """Agreement of the judge with people, per human rating."""

    ratings: int
    confusion: ByLevel[ByLevel[int]]
    """Number of ratings by the level of the person, then of the judge."""


class RatingSummary(JsonFile, extra="forbid"):
    """Content of `results/human_eval/{study}/summary.json`."""

    study: str
    kind: str
    items: int
    instructions: int
    assigned: ByRater[int]
    """Number of ratings of the complete study."""
    rated: ByRater[int]
    complete: bool
    """Whether people have rated everything."""
    annotators: dict[str, AnnotatorCounts]
    judge: list[str]
    """Models that judged."""
    shares: ByRater[list[LevelShares]]
    comparisons: ByRater[list[RatingComparison]]
    annotator_agreement: AnnotatorAgreement | None
    """Null if no item was rated twice."""
    judge_agreement: JudgeAgreement | None
    """Null without ratings of both."""
