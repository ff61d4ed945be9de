"""Paired comparison of two models on the examples of one task: difference, interval, p-value.

Interval and p-value come from the same test: the 95 % interval contains 0 exactly if p is 0.05 or
more.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lamini.evaluation.bootstrap import Interval

RESAMPLES = 10_000
LEVEL = 0.05
"""Significance level of every test; intervals have a confidence of 1 - 0.05 = 95 %."""
_DRAWS_PER_CHUNK = 500
"""Resamples drawn in one array, to limit memory; the result does not depend on it."""


@dataclass(frozen=True)
class Comparison:
    """Second model minus first model on the same examples, in points (score times 100)."""

    difference: float
    interval: Interval | None
    """95 % interval of the difference; None if the values are graded and all differences equal."""
    p_value: float
    """Two-sided p-value of the null hypothesis of no difference."""
    test: str
    """`McNemar` (exact, for right-or-wrong values) or `permutation` (of signs, graded values)."""


def compare(first: ArrayLike, second: ArrayLike, seed: int) -> Comparison:
    """Compare the values of two models on the same examples.

    Args:
        first: values of the baseline, 0 to 1. Shape (N,).
        second: values of the compared model, 0 to 1. Shape (N,).
        seed: of the sign permutations.

    Raises:
        ValueError: if the numbers of examples differ.
    """
    before, after = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if before.shape != after.shape:
        raise ValueError(f"{len(before)} and {len(after)} examples can't be compared")
    differences = np.round(after - before, 12)  # removes rounding errors between equal differences
    graded = not set(differences.tolist()) <= {-1.0, 0.0, 1.0}
    interval, p_value = _permutation(differences, seed) if graded else _mcnemar(differences)
    return Comparison(
        difference=100 * float(differences.mean()),
        interval=None if interval is None else (100 * interval[0], 100 * interval[1]),
        p_value=p_value,
        test="permutation" if graded else "McNemar",
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple tests by Holm's method (1979, Scand. J. Statist. 6).

    Rejecting every hypothesis with a corrected p-value below 0.05 rejects no true null hypothesis
    with a probability of at least 95 %.
    """
    raw = np.asarray(p_values, dtype=float)
    order = np.argsort(raw)
    stepped = raw[order] * np.arange(len(raw), 0, -1)
    corrected = np.empty_like(raw)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in corrected]


def _mcnemar(differences: np.ndarray) -> tuple[Interval, float]:
    """Exact McNemar test: under the null hypothesis, each example that only one model answers
    correctly is equally likely to be won by either model.

    The interval is that of Fay and Lumbard (2021, Stat. Med. 40, 1147), which matches this test.
    """
    from scipy.stats import binomtest

    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    p_value = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    count = len(differences)
    return (_lower_end(won, lost, count), -_lower_end(lost, won, count)), p_value


@functools.cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    """Nodes between -1 and 1 and weights of Gauss-Legendre quadrature."""
    return np.polynomial.legendre.leggauss(200)


def _lower_end(won: int, lost: int, count: int) -> float:
    """Lower end of the confidence interval of the difference of two paired proportions.

    The difference is a product: the share of examples on which the models differ, times
    2 * (share of these that are won) - 1. Each factor has a confidence distribution (a beta
    distribution, as in the interval of Clopper and Pearson). The lower end is the 2.5 % quantile
    of the product. If the product is negative, a larger share of differing examples makes it
    smaller, so the upper confidence distribution of the share is used; otherwise the lower one.
    """
    from scipy.optimize import brentq
    from scipy.special import betainc, betaincc, betaincinv

    tail, differ = LEVEL / 2, won + lost
    if won == 0:
        return -float(betaincinv(differ + 1, count - differ, 1 - tail)) if differ < count else -1.0
    below_half = float(betainc(won, lost + 1, 0.5))  # p-value of the one-sided test
    negative = below_half >= tail
    if negative and differ == count:
        return 2 * float(betaincinv(won, lost + 1, tail)) - 1
    start, end = (0.0, below_half) if negative else (below_half, 1.0)
    nodes, weights = _gauss_legendre()
    effects = 2 * betaincinv(won, lost + 1, start + (end - start) * (nodes + 1) / 2) - 1
    weights = weights * (end - start) / 2

    def excess(limit: float) -> float:
        """Probability that the product is at most `limit`, minus the tail probability."""
        shares = np.minimum(limit / effects, 1)
        if negative:
            return float(weights @ betaincc(differ + 1, count - differ, shares)) - tail
        return below_half + float(weights @ betainc(differ, count - differ + 1, shares)) - tail

    return float(brentq(excess, -1.0, 0.0) if negative else brentq(excess, 0.0, 1.0))


def _permutation(differences: np.ndarray, seed: int) -> tuple[Interval | None, float]:
    """Sign permutation test of a zero mean: p-value, and the interval of the mean difference.

    A shift is in the interval if the differences minus the shift have a p-value of 0.05 or more.
    With random signs, the shifted sum is linear in the shift. So each draw is at least as extreme
    as the observed sum on one range of shifts around the observed mean. The ends of the interval
    are quantiles of the ends of these ranges.
    """
    count, total = len(differences), float(differences.sum())
    distinct, counts = np.unique(differences, return_counts=True)
    generator = np.random.default_rng(seed)
    starts, ends = [], []
    for _ in range(RESAMPLES // _DRAWS_PER_CHUNK):
        # The number of plus signs among equal differences is binomial: one draw for all of them.
        plus = generator.binomial(counts, 0.5, size=(_DRAWS_PER_CHUNK, len(counts)))
        signs = 2 * plus - counts
        sums, net = signs @ distinct, signs.sum(axis=1)
        same = np.abs(net) == count  # all signs equal: as extreme as observed at every shift
        one = (total - sums) / np.where(same, 1, count - net)
        other = (total + sums) / np.where(same, 1, count + net)
        starts.append(np.where(same, -np.inf, np.minimum(one, other)))
        ends.append(np.where(same, np.inf, np.maximum(one, other)))
    # Rounding removes float errors, so that ties with the observed sum count as ties.
    start, end = (np.round(np.concatenate(parts), 12) for parts in (starts, ends))
    # The observed signs count as one draw, so that the p-value is never zero.
    p_value = float(((start <= 0) & (end >= 0)).sum() + 1) / (RESAMPLES + 1)
    if len(distinct) == 1:
        return None, p_value
    needed = math.ceil(LEVEL * (RESAMPLES + 1)) - 1
    low, high = np.sort(start)[needed - 1], np.sort(end)[-needed]
    return (max(float(low), -1.0), min(float(high), 1.0)), p_value
