"""Score, standard error and confidence interval from a task's values per example (Table 8)."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from lamini.evaluation.bootstrap import percentile_interval, resampled_sums

NORMAL_95 = NormalDist().inv_cdf(0.975)
"""Number of standard errors between the mean and each end of a 95 % interval."""


def summarize(
    values: Sequence[float], replicates: int, seed: int
) -> dict[str, float | list[float] | None]:
    """Score, standard error and 95 % interval, all times 100 as in the paper's tables.

    For right-or-wrong values the interval is Wilson's. For graded values (F1) it is a bootstrap
    interval. Equal graded values, or a single one, say nothing about the spread: no interval.

    Args:
        values: metric of each example, 0 to 1.
        replicates: number of bootstrap resamples for graded values.
        seed: of the resampling.

    Returns:
        `score`; `standard_error`, null if all values are equal; `interval`, or null.
    """
    array = np.asarray(values, dtype=np.float64)
    count = len(array)
    distinct, occurrences = np.unique(array, return_counts=True)
    equal = len(distinct) == 1
    error = None if equal else float(array.std(ddof=1)) / math.sqrt(count)
    interval: tuple[float, float] | None = None
    if set(distinct.tolist()) <= {0.0, 1.0}:
        interval = wilson(float(array.mean()), count)
    elif not equal:
        sums = resampled_sums(distinct, occurrences, replicates, seed)
        interval = percentile_interval(sums / count)
    return {
        "score": round(100 * float(array.mean()), 4),
        "standard_error": None if error is None else round(100 * error, 4),
        "interval": None if interval is None else [round(100 * end, 4) for end in interval],
    }


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (1927, JASA 22); its width is not 0 at 0 and 1.

    It is wide enough for graded values too: with the same mean, they vary at most as much as values
    of only 0 and 1.

    Args:
        share: share of correct examples, or mean of graded values; 0 to 1.
        count: number of examples.
    """
    square = NORMAL_95**2 / count
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)
