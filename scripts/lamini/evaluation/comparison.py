"""Whether one model is better than another on a task: compared example by example."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """A second model against a first one on the same examples, in points of a score times 100."""

    difference: float
    interval: tuple[float, float]
    """95 % bootstrap interval of the difference."""
    p_value: float
    """Of no difference, two-sided."""
    test: str
    """`McNemar` (exact, for right-or-wrong) or `permutation` (of signs, for graded values)."""


def compare(first: Sequence[float], second: Sequence[float], seed: int) -> Comparison:
    """Compare two models' values, 0 to 1, of the same examples.

    Args:
        first: of the baseline.
        second: of the model that may be better.
        seed: of the resampling.

    Raises:
        ValueError: when the models were not measured on equally many examples.
    """
    before, after = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if before.shape != after.shape:
        raise ValueError(f"{len(before)} and {len(after)} examples can't be compared")
    differences = after - before
    generator = np.random.default_rng(seed)
    distinct, counts = np.unique(differences, return_counts=True)
    drawn = generator.multinomial(len(differences), counts / len(differences), size=RESAMPLES)
    low, high = np.quantile(drawn @ distinct / len(differences), [0.025, 0.975])
    graded = not set(distinct.tolist()) <= {-1.0, 0.0, 1.0}
    p_value = _permutation(differences, generator) if graded else _mcnemar(differences)
    return Comparison(
        difference=100 * float(differences.mean()),
        interval=(100 * float(low), 100 * float(high)),
        p_value=p_value,
        test="permutation" if graded else "McNemar",
    )


def _mcnemar(differences: np.ndarray) -> float:
    """Exact McNemar: the examples that only one model has right are a fair coin's throws."""
    from scipy.stats import binomtest

    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _permutation(differences: np.ndarray, generator: np.random.Generator) -> float:
    """How often random signs give a mean as far from zero as the observed one."""
    moved = differences[differences != 0]
    signs = generator.integers(0, 2, size=(RESAMPLES, len(moved)), dtype=np.int8) * 2 - 1
    sums = np.abs(signs @ moved)
    # The observed signs count as one of the draws, so that the p-value is never zero.
    beyond = int((sums >= abs(moved.sum()) - 1e-9).sum())
    return (beyond + 1) / (RESAMPLES + 1)
