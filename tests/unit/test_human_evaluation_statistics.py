"""Shares, comparisons and agreement, compared with independent computations."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamini.files import derive_seed
from lamini.human_evaluation.statistics import (
    annotator_agreement,
    judge_agreement,
    level_shares,
    pairwise_comparisons,
)
from lamini.human_evaluation.summary import AnnotatorAgreement, Estimate


def row(group: str, subject: str, rating: str, annotator: str = "annotator_1") -> dict[str, str]:
    return {
        "item": f"{group}-{subject}",
        "group": group,
        "subject": subject,
        "part": "response",
        "rating": rating,
        "annotator": annotator,
    }


def test_shares_and_their_intervals() -> None:
    ratings = "A" * 30 + "B" * 50 + "D" * 20
    rows = [row(f"g{n}", "m", rating) for n, rating in enumerate(ratings)]
    (share,) = level_shares(rows, 4000, seed=1)
    assert share.counts.values == (30, 50, 0, 20)
    assert share.mean.estimate == 1.9
    a, c = share.shares.A, share.shares.C
    # The binomial's normal interval: 0.3 +- 1.96 sqrt(0.3 * 0.7 / 100).
    assert (a.estimate, a.low, a.high) == (
        0.3,
        pytest.approx(0.21, abs=0.02),
        pytest.approx(0.39, abs=0.02),
    )
    assert (c.estimate, c.low, c.high) == (0.0, 0.0, 0.0)


def resampled(units: np.ndarray, replicates: int, *place: Any) -> np.ndarray:
    """The sum of each resample: a row of `units` is added as often as it was drawn."""
    random = np.random.default_rng(derive_seed("bootstrap", *place))
    chances = [1 / len(units)] * len(units)
    often = random.multinomial(len(units), chances, size=replicates)
    return np.array([sum(n * unit for n, unit in zip(row, units, strict=True)) for row in often])


def estimate(value: float, draws: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"estimate": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def test_intervals_are_percentiles_of_resampled_instructions() -> None:
    rated = ["AB", "D", "ACC", "BB", "A", "CD", "AAB", "C", "BD", "A", "DDD"]
    rows = [row(f"g{n}", "m", rating) for n, found in enumerate(rated) for rating in found]
    counts = np.array([[found.count(level) for level in "ABCD"] for found in rated])
    draws = resampled(counts, 300, 3, "m", "response")
    totals = draws.sum(axis=1)
    assert [share.model_dump() for share in level_shares(rows, 300, seed=3)] == [
        {
            "subject": "m",
            "part": "response",
            "instructions": 11,
            "ratings": 21,
            "counts": {"A": 6, "B": 5, "C": 4, "D": 6},
            "shares": {
                level: estimate(counts[:, n].sum() / 21, draws[:, n] / totals)
                for n, level in enumerate("ABCD")
            },
            "mean": estimate(32 / 21, draws @ [3, 2, 1, 0] / totals),
        }
    ]


def test_ratings_of_one_instruction_are_resampled_together() -> None:
    alone = [row(f"g{n}", "m", "A" if n % 2 else "D") for n in range(40)]
    together = [
        row(f"g{n}", "m", "A" if n % 2 else "D", f"annotator_{k}")
        for n in range(40)
        for k in range(5)
    ]
    (one,), (five,) = level_shares(alone, 2000, 1), level_shares(together, 2000, 1)
    assert five.ratings == 5 * one.ratings and five.mean == one.mean


def test_comparisons_are_made_on_shared_instructions() -> None:
    rows = [
        row("g1", "x", "A"),
        row("g1", "y", "C"),
        row("g2", "x", "B"),
        row("g2", "y", "B"),
        row("g3", "x", "D"),
        row("g4", "z", "A"),
    ]
    (pair,) = pairwise_comparisons(rows, seed=1)
    assert (pair.first, pair.second, pair.instructions) == ("x", "y", 2)
    assert (pair.better, pair.equal, pair.worse) == (1, 1, 0)
    # Two instructions allow every difference: the best p of a permutation of two signs is 0.5.
    assert pair.difference == Estimate(estimate=1.0, low=-3.0, high=3.0)


def test_the_interval_of_a_comparison_belongs_to_its_test() -> None:
    better, worse = "AAB" * 5, "BBC" * 5
    rows = [row(f"g{n}", "x", level) for n, level in enumerate("A" + better)]
    rows += [row(f"g{n}", "y", level) for n, level in enumerate("B" + worse)]
    (always,) = pairwise_comparisons(rows, seed=1)
    assert always.difference == Estimate(estimate=1.0, low=None, high=None), "all are equal"
    rows[-1] = rows[-1] | {"rating": "A"}
    (pair,) = pairwise_comparisons(rows, seed=1)
    # 15 of 16 differences are 1, one is -1: 34 of 2**16 combinations of signs are as far out.
    assert pair.difference.estimate == 0.875
    assert pair.p == pytest.approx(34 / 2**16, abs=0.001)
    assert 0 < pair.difference.low < 0.875 < pair.difference.high < 3
    noise = [row(f"g{n}", m, "AB"[(n + k) % 2]) for n in range(8) for k, m in enumerate("xy")]
    (pair,) = pairwise_comparisons(noise, seed=1)
    assert pair.p == 1.0 and pair.difference.low < 0 < pair.difference.high


def test_an_instruction_that_was_rated_twice_counts_with_its_mean() -> None:
    """`x` and `y` share no instruction, `x` and `z` share four."""
    rows = [row("g0", "y", "A")]
    rows += [row(f"g{n}", "x", rating) for n, rating in enumerate("ABDC", start=1)]
    rows += [row(f"g{n}", "z", rating) for n, rating in enumerate("CBAD", start=1)]
    rows.append(row("g1", "z", "B", "annotator_2"))
    # Gaps of 1.5, 0, -3 and 1: no combination of signs has a sum nearer to zero than theirs.
    assert [pair.model_dump() for pair in pairwise_comparisons(rows, seed=2)] == [
        {
            "part": "response",
            "first": "x",
            "second": "z",
            "instructions": 4,
            "better": 2,
            "equal": 1,
            "worse": 1,
            "p": 1.0,
            "difference": {"estimate": -0.125, "low": -3.0, "high": 3.0},
        }
    ]


def pair_rows(pairs: list[tuple[str, str]], order: str = "pq") -> list[dict[str, str]]:
    """Ratings of the two people that `order` names."""
    return [
        row(f"g{n}", "m", rating, who)
        for n, pair in enumerate(pairs)
        for rating, who in zip(pair, order, strict=True)
    ]


def test_agreement_of_a_known_table() -> None:
    pairs = [("A", "A"), ("B", "C"), ("D", "D"), ("A", "B"), ("C", "C"), ("D", "C")]
    found = annotator_agreement(pair_rows(pairs))
    assert found is not None and found.items == 6
    assert found.equal == 0.5 and found.within_one_level == 1.0
    assert found.krippendorff_alpha_ordinal == pytest.approx(ordinal_alpha(pairs), abs=1e-4)
    # Of the 12 pairs in both orders 6 are one level apart: 6 / 12 in squares. By chance, of the
    # levels AAABBCCCCDDD against themselves, 358 / 144: 1 - 0.5 / 2.4861.
    assert found.kappa_quadratic == 0.7989
    assert annotator_agreement([row("g", "m", "A")]) is None


def test_agreement_where_nobody_rated_everything() -> None:
    """No item has level C; one item is rated A by one person and D by the other."""
    pairs = [("A", "A"), ("B", "A"), ("D", "D"), ("A", "D"), ("B", "B"), ("D", "B"), ("B", "A")]
    people = ["pq", "qr", "pr", "pq", "qr", "pr", "pq"]
    rows = [row("g9", "m", "C")]
    for n, pair in enumerate(pairs):
        rows += [row(f"g{n}", "m", r, who) for r, who in zip(pair, people[n], strict=True)]
    assert annotator_agreement(rows) == AnnotatorAgreement(
        items=7,
        equal=0.4286,
        within_one_level=0.7143,
        krippendorff_alpha_ordinal=round(ordinal_alpha(pairs), 4),
        kappa_quadratic=round(quadratic_kappa(pairs), 4),
    )


def test_two_levels_are_enough_to_disagree() -> None:
    found = annotator_agreement(pair_rows([("A", "B"), ("A", "A"), ("B", "B"), ("A", "A")]))
    assert found is not None and found.kappa_quadratic == 0.4667


def quadratic_kappa(pairs: list[tuple[str, str]]) -> float:
    """Cohen's kappa by its definition, with weights (i - j)^2; each pair counts in both orders."""
    both = np.array([["DCBA".index(level) for level in pair] for pair in pairs])
    both = np.concatenate([both, both[:, ::-1]])
    observed = np.mean((both[:, 0] - both[:, 1]) ** 2)
    expected = np.mean((both[:, :1] - both[:, 1]) ** 2)
    return float(1 - observed / expected)


