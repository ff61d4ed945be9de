"""Differences between models, with intervals and p-values."""

import itertools
from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest

from lamini.evaluation.comparison import Comparison, compare, holm


def _of_counts(won: int, lost: int, count: int) -> Comparison:
    before = [0.0] * won + [1.0] * lost + [1.0] * (count - won - lost)
    return compare(before, [1.0] * won + [0.0] * lost + [1.0] * (count - won - lost), 1)


def _contains_zero(found: Comparison) -> bool:
    assert found.interval is not None
    return found.interval[0] <= 0 <= found.interval[1]


def test_mcnemar_counts_the_examples_on_which_models_differ() -> None:
    # 10 examples won and 2 lost: twice the binomial tail, 2 * (1 + 12 + 66) / 2**12.
    found = _of_counts(10, 2, 62)
    assert found.test == "McNemar"
    assert found.p_value == pytest.approx(2 * 79 / 4096)
    assert found.difference == pytest.approx(100 * 8 / 62)
    assert compare([1, 0], [1, 0], 1).p_value == 1
    turned = _of_counts(2, 10, 62)
    assert (turned.p_value, turned.difference) == (found.p_value, -found.difference)
    assert turned.interval == tuple(-end for end in reversed(found.interval or ()))


@pytest.mark.parametrize(
    ("won", "lost", "count", "interval"),
    [
        # By integrating over both beta distributions with scipy's `quad`, as the method says.
        (150, 86, 1600, (2.0598, 5.9438)),
        (8, 2, 277, (-0.4197, 5.0428)),
        (5, 0, 100, (-0.2229, 11.2835)),
        (2, 9, 161, (-9.3855, 0.2452)),
        (9, 3, 14, (-12.3928, 80.4013)),
        # No example differs: up to 1 - 0.025 ** (1 / 12) of all may.
        (0, 0, 12, (-26.4648, 26.4648)),
        # All examples differ: Clopper and Pearson's interval of the share won, doubled, less one.
        (9, 3, 12, (-14.3717, 89.0279)),
        (1, 0, 1, (-95.0, 100.0)),
    ],
)
def test_the_interval_of_a_difference(
    won: int, lost: int, count: int, interval: tuple[float, float]
) -> None:
    assert _of_counts(won, lost, count).interval == pytest.approx(interval, abs=0.001)


@pytest.mark.parametrize("count", [1, 3, 7, 12])
def test_interval_and_exact_test_agree_on_every_outcome(count: int) -> None:
    for won in range(count + 1):
        for lost in range(count + 1 - won):
            found = _of_counts(won, lost, count)
            exact = binomtest(won, won + lost).pvalue if won + lost else 1.0
            assert found.p_value == pytest.approx(exact)
            assert _contains_zero(found) == (exact >= 0.05), (won, lost)


def test_the_interval_covers_every_true_difference() -> None:
    count = 12
    outcomes = [(won, lost) for won in range(count + 1) for lost in range(count + 1 - won)]
    intervals = {outcome: _of_counts(*outcome, count).interval for outcome in outcomes}
    for better, worse in itertools.product(np.linspace(0, 1, 11), repeat=2):
        if better + worse > 1:
            continue
        true, covered = 100 * (better - worse), 0.0
        for (won, lost), interval in intervals.items():
            assert interval is not None
            if interval[0] - 1e-9 <= true <= interval[1] + 1e-9:
                ways = comb(count, won) * comb(count - won, lost)
                rest = max(1 - better - worse, 0) ** (count - won - lost)
                covered += ways * better**won * worse**lost * rest
        assert covered >= 0.95, (better, worse)


def _all_signs(differences: np.ndarray, shift: float) -> float:
    """P-value of the permutation test for a shift, from all combinations of signs."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    moved = differences - shift
    return float((np.abs(signs @ moved) >= abs(moved.sum()) - 1e-9).mean())


def test_graded_values_are_permuted() -> None:
    generator = np.random.default_rng(3)
    before, after = generator.random((2, 12))
    differences = after - before
    found = compare(before, after, 2)
    assert found.test == "permutation"
    assert found.difference == pytest.approx(100 * differences.mean())
    assert found.p_value == pytest.approx(_all_signs(differences, 0), abs=0.02)
    assert found.interval is not None
    for end in found.interval:  # the test inverted: p is 0.05 at each end
        assert _all_signs(differences, end / 100) == pytest.approx(0.05, abs=0.01)
    assert found == compare(before, after, 2)


def test_equal_differences_of_graded_values_have_no_interval() -> None:
    assert compare([0.25] * 9, [0.5] * 9, 1).interval is None


def test_interval_and_permutation_test_agree() -> None:
    generator, contained = np.random.default_rng(0), []
    for number in range(40):
        before = generator.random(60)
        after = np.clip(before + generator.normal(0.03, 0.1, 60), 0, 1)
        found = compare(before, after, number)
        assert _contains_zero(found) == (found.p_value >= 0.05)
        contained.append(_contains_zero(found))
    assert len(set(contained)) == 2, "both outcomes occurred"


def test_a_few_graded_values_allow_every_difference() -> None:
    found = compare([0.1, 0.3, 0.5], [0.4, 0.5, 0.6], 1)
    assert found.interval == (-100, 100), (
        "2 of 8 sign combinations are as extreme, so p is at least 0.25"
    )
    assert found.p_value == pytest.approx(0.25, abs=0.02)


def test_a_true_null_is_rejected_as_often_as_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamini.evaluation.comparison.RESAMPLES", 2000)
    generator, rejected = np.random.default_rng(1), 0
    for number in range(300):
        before, after = generator.integers(0, 11, (2, 60)) / 10
        rejected += compare(before, after, number).p_value < 0.05
    # 15 of 300 are expected; fewer than 4, or more than 26, are rarer than 1 in 250 each.
    assert 4 <= rejected <= 26


def test_holms_correction() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, and never less than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_other_numbers_of_examples_are_no_comparison() -> None:
    with pytest.raises(ValueError, match="2 and 3 examples"):
        compare([1, 0], [1, 0, 1], 1)
