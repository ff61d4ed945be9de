"""Whether one model is better than another on a task: compared example by example.

Interval and test of a comparison are of one kind: the 95 % interval contains 0 exactly when p is
0.05 or more.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000
LEVEL = 0.05
"""Of every test; intervals cover the rest, 95 %."""
_AT_ONCE = 500
"""Resamples drawn at once, for memory alone."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """A second model against a first one on the same examples, in points of a score times 100."""

    difference: float
    interval: Interval | None
    """95 % interval of the difference; None where graded values all differ by the same."""
    p_value: float
    """Of no difference, two-sided."""
    test: str
    """`McNemar` (exact, for right-or-wrong) or `permutation` (of signs, for graded values)."""


def compare(first: ArrayLike, second: ArrayLike, seed: int) -> Comparison:
    """Compare two models' values, 0 to 1, of the same examples.

    Args:
        first: of the baseline.
        second: of the model that may be better.
        seed: of the permutations.

    Raises:
        ValueError: when the models were not measured on equally many examples.
    """
    before, after = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if before.shape != after.shape:
        raise ValueError(f"{len(before)} and {len(after)} examples can't be compared")
    differences = np.round(after - before, 12)  # equal ones are equal, however computed
    graded = not set(differences.tolist()) <= {-1.0, 0.0, 1.0}
    interval, p_value = _permutation(differences, seed) if graded else _mcnemar(differences)
    return Comparison(
        difference=100 * float(differences.mean()),
        interval=None if interval is None else (100 * interval[0], 100 * interval[1]),
        p_value=p_value,
        test="permutation" if graded else "McNemar",
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number by Holm's method (1979, Scand. J. Statist. 6).

    Rejecting those below 0.05 rejects no true null hypothesis with a probability of 95 %.
    """
    raw = np.asarray(p_values, dtype=float)
    order = np.argsort(raw)
    stepped = raw[order] * np.arange(len(raw), 0, -1)
    corrected = np.empty_like(raw)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in corrected]


def _mcnemar(differences: np.ndarray) -> tuple[Interval, float]:
    """Exact McNemar: the examples that only one model has right are a fair coin's throws.

    The interval is that of Fay and Lumbard (2021, Stat. Med. 40, 1147), made for this test.
    """
    from scipy.stats import binomtest

    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    p_value = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    count = len(differences)
    return (_lower_end(won, lost, count), -_lower_end(lost, won, count)), p_value


@functools.cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    """Nodes between -1 and 1, and their weights, to integrate with."""
    return np.polynomial.legendre.leggauss(200)


def _lower_end(won: int, lost: int, count: int) -> float:
    """Lower end of the interval of a difference of two shares of the same examples.

    The difference is the share of examples on which the models differ, times how far more than
    half of these are won. Each factor has a confidence distribution (a beta distribution, as in
    Clopper and Pearson's interval); the end is the 2.5 % quantile of their product. Where the
    product is negative, more examples that differ make it smaller, so the upper distribution of
    their share is taken, and else the lower.
    """
    from scipy.optimize import brentq
    from scipy.special import betainc, betaincc, betaincinv

    tail, differ = LEVEL / 2, won + lost
    if won == 0:
        return -float(betaincinv(differ + 1, count - differ, 1 - tail)) if differ < count else -1.0
    below_half = float(betainc(won, lost + 1, 0.5))  # p of the one-sided test
    negative = below_half >= tail
    if negative and differ == count:
        return 2 * float(betaincinv(won, lost + 1, tail)) - 1
    start, end = (0.0, below_half) if negative else (below_half, 1.0)
    nodes, weights = _gauss_legendre()
    effects = 2 * betaincinv(won, lost + 1, start + (end - start) * (nodes + 1) / 2) - 1
    weights = weights * (end - start) / 2

    def excess(limit: float) -> float:
        """Probability of a product up to `limit`, less the tail."""
        shares = np.minimum(limit / effects, 1)
        if negative:
            return float(weights @ betaincc(differ + 1, count - differ, shares)) - tail
        return below_half + float(weights @ betainc(differ, count - differ + 1, shares)) - tail

    return float(brentq(excess, -1.0, 0.0) if negative else brentq(excess, 0.0, 1.0))


def _permutation(differences: np.ndarray, seed: int) -> tuple[Interval | None, float]:
    """How often random signs give a mean as far from zero as the observed one, and the interval.

    A shift of all differences is in the interval when what is left after it has a p of 0.05 or
    more. Random signs turn a shifted sum into a straight line over the shift, so each draw is as
    far out as the observed sum on one stretch of shifts around the observed mean; the interval's
    ends are quantiles of the ends of these stretches.
    """
    count, total = len(differences), float(differences.sum())
    distinct, counts = np.unique(differences, return_counts=True)
    generator = np.random.default_rng(seed)
    starts, ends = [], []
    for _ in range(RESAMPLES // _AT_ONCE):
        # Equal differences have so many plus signs: a binomial number, drawn at once.
        plus = generator.binomial(counts, 0.5, size=(_AT_ONCE, len(counts)))
        signs = 2 * plus - counts
        sums, net = signs @ distinct, signs.sum(axis=1)
        same = np.abs(net) == count  # all signs are equal: as far out as observed at any shift
        one = (total - sums) / np.where(same, 1, count - net)
        other = (total + sums) / np.where(same, 1, count + net)
        starts.append(np.where(same, -np.inf, np.minimum(one, other)))
        ends.append(np.where(same, np.inf, np.maximum(one, other)))
    # Rounded, so that ties with the observed sum are ties.
    start, end = (np.round(np.concatenate(parts), 12) for parts in (starts, ends))
    # The observed signs count as one of the draws, so that the p-value is never zero.
    p_value = float(((start <= 0) & (end >= 0)).sum() + 1) / (RESAMPLES + 1)
    if len(distinct) == 1:
        return None, p_value
    needed = math.ceil(LEVEL * (RESAMPLES + 1)) - 1
    low, high = np.sort(start)[needed - 1], np.sort(end)[-needed]
    return (max(float(low), -1.0), min(float(high), 1.0)), p_value
