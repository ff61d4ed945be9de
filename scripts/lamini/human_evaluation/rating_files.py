"""Rating files, exported by annotators: reading and validation before any rating is counted.

One error message lists all problems of all files of a study, each with file and item, because the
person who collects the files has to contact the annotators. Files of one person are merged: of two
ratings of an item, the newer one counts.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.human_evaluation.items import Item
from lamini.human_evaluation.rating_protocols import LEVELS
from lamini.settings.params.human_evaluation import CollectRatings
from lamini.user_text import parse_json

FORMAT = "lamini-ratings/2"
"""`format` of the files that pages export now; a later number means other fields."""
FORMATS = ("lamini-ratings/1", FORMAT)
"""Formats that can be read; the first has no times, reasons for skipping, seconds or protocol."""
_MAX_SHOWN = 40
_REEXPORT = "open the file in the current page with Import, check what is left, and export again"
ASK_AGAIN = "request the unchanged file that the page exported"
"""Remedy of a file that the page did not write like this."""


@dataclass(frozen=True, slots=True)
class Rating:
    """Rating of one item by one annotator."""

    item: str
    annotator: str
    rating: str
    """Level; empty if there is only a comment, or if the item was skipped."""
    comment: str
    skipped: str = ""
    """Reason for leaving the item without a rating."""
    seconds: int | None = None
    """Seconds for which the item was marked; None: not measured."""
    time: str = ""
    """Time of the last change in ISO 8601, UTC; empty: unknown."""
    rating_protocol: str = ""
    """Wording of the levels on the page (`RatingProtocolText.version`); empty: unknown."""
    number: int = 0
    """Its number in its file, from 1."""

    def same_as(self, other: "Rating") -> bool:
        """Whether both have the same rating, comment and reason for skipping."""
        return (self.rating, self.comment, self.skipped) == (
            other.rating,
            other.comment,
            other.skipped,
        )


def read_ratings(
    paths: Sequence[str | Path], items: Sequence[Item], settings: CollectRatings
) -> list[Rating]:
    """Read and validate all rating files of a study.

    Args:
        paths: rating files, in the order of the returned ratings.
        items: current items of the study.
        settings: `study` and `annotators` (their names).

    Returns:
        Valid ratings and comments, one per item and annotator; items without a rating are left out.

    Raises:
        LaminiError: lists every problem of every file.
    """
    ratings, problems = _merge(paths, {item.item: item for item in items}, settings)
    if problems:
        shown = "\n".join(f"  {problem}" for problem in _first(problems))
        raise LaminiError(
            f"study {settings.study}, problems in rating files: {len(problems)}\n{shown}"
        )
    return ratings


def rating_problems(paths: Sequence[str | Path], settings: CollectRatings) -> list[str]:
    """Problems of the rating files that are known without the items of the study.

    Args:
        paths: rating files of the study.
        settings: `study` and `annotators` (their names).

    Returns:
        One line per problem; the last one says how many more there are, if there are many.
    """
    return _first(_merge(paths, None, settings)[1])


def _first(problems: Sequence[str]) -> list[str]:
    shown = list(problems[:_MAX_SHOWN])
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    return shown


def _merge(
    paths: Sequence[str | Path], known: Mapping[str, Item] | None, settings: CollectRatings
) -> tuple[list[Rating], list[str]]:
    """The newest rating of each item and annotator, and the problems of all files."""
    problems: list[str] = []
    newest: dict[tuple[str, str], tuple[str, Rating]] = {}
    replaced = 0
    for path in map(str, paths):
        for rating in read_file(path, known, settings, problems):
            key = (rating.annotator, rating.item)
            other_path, other = newest.setdefault(key, (path, rating))
            if rating.same_as(other) and other_path != path:
                continue
            if rating is not other and not (rating.time and other.time):
                where = "twice" if other_path == path else f"here and in {other_path}"
                problems.append(
                    f"{path}: rating {rating.number} (item {rating.item}): is rated {where} by"
                    f" {rating.annotator}; keep the newer one"
                )
            replaced += rating is not other
            if rating.time > other.time:
                newest[key] = (path, rating)
    if replaced and not problems:
        logging.getLogger("lamini").info(
            "%d ratings differ between files of one person; the newer ones count", replaced
        )
    return [rating for _, rating in newest.values()], problems


def read_file(
    path: str, known: Mapping[str, Item] | None, settings: CollectRatings, problems: list[str]
) -> list[Rating]:
    """Read the valid ratings of one file; append its problems to `problems`.

    Args:
        path: a rating file.
        known: the study's items by id; None: they are not known yet.
        settings: `study` and `annotators`.
        problems: one line per problem, with the file, and the number and item of a rating.
    """
    try:
        content = parse_json(Path(path).read_bytes(), path, remedy=ASK_AGAIN)
    except LaminiError as error:
        problems.append(str(error))
        return []
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror})")
        return []
    if wrong := _wrong_file(content, settings):
        problems.append(f"{path}: {wrong}")
        return []
    ratings = []
    for number, row in enumerate(content["ratings"], start=1):
        wrong = _wrong_rating(row, known, content["annotator"])
        if wrong:
            item = f" (item {row['item']})" if isinstance(row, dict) and row.get("item") else ""
            problems.append(f"{path}: rating {number}{item}: {wrong}")
            continue
        ratings.append(
            Rating(
                item=row["item"],
                annotator=content["annotator"],
                rating=row["rating"] or "",
                comment=row.get("comment", ""),
                skipped=row.get("skipped") or "",
                seconds=row.get("seconds"),
                time=row.get("time") or content.get("exported") or "",
                rating_protocol=content.get("protocol", ""),
                number=number,
            )
        )
    return ratings


def _wrong_file(content: Any, settings: CollectRatings) -> str | None:
    """Problem of a file as a whole; None if its ratings can be read."""
    if not isinstance(content, dict) or "format" not in content:
        return f"is no export of a rating sheet (no field `format`); {ASK_AGAIN}"
    types = {"study": str, "annotator": str, "ratings": list}
    missing = [name for name, kind in types.items() if not isinstance(content.get(name), kind)]
    wrong = None
    if content["format"] not in FORMATS:
        wrong = f"has format {content['format']!r}, but {FORMAT!r} is expected; {ASK_AGAIN}"
    elif missing:
        wrong = f"lacks {_quoted(missing)}; {ASK_AGAIN}"
    elif content["study"] != settings.study:
        wrong = (
            f"is of study {content['study']!r}, but among the rating files of"
            f" {settings.study!r}; move it"
        )
    elif content["annotator"] not in settings.annotators:
        known = ", ".join(settings.annotators)
        wrong = f"unknown annotator {content['annotator']!r}; the study has {known}"
    return wrong


def _wrong_rating(row: Any, known: Mapping[str, Item] | None, annotator: str) -> str | None:
    """Problem of one rating of a file; None if it is valid."""
    if not isinstance(row, dict):
        return f"expected an object, found {row!r:.60}"
    missing = [name for name in ("item", "digest", "rating") if name not in row]
    kinds = {"skipped": str | None, "seconds": int | None, "time": str | None}
    other = [name for name, kind in kinds.items() if not isinstance(row.get(name), kind)]
    if missing:
        return f"lacks {_quoted(missing)}; {ASK_AGAIN}"
    rating, comment = row["rating"], row.get("comment", "")
    wrong = None
    if not isinstance(row["item"], str):
        wrong = f"item {row['item']!r:.60} is no text; {ASK_AGAIN}"
    elif rating is not None and rating not in LEVELS:
        wrong = f"rating {rating!r} is none of {', '.join(LEVELS)}, null; correct it"
    elif not isinstance(comment, str):
        wrong = f"comment {comment!r:.60} is no text; correct it"
    elif other:
        wrong = f"{_quoted(other)} is of another type; {ASK_AGAIN}"
    elif known is not None:
        wrong = _wrong_item(row, known.get(row["item"]), annotator)
    return wrong


def _wrong_item(row: Mapping[str, object], item: Item | None, annotator: str) -> str | None:
    """Problem of a rating with the item that it rates; None: no problem."""
    if item is None:
        return f"the study has no such item (was a model or instruction removed?); {_REEXPORT}"
    if row["digest"] != item.digest:
        return f"was rated for another version of its text ({row['digest']}); {_REEXPORT}"
    if annotator not in item.annotators:
        return f"is assigned to {' and '.join(item.annotators)}, not to {annotator}"
    return None


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
