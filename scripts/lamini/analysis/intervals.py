"""How much a mean over texts would differ for other texts drawn alike."""

from typing import NamedTuple

from scipy.stats import t as student

LEAST = 10
"""With fewer values a margin tells nothing."""


class Estimate(NamedTuple):
    """A mean with half the width of its 95 % interval; no margin: of too few values."""

    value: float
    margin: float | None


def margin(count: int, total: float, squares: float) -> float | None:
    """Half the width of the 95 % interval of a mean.

    Args:
        count: number of values.
        total: their sum.
        squares: the sum of their squares.
    """
    if count < LEAST:
        return None
    variance = max(squares - total * total / count, 0.0) / (count - 1)
    return float(student.ppf(0.975, count - 1)) * (variance / count) ** 0.5
