"""Common topics: the Wikipedia categories that pass the filters of section 3.1.

A category is kept if its title has less than three words and it has more than 10 subcategories and
more than 50 pages. Maintenance categories of Wikipedia are then excluded, by the wiki's own mark if
the dumps have it, and by patterns of titles. The funnel holds the number of rows that each filter
left.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_jsonl, write_jsonl
from lamini.generation.dump import Category, read_categories, read_hidden
from lamini.generation.reports import FunnelStage, TopicFunnel
from lamini.log import Progress
from lamini.settings.params.generation import SelectTopics
from lamini.settings.sources import Topics

_ROWS_IN_DUMP = 2_300_000  # English Wikipedia in 2024; only for the progress line
_PROGRESS_EVERY = 10_000
_STAGES = ("rows", "words", "subcategories", "pages", "not_maintenance")
"""All rows, and the filters in their order."""


def select_topics(
    *,
    dump: str | Path,
    hidden: Sequence[str | Path] = (),
    topics: str | Path,
    funnel: str | Path,
    settings: SelectTopics,
) -> None:
    """Write the topics of a dump, in the dump's order, and the funnel of the filters.

    Args:
        dump: `mysqldump` file of the `category` table, plain or gzip.
        hidden: dumps of the tables `page_props` and `page`, by which hidden categories are known.
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
    hidden_titles: set[bytes] = set()
    if hidden:
        page_props, page = hidden
        hidden_titles = read_hidden(page_props, page, broken)
    categories = read_categories(dump, broken)
    selected = list(
        _selected(
            categories,
            limits=limits,
            excluded=excluded,
            hidden_titles=hidden_titles,
            left=left,
            broken=broken,
        )
    )
    counts = {stage: left[stage] for stage in _STAGES}
    for reason, count in sorted(broken.items()):
        logging.getLogger("lamini").warning("%s: %d rows left out: %s", dump, count, reason)
    if not selected:
        raise LaminiError(f"{dump}: no category passes the filters of `topics`: {counts}")
    write_jsonl(topics, selected)
    TopicFunnel(stages=FunnelStage.of_counts(counts), broken=broken).write(funnel)


def _selected(
    categories: Iterable[Category],
    *,
    limits: Topics,
    excluded: re.Pattern[str] | None,
    hidden_titles: set[bytes],
    left: Counter[str],
    broken: Counter[str],
) -> Iterator[dict[str, Any]]:
    """The topics of the categories that pass all filters.

    Args:
        categories: rows of the dump.
        limits: the filters.
        excluded: pattern of the titles of maintenance categories; null: none.
        hidden_titles: titles of hidden categories.
        left: gets the number of rows after each filter (`_STAGES`).
        broken: gets the number of unreadable rows by reason.
    """
    with Progress(_ROWS_IN_DUMP, "categories") as progress:
        for category in categories:
            left["rows"] += 1
            if left["rows"] % _PROGRESS_EVERY == 0:
                progress.advance(_PROGRESS_EVERY)
            try:
                words = category.title.decode("utf-8").replace("_", " ").split()
            except UnicodeDecodeError:
                broken["not_utf8"] += 1
                continue
            if not 0 < len(words) <= limits.max_words:
                continue
            left["words"] += 1
            if category.subcategories < limits.min_subcategories:
                continue
            left["subcategories"] += 1
            pages = category.members - category.subcategories - category.files
            if pages < limits.min_pages:
                continue
            left["pages"] += 1
            topic = " ".join(words)
            is_hidden = category.hidden or category.title in hidden_titles
            if is_hidden or (excluded and excluded.search(topic)):
                continue
            left["not_maintenance"] += 1
            yield {
                "topic": topic,
                "category_id": category.category_id,
                "subcategories": category.subcategories,
                "pages": pages,
            }
        progress.total = left["rows"]
        progress.advance(left["rows"] - progress.done)


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


def read_topics(path: str | Path) -> list[str]:
    """The topics written by `select_topics`, in the dump's order."""
    return [row["topic"] for row in read_jsonl(path)]
