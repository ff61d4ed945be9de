"""Bootstrap resamples, and 95 % confidence intervals from their percentiles.

`scipy.stats.bootstrap` draws single examples. Here the number of draws of each distinct row is
multinomial, so time and memory depend on the number of distinct rows, not of examples.
"""

import numpy as np

from lamini.arrays import Array

Interval = tuple[float, float]
"""Ends of a 95 % interval."""


def resampled_sums(rows: Array, counts: Array, replicates: int, seed: int) -> Array:
    """Sums of the drawn rows of each bootstrap resample.

    A resample draws as many rows as there are, with replacement.

    Args:
        rows: distinct rows. Shape (rows,) or (rows, columns).
        counts: number of times that each row occurs. Shape (rows,).
        replicates: number of resamples.
        seed: of the draws.

    Returns:
        One sum per resample. Shape (replicates,) or (replicates, columns).
    """
    total = counts.sum()
    draws = np.random.default_rng(seed).multinomial(total, counts / total, size=replicates)
    return np.asarray(draws @ rows)


def percentile_interval(draws: Array) -> Interval:
    """95 % interval: 2.5 % and 97.5 % quantile of a statistic over resamples."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)