def ordinal_alpha(pairs: list[tuple[str, str]]) -> float:
    """Krippendorff's alpha by its definition, for two observers and no missing value."""
    levels = "DCBA"
    coincidence = np.zeros((4, 4))
    for one, other in pairs:
        coincidence[levels.index(one), levels.index(other)] += 1
        coincidence[levels.index(other), levels.index(one)] += 1
    totals = coincidence.sum(axis=0)

    def distance(low: int, high: int) -> float:
        low, high = sorted((low, high))
        return (totals[low : high + 1].sum() - (totals[low] + totals[high]) / 2) ** 2

    metric = np.array([[distance(i, j) for j in range(4)] for i in range(4)])
    expected = np.outer(totals, totals) / (totals.sum() - 1)
    return float(1 - (coincidence * metric).sum() / (expected * metric).sum())


LEVEL = st.sampled_from("ABCD")


@given(st.lists(st.tuples(LEVEL, LEVEL), min_size=1, max_size=20))
@settings(deadline=None)
def test_who_comes_first_does_not_matter(pairs: list[tuple[str, str]]) -> None:
    assert annotator_agreement(pair_rows(pairs)) == annotator_agreement(pair_rows(pairs, "qp"))


def test_the_judge_is_compared_rating_by_rating() -> None:
    human = [row("g1", "x", "A"), row("g1", "x", "B", "annotator_2"), row("g2", "x", "D")]
    machine = [
        row("g1", "x", "A", "judge"),
        row("g2", "x", "C", "judge"),
        row("g9", "x", "A", "judge"),
    ]
    found = judge_agreement(human, machine)
    assert found is not None and found.ratings == 3
    assert found.equal == pytest.approx(1 / 3, abs=1e-4)
    # Squares of the distances: 2 / 3 observed, of ABD against AAC 26 / 9 by chance.
    assert found.kappa_quadratic == round(1 - (2 / 3) / (26 / 9), 4)
    assert found.confusion.B.values == (1, 0, 0, 0)
    all_equal = judge_agreement(human[:1], machine)
    assert all_equal is not None
    coefficients = all_equal.krippendorff_alpha_ordinal, all_equal.kappa_quadratic
    assert coefficients == (None, None), "undefined, not perfect"
    assert judge_agreement(human, []) is None
