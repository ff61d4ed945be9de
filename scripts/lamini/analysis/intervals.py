"""95 % confidence interval of a mean over sampled texts (Student's t distribution)."""

from typing import NamedTuple

from scipy.stats import t as student

MIN_VALUES = 10
"""Minimum number of values; a margin from fewer values is not meaningful."""


class MeanWithMargin(NamedTuple):
    """A mean, and half the width of its 95 % confidence interval (None: too few values)."""

    value: float
    margin: float | None


def margin(count: int, total: float, squares: float) -> float | None:
    """Half the width of a mean's 95 % confidence interval; None for fewer than `MIN_VALUES` values.

    Args:
        count: number of values.
        total: sum of the values.
        squares: sum of the squared values.
    """
    if count < MIN_VALUES:
        return None
    variance = max(squares - total * total / count, 0.0) / (count - 1)
    return float(student.ppf(0.975, count - 1)) * (variance / count) ** 0.5
