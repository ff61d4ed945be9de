"""What a task's per-example values say: the score of Table 8's metric, and how sure it is."""

import math
from collections.abc import Sequence

import numpy as np


def summarize(
    values: Sequence[float], replicates: int, seed: int
) -> dict[str, float | list[float]]:
    """Score, standard error and 95 % bootstrap interval, times 100 as the paper's tables have it.

    Args:
        values: the metric of each example, 0 to 1.
        replicates: resamples of the examples.
        seed: of the resampling.
    """
    array = np.asarray(values, dtype=np.float64)
    count = len(array)
    spread = float(array.std(ddof=1)) if count > 1 else 0.0
    low, high = np.quantile(_resampled_means(array, replicates, seed), [0.025, 0.975])
    return {
        "score": round(100 * float(array.mean()), 4),
        "standard_error": round(100 * spread / math.sqrt(count), 4),
        "interval": [round(100 * float(low), 4), round(100 * float(high), 4)],
    }


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
