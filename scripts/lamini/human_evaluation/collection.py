"""Collection of rating files and verdicts into `ratings.csv` and `summary.json`.

The table holds the ratings of people and of the judge, distinguished by the column `rater`. Each
number of the summary counts ratings of only one of the two.
"""

import csv
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lamini.errors import LaminiError
from lamini.files import atomic_writer, read_json, read_jsonl
from lamini.human_evaluation.items import Item, read_items
from lamini.human_evaluation.rating_files import Rating, read_ratings
from lamini.human_evaluation.rating_protocols import LEVELS
from lamini.human_evaluation.shown import RatingRow
from lamini.human_evaluation.statistics import (
    annotator_agreement,
    judge_agreement,
    level_shares,
    pairwise_comparisons,
)
from lamini.human_evaluation.summary import AnnotatorCounts, ByRater, RatingSummary
from lamini.settings.params.human_evaluation import CollectRatings

COLUMNS = (
    "item",
    "group",
    "source_id",
    "stratum",
    "subject",
    "part",
    "rater",
    "annotator",
    "rating",
    "comment",
    "skipped",
    "seconds",
    "time",
    "protocol",
)


def collect_ratings(
    *,
    rated: str | Path,
    key: str | Path,
    verdicts: Sequence[str | Path],
    rating_files: Sequence[str | Path],
    ratings: str | Path,
    summary: str | Path,
    settings: CollectRatings,
) -> None:
    """Merge, unblind and summarize the ratings of a study.

    Args:
        rated: `items.jsonl`.
        key: `key.json`, with model or source of each item.
        verdicts: files with the judge's ratings; may be empty.
        rating_files: rating files of the annotators so far; may be empty.
        ratings: CSV to write: one row per item and assigned rater; `rater` is `human` or `machine`;
            `rating` is empty if there is no rating yet, or if the item was skipped.
        summary: JSON to write: number of ratings, level shares, comparisons, agreement.
        settings: the rule's params.

    Raises:
        LaminiError: lists all problems of the rating files; or verdicts belong to other items.
    """
    items = read_items(rated)
    subjects = read_json(key)
    rows = human_rows(items, subjects, rating_files, settings)
    machine = machine_rows(items, subjects, verdicts)
    with atomic_writer(ratings) as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows + machine)
    statistics = summarize_ratings(rows, machine, settings)
    statistics.write(summary)
    _log(statistics)


def human_rows(
    items: Sequence[Item],
    key: Mapping[str, RatingRow],
    rating_files: Sequence[str | Path],
    settings: CollectRatings,
) -> list[RatingRow]:
    """One row per item and assigned annotator, rated or not."""
    ratings = {(r.item, r.annotator): r for r in read_ratings(rating_files, items, settings)}
    rows = []
    for item in items:
        for annotator in item.annotators:
            rating = ratings.get((item.item, annotator))
            rows.append(_row(item, key, "human", annotator) | (_said(rating) if rating else {}))
    return rows


def _said(rating: Rating) -> RatingRow:
    seconds = "" if rating.seconds is None else str(rating.seconds)
    return {
        "rating": rating.rating,
        "comment": rating.comment,
        "skipped": rating.skipped,
        "seconds": seconds,
        "time": rating.time,
        "protocol": rating.rating_protocol,
    }


def machine_rows(
    items: Sequence[Item], key: Mapping[str, RatingRow], verdicts: Sequence[str | Path]
) -> list[RatingRow]:
    """One row per verdict of the judge."""
    known = {item.item: item for item in items}
    rows = []
    for path in verdicts:
        for verdict in read_jsonl(path):
            item = known.get(verdict["item"])
            if item is None or item.digest != verdict["digest"]:
                raise LaminiError(
                    f"{path}: judges other items than the study has ({verdict['item']}); delete it"
                    " and run again"
                )
            row = _row(item, key, "machine", verdict["model"])
            rows.append(row | {"rating": verdict["rating"] or ""})
    return rows


def summarize_ratings(
    human: Sequence[RatingRow], machine: Sequence[RatingRow], settings: CollectRatings
) -> RatingSummary:
    """Summary of the ratings of people and of the judge."""
    people, judge = ([row for row in rows if row["rating"] in LEVELS] for rows in (human, machine))
    replicates, seed = settings.replicates, settings.seed
    assigned = Counter(row["annotator"] for row in human)
    done = Counter(row["annotator"] for row in people)
    return RatingSummary(
        study=settings.study,
        kind=settings.kind,
        items=len({row["item"] for row in human}),
        instructions=len({row["group"] for row in human}),
        assigned=ByRater(human=len(human), machine=len(machine)),
        rated=ByRater(human=len(people), machine=len(judge)),
        complete=all(row["rating"] or row["skipped"] for row in human),
        annotators={
            name: AnnotatorCounts(assigned=assigned[name], rated=done[name])
            for name in settings.annotators
        },
        judge=sorted({row["annotator"] for row in machine}),
        shares=ByRater(
            human=level_shares(people, replicates, seed),
            machine=level_shares(judge, replicates, seed),
        ),
        comparisons=ByRater(
            human=pairwise_comparisons(people, seed), machine=pairwise_comparisons(judge, seed)
        ),
        annotator_agreement=annotator_agreement(people),
        judge_agreement=judge_agreement(people, judge),
    )


def _row(item: Item, key: Mapping[str, RatingRow], rater: str, annotator: str) -> RatingRow:
    if item.item not in key:
        raise LaminiError(
            f"key.json has no item {item.item}; delete items.jsonl and key.json and run again"
        )
    return {
        "item": item.item,
        "group": item.group,
        **key[item.item],
        "part": item.part,
        "rater": rater,
        "annotator": annotator,
        **dict.fromkeys(COLUMNS[COLUMNS.index("rating") :], ""),
    }


def _log(summary: RatingSummary) -> None:
    logger = logging.getLogger("lamini")
    logger.info(
        "%d of %d ratings by people, %d by a machine",
        summary.rated.human,
        summary.assigned.human,
        summary.rated.machine,
    )
    for name, counts in summary.annotators.items():
        if 0 < counts.rated < counts.assigned:
            logger.info("%s: %d of %d ratings", name, counts.rated, counts.assigned)
