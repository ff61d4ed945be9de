"""What a task's per-example values say: the score of Table 8's metric, and how sure it is."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

NORMAL_95 = NormalDist().inv_cdf(0.975)
"""Standard errors from the mean to each end of a 95 % interval."""


def summarize(
    values: Sequence[float], replicates: int, seed: int
) -> dict[str, float | list[float] | None]:
    """Score, standard error and 95 % interval, times 100 as the paper's tables have it.

    Where each example is right or wrong, the interval is Wilson's. Graded values (F1) are
    resampled. Equal graded values, and a single one, tell nothing of the spread: no interval.

    Args:
        values: the metric of each example, 0 to 1.
        replicates: resamples of graded examples.
        seed: of the resampling.

    Returns:
        `score`; `standard_error`, null where all values are equal; `interval`, or null.
    """
    array = np.asarray(values, dtype=np.float64)
    distinct, count = np.unique(array), len(array)
    equal = len(distinct) == 1
    error = None if equal else float(array.std(ddof=1)) / math.sqrt(count)
    interval: tuple[float, float] | None = None
    if set(distinct.tolist()) <= {0.0, 1.0}:
        interval = wilson(float(array.mean()), count)
    elif not equal:
        low, high = np.quantile(_resampled_means(array, replicates, seed), [0.025, 0.975])
        interval = float(low), float(high)
    return {
        "score": round(100 * float(array.mean()), 4),
        "standard_error": None if error is None else round(100 * error, 4),
        "interval": None if interval is None else [round(100 * end, 4) for end in interval],
    }


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927, JASA 22), which is wider than nothing at 0 and 1.

    Of graded values it is wide enough, too: no values between 0 and 1 vary more than 0 and 1 do.

    Args:
        share: of right examples, or mean of graded ones; 0 to 1.
        count: of examples.
    """
    square = NORMAL_95**2 / count
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _resampled_means(values: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """Means of resamples with replacement. Shape (replicates,).

    How often each distinct value is drawn is multinomial, so that the many examples with equal
    values (an accuracy has two) cost nothing.
    """
    distinct, counts = np.unique(values, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(values), counts / len(values), size=replicates)
    means: np.ndarray = drawn @ distinct / len(values)
    return means
