"""Results of a sweep, fitted: content of `results/sweeps/{sweep}.json`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from lamini.evaluation.bootstrap import Interval
from lamini.json_file import JsonFile

Measure = Literal["score", "held_out_loss"]
"""`score`: mean of the tasks, in points; `held_out_loss`: nats per supervised token."""


class _OfStudent(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    student: str
    """Key of the student in `sweeps.{name}.students`."""
    mixture: str


class Trained(_OfStudent):
    """One training of a sweep."""

    samples: float
    """Share of the training pairs."""
    seed: int
    pairs: int
    """Number of training pairs."""
    score: float | None
    """Mean score of the tasks; null without tasks."""
    held_out_loss: float | None
    """Null without held-out pairs."""


class SizeMeans(_OfStudent):
    """All seeds of a student at one size."""

    samples: float
    pairs: float
    """Mean number of training pairs."""
    seeds: int
    score: float | None
    """Mean score of tasks and seeds; null without tasks."""
    interval: Interval | None
    """95 % interval of the score, by seeds and examples; null with one seed."""
    seed_deviation: float | None
    """Standard deviation of the score between the seeds of all sizes; null with one seed."""
    example_error: float | None
    """Standard error of the score from the choice of examples; null without tasks."""
    held_out_loss: float | None
    """Mean of the seeds."""
    loss_deviation: float | None
    """Standard deviation of the held-out loss between the seeds of this size."""


class HeldBack(BaseModel):
    """The largest size, predicted from the smaller ones."""

    model_config = ConfigDict(frozen=True)

    samples: float
    pairs: float
    predicted: float
    interval: Interval
    """95 % interval of the mean of the seeds."""
    measured: float


class FittedLaw(_OfStudent):
    """The law a + b * n^-c of a student, n in training pairs."""

    measure: Measure
    a: float
    b: float
    c: float
    deviation: float
    """Standard deviation of a training around the law."""
    curve: list[tuple[float, float, float, float]]
    """Pairs, value, and ends of the law's 95 % interval."""
    held_back: HeldBack | None
    """Null with fewer than four sizes, or too few seeds."""


class Compared(BaseModel):
    """Two students at the largest size, or one student on two mixtures."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    first: tuple[str, str]
    """Student and mixture with the higher score."""
    second: tuple[str, str]
    differing: list[str]
    """Measurement conditions that differ (`lamini.evaluation.conditions`)."""
    difference: float | None
    """First score minus second score, in points; null if their examples differ."""
    interval: Interval | None
    p_value: float | None
    p_holm: float | None
    """p-value corrected for all comparisons of the sweep."""
    seed_deviation: float | None
    example_error: float | None


class SweepResult(JsonFile):
    """Trainings, sizes, laws and comparisons of a sweep."""

    tasks: list[str]
    """Tasks of the scores."""
    trained: list[Trained]
    sizes: list[SizeMeans]
    laws: list[FittedLaw]
    compared: list[Compared]
    """At the largest size."""
