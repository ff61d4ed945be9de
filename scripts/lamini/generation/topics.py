"""Common topics: the Wikipedia categories that pass the filters of section 3.1.

A category is kept if its title has less than three words and it has more than 10 subcategories and
more than 50 pages. Maintenance categories of Wikipedia are then excluded. The funnel holds the
number of rows that each filter left.
"""

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from lamini.errors import LaminiError
from lamini.files import read_jsonl, write_json, write_jsonl
from lamini.generation.dump import Categories, read_category_batches
from lamini.generation.dump_rows import Integers
from lamini.log import Progress
from lamini.settings.params import SelectTopics

_ROWS_IN_DUMP = 2_300_000  # English Wikipedia in 2024; only for the progress line


def select_topics(
    *, dump: str | Path, topics: str | Path, funnel: str | Path, settings: SelectTopics
) -> None:
    """Write the topics of a dump, in the dump's order, and the funnel of the filters.

    Args:
        dump: `mysqldump` file of the `category` table, plain or gzip.
        topics: JSONL to write: `topic`, `category_id`, `subcategories`, `pages`.
        funnel: JSON to write; `stages` lists the filters in order, each with the rows it left.
        settings: the filters.

    Raises:
        LaminiError: the dump cannot be read, or no category passes the filters.
    """
    limits = settings.topics
    excluded = _exclusion(limits.exclude_patterns)
    left: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    kept: list[dict[str, Any]] = []
    with Progress(_ROWS_IN_DUMP, "categories") as progress:
        for categories in read_category_batches(dump, broken):
            left["rows"] += len(categories)
            progress.advance(len(categories))
            numbers = categories.numbers
            words = _count_words(categories, broken)
            passing = (words > 0) & (words <= limits.max_words)
            left["words"] += int(passing.sum())
            passing &= numbers[:, 2] >= limits.min_subcategories
            left["subcategories"] += int(passing.sum())
            pages = numbers[:, 1] - numbers[:, 2] - numbers[:, 3]
            passing &= pages >= limits.min_pages
            left["pages"] += int(passing.sum())
            for row in np.flatnonzero(passing).tolist():
                topic = " ".join(_words(categories.title(row)))
                if excluded and excluded.search(topic):
                    continue
                left["not_maintenance"] += 1
                kept.append(
                    {
                        "topic": topic,
                        "category_id": int(numbers[row, 0]),
                        "subcategories": int(numbers[row, 2]),
                        "pages": int(pages[row]),
                    }
                )
        progress.total = left["rows"]
        progress.advance(left["rows"] - progress.done)
    stages = ["rows", "words", "subcategories", "pages", "not_maintenance"]
    counts = {stage: left[stage] for stage in stages}
    for reason, count in sorted(broken.items()):
        logging.getLogger("lamini").warning("%s: %d rows left out: %s", dump, count, reason)
    if not kept:
        raise LaminiError(f"{dump}: no category passes the filters of `topics`: {counts}")
    write_jsonl(topics, kept)
    write_json(
        funnel, {"stages": [{"stage": k, "left": n} for k, n in counts.items()], "broken": broken}
    )


def _exclusion(patterns: list[str]) -> re.Pattern[str] | None:
    """One pattern of all maintenance categories; None if `patterns` is empty."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise LaminiError(
                f"topics.exclude_patterns: {pattern!r} is not a regular expression ({error})"
            ) from None
    return re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE) if patterns else None


def _words(title: bytes) -> list[str]:
    return title.decode("utf-8").replace("_", " ").split()


def _count_words(categories: Categories, broken: Counter[str]) -> Integers:
    """Number of words of each title; 0 for a title that is not UTF-8, counted as broken."""
    words = categories.plain_words.copy()
    for row in np.flatnonzero(words < 0).tolist():
        try:
            words[row] = len(_words(categories.title(row)))
        except UnicodeDecodeError:
            broken["not_utf8"] += 1
            words[row] = 0
    return words


def read_topics(path: str | Path) -> list[str]:
    """The topics written by `select_topics`, in the dump's order."""
    return [row["topic"] for row in read_jsonl(path)]
