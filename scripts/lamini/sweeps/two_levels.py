"""Means over seeds and examples, with both as sources of chance.

A mixed model with two crossed random factors, the seed and the example, fitted by its mean squares:
a student is trained with some of all seeds, and evaluated on some of all examples. This is the
analysis of several readers of the same cases (Hillis 2014, Stat. Med. 33, 330), with seeds as
readers; a bootstrap of few seeds would give too narrow intervals.

Tasks are fixed: their means are averaged, and their examples drawn within each task. The variance
between seeds is taken from all sizes of a sweep, as if it were the same at each, because the few
seeds of one size determine it badly. A seed has pairs in common at all sizes, so the sizes are not
independent: further sizes add fewer degrees of freedom than seeds do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lamini.arrays import Array
from lamini.evaluation.bootstrap import Interval

ValuesByTask = Mapping[str, Array]
"""Metric of each example, 0 to 1, or a difference of two; by task. Shape (seeds, examples)."""

CORRELATION = 0.5
"""Correlation that a seed's deviations at two sizes may have at most, for the tests to hold."""


@dataclass(frozen=True)
class TwoLevelMean:
    """Mean over tasks, seeds and examples, in points (times 100)."""

    mean: float
    interval: Interval | None
    """95 % interval; None without several seeds of a size, or if all values are equal."""
    p_value: float | None
    """Two-sided p-value of a mean of 0; None without an interval."""
    seed_deviation: float | None
    """Standard deviation between the seeds of all sizes; None without several seeds of a size."""
    example_error: float
    """Standard error of the mean from the choice of examples."""


def two_level_mean(values: ValuesByTask, others: Sequence[ValuesByTask] = ()) -> TwoLevelMean:
    """Mean of values with seeds and examples as sources of chance.

    Args:
        values: by task; with one seed, the variance between seeds is that of the others.
        others: values at other sizes, for the variance between seeds.
    """
    from scipy.special import stdtr, stdtrit

    tables = [100 * np.asarray(table, float) for table in values.values()]
    tasks, seeds = len(tables), len(tables[0])
    mean = math.fsum(float(table.mean()) for table in tables) / tasks
    examples = sum(_by_examples(table) for table in tables) / tasks**2
    sizes, freedom, squares = 0, 0, 0.0
    for size in (values, *others):
        of_seeds = 100 * np.mean([np.asarray(table).mean(axis=1) for table in size.values()], 0)
        squares += float(((of_seeds - of_seeds.mean()) ** 2).sum())
        freedom += len(of_seeds) - 1
        sizes += len(of_seeds) > 1
    if freedom == 0:
        return TwoLevelMean(mean, None, None, None, math.sqrt(examples))
    between = squares / freedom
    # Both variances contain that of the interaction, which counts once.
    both = sum(_of_both(table) for table in tables) / tasks**2
    own = max(examples - both, 0.0)
    variance = between / seeds + own
    p_value, interval = None, None
    if variance > 0:
        # Of a mean of squares that correlate by CORRELATION**2.
        of_seeds_freedom = freedom / (1 + (sizes - 1) * CORRELATION**2)
        least = min(table.shape[1] for table in tables) - 1
        divisor = (between / seeds) ** 2 / of_seeds_freedom + own**2 / max(least, 1)
        effective = variance**2 / divisor  # Satterthwaite's degrees of freedom
        error = math.sqrt(variance)
        p_value = 2 * float(stdtr(effective, -abs(mean) / error))
        half = float(stdtrit(effective, 0.975)) * error
        interval = (mean - half, mean + half)
    return TwoLevelMean(mean, interval, p_value, math.sqrt(between), math.sqrt(examples))


def _by_examples(table: Array) -> float:
    """Variance of a task's mean from the choice of examples, its share of `_of_both` included."""
    count = table.shape[1]
    return float(table.mean(axis=0).var(ddof=1)) / count if count > 1 else 0.0


def _of_both(table: Array) -> float:
    """Variance of a task's mean from the interaction of seed and example; 0 if unknown."""
    seeds, count = table.shape
    if min(seeds, count) < 2:
        return 0.0
    left = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    return float((left**2).sum()) / ((seeds - 1) * (count - 1)) / (seeds * count)
