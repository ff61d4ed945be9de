"""Counts, shares, comparisons and agreement of ratings, separate for people and the judge.

The unit of all intervals and tests is the instruction, not the single rating: the same person rates
all texts of an instruction, so their ratings are not independent.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from lamini.arrays import Array
from lamini.evaluation.bootstrap import percentile_interval, resampled_sums
from lamini.evaluation.comparison import compare
from lamini.files import derive_seed
from lamini.human_evaluation.rating_protocols import LEVELS
from lamini.human_evaluation.shown import RatingRow
from lamini.human_evaluation.summary import (
    Agreement,
    AnnotatorAgreement,
    ByLevel,
    Estimate,
    JudgeAgreement,
    LevelShares,
    RatingComparison,
)

BEST = len(LEVELS) - 1


def value(rating: str) -> int:
    """Level as a number: A = 3 ... D = 0."""
    return BEST - LEVELS.index(rating)


def level_shares(rows: Sequence[RatingRow], replicates: int, seed: int) -> list[LevelShares]:
    """Counts, shares and mean of the levels for each subject and part.

    Args:
        rows: ratings of one kind of rater: `subject`, `part`, `group`, `rating`.
        replicates: number of bootstrap resamples of the groups.
        seed: of the resampling.

    Returns:
        One entry per subject and part.
    """
    result = []
    for (subject, part), rated in sorted(_grouped(rows, "subject", "part").items()):
        counts = np.array(
            [
                [sum(row["rating"] == level for row in members) for level in LEVELS]
                for members in _grouped(rated, "group").values()
            ]
        )
        draw_seed = derive_seed("bootstrap", seed, subject, part)
        draws = resampled_sums(counts, np.ones(len(counts)), replicates, draw_seed)
        shares = draws / draws.sum(axis=1, keepdims=True)
        values = np.array([value(level) for level in LEVELS])
        total = counts.sum(axis=0)
        result.append(
            LevelShares(
                subject=subject,
                part=part,
                instructions=len(counts),
                ratings=int(total.sum()),
                counts=ByLevel.of(total.tolist()),
                shares=ByLevel.of(map(_estimate, total / total.sum(), shares.T)),
                mean=_estimate(total @ values / total.sum(), shares @ values),
            )
        )
    return result


def pairwise_comparisons(rows: Sequence[RatingRow], seed: int) -> list[RatingComparison]:
    """Compare every pair of subjects on the instructions where both are rated.

    Args:
        rows: as in `level_shares`; an item that was rated twice counts with its mean.
        seed: of the permutations.

    Returns:
        One entry per part and pair. Interval and `p` are of the same test
        (`lamini.evaluation.comparison`).
    """
    result = []
    for (part,), rated in sorted(_grouped(rows, "part").items()):
        means = {
            subject: {
                group: np.mean([value(row["rating"]) for row in members])
                for (group,), members in _grouped(own, "group").items()
            }
            for (subject,), own in sorted(_grouped(rated, "subject").items())
        }
        for first, second in combinations(means, 2):
            shared = sorted(means[first].keys() & means[second].keys())
            if not shared:
                continue
            one, other = (np.array([means[s][g] for g in shared]) for s in (first, second))
            comparison = compare(
                other / BEST, one / BEST, derive_seed("comparison", seed, part, first, second)
            )
            ends: Sequence[float | None] = [None, None]
            if comparison.interval is not None:
                ends = [_levels(points) for points in comparison.interval]
            result.append(
                RatingComparison(
                    part=part,
                    first=first,
                    second=second,
                    instructions=len(shared),
                    better=int((one > other).sum()),
                    equal=int((one == other).sum()),
                    worse=int((one < other).sum()),
                    difference=Estimate(
                        estimate=_levels(comparison.difference), low=ends[0], high=ends[1]
                    ),
                    p=comparison.p_value,
                )
            )
    return result


def annotator_agreement(rows: Iterable[RatingRow]) -> AnnotatorAgreement | None:
    """Agreement of people on the items that two of them rated; None if there are no such items.

    Krippendorff's alpha is ordinal. Cohen's kappa has quadratic weights. The order of the two
    annotators must not matter, so each pair counts in both orders.
    """
    by_item: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        by_item[row["item"]][row["annotator"]] = row["rating"]
    twice = {item: rated for item, rated in by_item.items() if len(rated) > 1}
    if not twice:
        return None
    pairs = [
        (rated[one], rated[other])
        for rated in twice.values()
        for one, other in combinations(sorted(rated), 2)
    ]
    names = sorted({name for rated in twice.values() for name in rated})
    matrix = [[_value_or_nan(rated.get(name)) for rated in twice.values()] for name in names]
    both = pairs + [(other, one) for one, other in pairs]
    return AnnotatorAgreement(items=len(twice), **dict(_agreement(matrix, both)))


def judge_agreement(
    human: Iterable[RatingRow], machine: Iterable[RatingRow]
) -> JudgeAgreement | None:
    """Agreement of the judge with people, per human rating; None without ratings of both."""
    verdicts = {row["item"]: row["rating"] for row in machine}
    pairs = [(row["rating"], verdicts[row["item"]]) for row in human if row["item"] in verdicts]
    if not pairs:
        return None
    matrix = [[value(person) for person, _ in pairs], [value(judge) for _, judge in pairs]]
    return JudgeAgreement(
        ratings=len(pairs),
        confusion=ByLevel.of(
            ByLevel.of(pairs.count((level, other)) for other in LEVELS) for level in LEVELS
        ),
        **dict(_agreement(matrix, pairs)),
    )


def _agreement(matrix: Sequence[Sequence[float]], pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Agreement of pairs of ratings.

    Args:
        matrix: ratings by rater and item, as numbers, for Krippendorff's alpha.
        pairs: both levels of each pair.
    """
    import krippendorff
    from sklearn.metrics import cohen_kappa_score

    gaps = np.array([abs(value(one) - value(other)) for one, other in pairs])
    alpha = kappa = None
    if len({level for pair in pairs for level in pair}) > 1:
        ones, others = zip(*pairs, strict=True)
        kappa = _rounded(cohen_kappa_score(ones, others, labels=LEVELS, weights="quadratic"))
        alpha = _rounded(krippendorff.alpha(np.array(matrix), level_of_measurement="ordinal"))
    return Agreement(
        equal=_rounded(np.mean(gaps == 0)),
        within_one_level=_rounded(np.mean(gaps <= 1)),
        krippendorff_alpha_ordinal=alpha,
        kappa_quadratic=kappa,
    )


def _value_or_nan(rating: str | None) -> float:
    return float("nan") if rating is None else value(rating)


def _grouped(rows: Iterable[RatingRow], *keys: str) -> dict[tuple[str, ...], list[RatingRow]]:
    groups: dict[tuple[str, ...], list[RatingRow]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def _estimate(estimate: Any, draws: Array) -> Estimate:
    low, high = percentile_interval(draws)
    return Estimate(estimate=_rounded(estimate), low=_rounded(low), high=_rounded(high))


def _levels(points: float) -> float:
    """A difference in percent of the range of levels, in levels."""
    return _rounded(BEST * points / 100)


def _rounded(number: Any) -> float:
    return round(float(number), 4)
