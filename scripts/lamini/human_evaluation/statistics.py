"""Counts, shares, comparisons and agreement of ratings, separate for people and the judge.

The unit of all intervals and tests is the instruction, not the single rating: the same person rates
all texts of an instruction, so their ratings are not independent.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from lamini.evaluation.bootstrap import Array, percentile_interval, resampled_sums
from lamini.evaluation.comparison import compare
from lamini.files import derive_seed
from lamini.human_evaluation.protocol import LEVELS

Row = Mapping[str, str]
BEST = len(LEVELS) - 1


def value(rating: str) -> int:
    """Level as a number: A = 3 ... D = 0."""
    return BEST - LEVELS.index(rating)


def level_shares(rows: Sequence[Row], replicates: int, seed: int) -> list[dict[str, Any]]:
    """Counts, shares and mean of the levels for each subject and part.

    Args:
        rows: ratings of one kind of rater: `subject`, `part`, `group`, `rating`.
        replicates: number of bootstrap resamples of the groups.
        seed: of the resampling.

    Returns:
        One row per subject and part: `counts` by level, `shares` by level and `mean` (A = 3 ... D =
        0), shares and mean with their 95 % intervals.
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
            {
                "subject": subject,
                "part": part,
                "instructions": len(counts),
                "ratings": int(total.sum()),
                "counts": {level: int(n) for level, n in zip(LEVELS, total, strict=True)},
                "shares": {
                    level: _estimate(total[n] / total.sum(), shares[:, n])
                    for n, level in enumerate(LEVELS)
                },
                "mean": _estimate(total @ values / total.sum(), shares @ values),
            }
        )
    return result


def pairwise_comparisons(rows: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    """Compare every pair of subjects on the instructions where both are rated.

    Args:
        rows: as in `level_shares`; an item that was rated twice counts with its mean.
        seed: of the permutations.

    Returns:
        One row per part and pair: numbers of instructions on which `first` is better, equal, worse;
        the mean `difference` (first minus second, in levels) with its 95 % interval, whose ends are
        null if all differences are equal; the p-value `p` of no difference, not corrected for
        multiple tests. Interval and `p` are of the same test (`lamini.evaluation.comparison`).
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
            found = compare(
                other / BEST, one / BEST, derive_seed("comparison", seed, part, first, second)
            )
            low, high = found.interval or (None, None)
            result.append(
                {
                    "part": part,
                    "first": first,
                    "second": second,
                    "instructions": len(shared),
                    "better": int((one > other).sum()),
                    "equal": int((one == other).sum()),
                    "worse": int((one < other).sum()),
                    "difference": {
                        key: None if points is None else _rounded(BEST * points / 100)
                        for key, points in (
                            ("estimate", found.difference),
                            ("low", low),
                            ("high", high),
                        )
                    },
                    "p": found.p_value,
                }
            )
    return result


def annotator_agreement(rows: Iterable[Row]) -> dict[str, Any] | None:
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
    return {"items": len(twice), **_exact_agreement(pairs), **_coefficients(matrix, both)}


def judge_agreement(human: Iterable[Row], machine: Iterable[Row]) -> dict[str, Any] | None:
    """Agreement of the judge with people, per human rating; None without ratings of both.

    `confusion` maps the level of a person to the level of the judge to a count.
    """
    verdicts = {row["item"]: row["rating"] for row in machine}
    pairs = [(row["rating"], verdicts[row["item"]]) for row in human if row["item"] in verdicts]
    if not pairs:
        return None
    matrix = [[value(person) for person, _ in pairs], [value(judge) for _, judge in pairs]]
    confusion = {
        level: {other: pairs.count((level, other)) for other in LEVELS} for level in LEVELS
    }
    exactness = _exact_agreement(pairs)
    return {
        "ratings": len(pairs),
        **exactness,
        **_coefficients(matrix, pairs),
        "confusion": confusion,
    }


def _exact_agreement(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    gaps = [abs(value(one) - value(other)) for one, other in pairs]
    return {
        "equal": _rounded(np.mean([gap == 0 for gap in gaps])),
        "within_one_level": _rounded(np.mean([gap <= 1 for gap in gaps])),
    }


def _coefficients(
    matrix: Sequence[Sequence[float]], pairs: Sequence[tuple[str, str]]
) -> dict[str, float | None]:
    """Alpha and kappa; null if all ratings are equal, because both are undefined then."""
    import krippendorff
    from sklearn.metrics import cohen_kappa_score

    if len({level for pair in pairs for level in pair}) < 2:
        return {"krippendorff_alpha_ordinal": None, "kappa_quadratic": None}
    ones, others = zip(*pairs, strict=True)
    kappa = cohen_kappa_score(ones, others, labels=LEVELS, weights="quadratic")
    alpha = krippendorff.alpha(np.array(matrix), level_of_measurement="ordinal")
    return {"krippendorff_alpha_ordinal": _rounded(alpha), "kappa_quadratic": _rounded(kappa)}


def _value_or_nan(rating: str | None) -> float:
    return float("nan") if rating is None else value(rating)


def _grouped(rows: Iterable[Row], *keys: str) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def _estimate(estimate: Any, draws: Array) -> dict[str, float]:
    low, high = percentile_interval(draws)
    return {"estimate": _rounded(estimate), "low": _rounded(low), "high": _rounded(high)}


def _rounded(number: Any) -> float:
    return round(float(number), 4)
