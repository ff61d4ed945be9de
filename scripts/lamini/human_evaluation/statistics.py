"""Counts, shares, comparisons and agreement of ratings; never of people's and machine's together.

Instructions are the units of all intervals and tests, not single ratings: the texts of one
instruction are rated by the same person, and so are not independent.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from lamini.evaluation.comparison import compare
from lamini.files import derive_seed
from lamini.human_evaluation.protocol import LEVELS

Row = Mapping[str, str]
Array = np.ndarray[Any, np.dtype[Any]]
CONFIDENCE = 0.95
BEST = len(LEVELS) - 1


def value(rating: str) -> int:
    """A = 3 ... D = 0."""
    return BEST - LEVELS.index(rating)


def level_shares(rows: Sequence[Row], replicates: int, seed: int) -> list[dict[str, Any]]:
    """Counts and shares of the levels, and the mean, of each subject and part.

    Args:
        rows: rated rows of one kind of rater: `subject`, `part`, `group`, `rating`.
        replicates: resamples of the groups.
        seed: of the resampling.

    Returns:
        A row per subject and part: `counts` by level, `shares` by level and `mean` (A = 3 ... D =
        0), each with its 95 % interval.
    """
    result = []
    for (subject, part), rated in sorted(_grouped(rows, "subject", "part").items()):
        counts = np.array(
            [
                [sum(row["rating"] == level for row in members) for level in LEVELS]
                for members in _grouped(rated, "group").values()
            ]
        )
        draws = _resampled(counts, replicates, seed, subject, part)
        shares = draws / draws.sum(axis=1, keepdims=True)
        values = np.array([value(level) for level in LEVELS])
        total = counts.sum(axis=0)
        result.append({
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
        })  # fmt: skip
    return result


def pairwise_comparisons(rows: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    """Every two subjects on the instructions where both are rated.

    Args:
        rows: as in `level_shares`; an item that was rated twice counts with its mean.
        seed: of the permutations.

    Returns:
        A row per part and pair: on how many instructions the `first` is better, equal, worse; the
        mean `difference` (first minus second, in levels) with its 95 % interval, whose ends are
        null where all differences are equal; and the `p` of no difference, not corrected for the
        number of pairs. Interval and p are of one test (`lamini.evaluation.comparison`).
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
            result.append({
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
                        ("estimate", found.difference), ("low", low), ("high", high)
                    )
                },
                "p": found.p_value,
            })  # fmt: skip
    return result


def annotator_agreement(rows: Iterable[Row]) -> dict[str, Any] | None:
    """How far people agree on the items that two of them rated; none when there are no such items.

    Krippendorff's alpha takes the levels as ordered. Cohen's kappa has quadratic weights; who of
    the two comes first must not matter, so each pair counts in both orders.
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
    matrix = [[_known(rated.get(name)) for rated in twice.values()] for name in names]
    both = pairs + [(other, one) for one, other in pairs]
    return {"items": len(twice), **_exactness(pairs), **_coefficients(matrix, both)}


def judge_agreement(human: Iterable[Row], machine: Iterable[Row]) -> dict[str, Any] | None:
    """How far the judge agrees with people, per rating of a person; none without both.

    `confusion` has people's levels as keys, and below them the judge's.
    """
    verdicts = {row["item"]: row["rating"] for row in machine}
    pairs = [(row["rating"], verdicts[row["item"]]) for row in human if row["item"] in verdicts]
    if not pairs:
        return None
    matrix = [[value(person) for person, _ in pairs], [value(judge) for _, judge in pairs]]
    confusion = {
        level: {other: pairs.count((level, other)) for other in LEVELS} for level in LEVELS
    }
    exactness = _exactness(pairs)
    return {
        "ratings": len(pairs), **exactness, **_coefficients(matrix, pairs), "confusion": confusion
    }  # fmt: skip


def _exactness(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    gaps = [abs(value(one) - value(other)) for one, other in pairs]
    return {
        "equal": _rounded(np.mean([gap == 0 for gap in gaps])),
        "within_one_level": _rounded(np.mean([gap <= 1 for gap in gaps])),
    }


def _coefficients(
    matrix: Sequence[Sequence[float]], pairs: Sequence[tuple[str, str]]
) -> dict[str, float | None]:
    """Alpha and kappa; null where all ratings are equal, for which neither is defined."""
    import krippendorff
    from sklearn.metrics import cohen_kappa_score

    if len({level for pair in pairs for level in pair}) < 2:
        return {"krippendorff_alpha_ordinal": None, "kappa_quadratic": None}
    ones, others = zip(*pairs, strict=True)
    kappa = cohen_kappa_score(ones, others, labels=LEVELS, weights="quadratic")
    alpha = krippendorff.alpha(np.array(matrix), level_of_measurement="ordinal")
    return {"krippendorff_alpha_ordinal": _rounded(alpha), "kappa_quadratic": _rounded(kappa)}


def _known(rating: str | None) -> float:
    return float("nan") if rating is None else value(rating)


def _grouped(rows: Iterable[Row], *keys: str) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def _resampled(units: Array, replicates: int, seed: int, *place: str) -> Array:
    """Sums over `replicates` resamples of the rows of `units`: replicates x columns."""
    draw = np.random.default_rng(derive_seed("bootstrap", seed, *place))
    weights = draw.multinomial(len(units), np.full(len(units), 1 / len(units)), size=replicates)
    return np.asarray(weights @ units)


def _estimate(estimate: Any, draws: Array) -> dict[str, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return {"estimate": _rounded(estimate), "low": _rounded(low), "high": _rounded(high)}


def _rounded(number: Any) -> float:
    return round(float(number), 4)
