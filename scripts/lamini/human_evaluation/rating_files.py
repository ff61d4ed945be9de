"""Rating files, exported by annotators: reading and validation before any rating is counted.

One error message lists all problems of all files of a study, each with file and item, because the
person who collects the files has to contact the annotators.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_json
from lamini.human_evaluation.items import Item
from lamini.human_evaluation.protocol import LEVELS
from lamini.settings.params import CollectRatings

FORMAT = "lamini-ratings/1"
"""Required `format` of a rating file; a later number means other fields."""
_MAX_SHOWN = 40
_REEXPORT = "open the file in the current page with Import, check what is left, and export again"
_ASK_AGAIN = "request the unchanged file that the page exported"


@dataclass(frozen=True, slots=True)
class Rating:
    """Rating of one item by one annotator."""

    item: str
    annotator: str
    rating: str
    """Level; empty if there is only a comment."""
    comment: str


def read_ratings(
    paths: Sequence[str | Path], items: Sequence[Item], settings: CollectRatings
) -> list[Rating]:
    """Read and validate all rating files of a study.

    Args:
        paths: rating files, in the order of the returned ratings.
        items: current items of the study.
        settings: `study` and `annotators` (their names).

    Returns:
        Valid ratings and comments; items without a rating are left out.

    Raises:
        LaminiError: lists every problem of every file.
    """
    known = {item.item: item for item in items}
    problems: list[str] = []
    ratings: list[Rating] = []
    rated_in: dict[tuple[str, str], str] = {}
    for path in map(str, paths):
        for rating in _read_file(path, known, settings, problems):
            place = (rating.annotator, rating.item)
            if place in rated_in:
                where = "twice" if rated_in[place] == path else f"here and in {rated_in[place]}"
                problems.append(
                    f"{path}: item {rating.item} is rated {where} by {rating.annotator};"
                    " keep the newer one"
                )
                continue
            rated_in[place] = path
            ratings.append(rating)
    if problems:
        shown = problems[:_MAX_SHOWN]
        if len(problems) > len(shown):
            shown.append(f"... and {len(problems) - len(shown)} more")
        raise LaminiError(
            f"study {settings.study}, problems in rating files: {len(problems)}\n"
            + "\n".join(f"  {problem}" for problem in shown)
        )
    return ratings


def _read_file(
    path: str, known: Mapping[str, Item], settings: CollectRatings, problems: list[str]
) -> list[Rating]:
    """Read the valid ratings of one file; append its problems to `problems`."""
    try:
        content = read_json(path)
    except LaminiError as error:
        problems.append(f"{error}; {_ASK_AGAIN}")
        return []
    if wrong := _wrong_file(content, settings):
        problems.append(f"{path}: {wrong}")
        return []
    ratings = []
    for number, row in enumerate(content["ratings"], start=1):
        wrong = _wrong_rating(row, known, content["annotator"])
        if wrong:
            name = row.get("item") if isinstance(row, dict) else None
            problems.append(f"{path}: {f'item {name}' if name else f'rating {number}'}: {wrong}")
            continue
        ratings.append(
            Rating(row["item"], content["annotator"], row["rating"] or "", row.get("comment", ""))
        )
    return ratings


def _wrong_file(content: Any, settings: CollectRatings) -> str | None:
    """Problem of a file as a whole; None if its ratings can be read."""
    if not isinstance(content, dict) or "format" not in content:
        return f"is no export of a rating sheet (no field `format`); {_ASK_AGAIN}"
    types = {"study": str, "annotator": str, "ratings": list}
    missing = [name for name, kind in types.items() if not isinstance(content.get(name), kind)]
    wrong = None
    if content["format"] != FORMAT:
        wrong = f"has format {content['format']!r}, but {FORMAT!r} is expected; {_ASK_AGAIN}"
    elif missing:
        wrong = f"lacks {_quoted(missing)}; {_ASK_AGAIN}"
    elif content["study"] != settings.study:
        wrong = (
            f"is of study {content['study']!r}, but among the rating files of"
            f" {settings.study!r}; move it"
        )
    elif content["annotator"] not in settings.annotators:
        known = ", ".join(settings.annotators)
        wrong = f"unknown annotator {content['annotator']!r}; the study has {known}"
    return wrong


def _wrong_rating(row: Any, known: Mapping[str, Item], annotator: str) -> str | None:
    """Problem of one rating of a file; None if it is valid."""
    if not isinstance(row, dict):
        return f"expected an object, found {row!r:.60}"
    missing = [name for name in ("item", "digest", "rating") if name not in row]
    if missing:
        return f"lacks {_quoted(missing)}; {_ASK_AGAIN}"
    item = known.get(row["item"]) if isinstance(row["item"], str) else None
    rating, comment = row["rating"], row.get("comment", "")
    wrong = None
    if item is None:
        wrong = f"the study has no such item (was a model or instruction removed?); {_REEXPORT}"
    elif row["digest"] != item.digest:
        wrong = f"was rated for another version of its text ({row['digest']}); {_REEXPORT}"
    elif rating is not None and rating not in LEVELS:
        wrong = f"rating {rating!r} is none of {', '.join(LEVELS)}, null"
    elif not isinstance(comment, str):
        wrong = f"comment {comment!r:.60} is no text"
    elif annotator not in item.annotators:
        wrong = f"is assigned to {' and '.join(item.annotators)}, not to {annotator}"
    return wrong


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
