"""Seed prompts of a source: conversion to one format, and sampling.

A sample consists of the rows with the smallest hashes of seed and id. So it depends only on the
seed and the rows, not on the reading order, and only the sampled rows are in memory.
"""

import heapq
import logging
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from lamini.errors import LaminiError
from lamini.files import derive_seed, write_jsonl
from lamini.generation.reports import FunnelStage, PromptFunnel
from lamini.generation.rows import PromptRow
from lamini.generation.seeds import BadRow, later_turns_of, prompt_of, read_seeds
from lamini.log import Progress
from lamini.settings.params.generation import PreparePrompts
from lamini.settings.sources import SeedData

logger = logging.getLogger("lamini")
_LISTED_REJECTS = 1000
_PROGRESS_EVERY = 1000


def prepare_prompts(
    *,
    prompts: str | Path,
    funnel: str | Path,
    settings: PreparePrompts,
) -> None:
    """Write a source's prompts as rows of `id`, `instruction` and `subset`, in reading order.

    Conversations also have `later_turns`: the user turns after the first.

    Args:
        prompts: the JSONL to write.
        funnel: JSON to write with the numbers of rows that were read, rejected (by reason; the
            first thousand with file and row), left after the limit per subset, and kept.
        settings: the collection, its format, the number of samples, and the seed.

    Raises:
        LaminiError: the collection cannot be read, or no row gives a prompt.
    """
    seeds, samples = settings.seeds, settings.samples
    counts: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    rejected_rows: list[dict[str, str | int]] = []
    kept: Counter[str] = Counter()
    rows = _sampled(_read(seeds, counts, rejected, rejected_rows), settings, counts)
    total = write_jsonl(prompts, _by_subset(rows, kept))
    if total == 0:
        raise LaminiError(
            f"{_origin(seeds)}: none of {counts['rows']} rows gives a prompt in the format"
            f" `{seeds.format}`: {dict(rejected)}.{_first_columns(seeds)} Choose another"
            " `seeds.format`, or write the prompts to the columns that this one reads"
        )
    for reason, count in sorted(rejected.items()):
        logger.warning("%s: %d rows rejected: %s", _origin(seeds), count, reason)
    if samples is not None and total < samples:
        logger.warning("%s: only %d prompts for %d samples", _origin(seeds), total, samples)
    left = {
        "rows": counts["rows"],
        "readable": counts["readable"],
        "subset_limit": counts["subset_limit"] or total,
        "samples": total,
    }
    PromptFunnel(
        source=settings.source,
        stages=FunnelStage.of_counts(left),
        rejected=rejected,
        rejected_rows=rejected_rows,
        subsets=len(kept),
        prompts_per_subset=kept,
    ).write(funnel)


def _first_columns(seeds: SeedData) -> str:
    """A sentence with the first row's columns and their types; empty if it has no columns."""
    first = next((row.row for row in read_seeds(seeds)), None)
    if not isinstance(first, dict):
        return ""
    columns = ", ".join(f"{name} ({type(value).__name__})" for name, value in first.items())
    return f" The first row has the columns {columns:.300}."


def _origin(seeds: SeedData) -> str:
    """Path or hub name of the collection, for messages."""
    if seeds.local is not None:
        return seeds.local.path
    assert seeds.hub is not None
    return seeds.hub.repo


def _read(
    seeds: SeedData,
    counts: Counter[str],
    rejected: Counter[str],
    rejected_rows: list[dict[str, str | int]],
) -> Iterator[PromptRow]:
    """Yield the rows that give a prompt; others are counted, and the first thousand are listed."""
    with Progress(0, "seed rows") as progress:
        for subset, number, row, path in read_seeds(seeds):
            counts["rows"] += 1
            if counts["rows"] % _PROGRESS_EVERY == 0:
                progress.total = counts["rows"]
                progress.advance(_PROGRESS_EVERY)
            try:
                instruction = prompt_of(row, seeds.format)
                later = later_turns_of(row, seeds.format)
                length = len(instruction) + sum(map(len, later))
                if seeds.max_characters is not None and length > seeds.max_characters:
                    raise BadRow("too_long")
            except BadRow as error:
                rejected[str(error)] += 1
                if len(rejected_rows) < _LISTED_REJECTS:
                    rejected_rows.append({"place": path, "row": number, "reason": str(error)})
                continue
            counts["readable"] += 1
            prompt: PromptRow = {
                "id": f"{path}:{number}",
                "instruction": instruction,
                "subset": subset,
            }
            if later:
                prompt["later_turns"] = later
            yield prompt
        progress.total = counts["rows"]
        progress.advance(counts["rows"] - progress.done)


def _sampled(
    rows: Iterable[PromptRow], settings: PreparePrompts, counts: Counter[str]
) -> Iterable[PromptRow]:
    """The rows that the limit per subset and the number of samples leave.

    If there is such a number, the rows before it are counted as `subset_limit`.
    """
    # One seed for all sources of a collection: the prompts of its generated source are then also
    # sampled by its original source, if that has as many samples or more.
    if settings.seeds.max_per_subset is not None:
        rows = _sample_subsets(rows, settings.seeds.max_per_subset, settings.seed)
    if settings.samples is not None:
        rows = _sample(_counted(rows, counts, "subset_limit"), settings.samples, settings.seed)
    return rows


def _counted(rows: Iterable[PromptRow], counts: Counter[str], stage: str) -> Iterator[PromptRow]:
    for row in rows:
        counts[stage] += 1
        yield row


def _by_subset(rows: Iterable[PromptRow], kept: Counter[str]) -> Iterator[PromptRow]:
    for row in rows:
        kept[row["subset"]] += 1
        yield row


class _Smallest:
    """The `size` rows with the smallest keys of all offered rows.

    The heap holds `(-key, -position, row)`: its first entry is the row to be replaced next.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._heap: list[tuple[int, int, PromptRow]] = []

    def offer(self, key: int, position: int, row: PromptRow) -> None:
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, (-key, -position, row))
        elif -key > self._heap[0][0]:
            heapq.heapreplace(self._heap, (-key, -position, row))

    def entries(self) -> Iterator[tuple[int, PromptRow]]:
        """Position and row of the kept rows, in no particular order."""
        return ((-position, row) for _, position, row in self._heap)


def _key(row: PromptRow, seed: int, purpose: str) -> int:
    return derive_seed("prepare_prompts", purpose, seed, row["id"])


def _sample_subsets(rows: Iterable[PromptRow], size: int, seed: int) -> list[PromptRow]:
    """Sample at most `size` rows of each subset."""
    subsets: dict[str, _Smallest] = {}
    for position, row in enumerate(rows):
        subset = subsets.setdefault(row["subset"], _Smallest(size))
        subset.offer(_key(row, seed, "subset"), position, row)
    return _in_order(entry for subset in subsets.values() for entry in subset.entries())


def _sample(rows: Iterable[PromptRow], size: int, seed: int) -> list[PromptRow]:
    """Sample at most `size` rows."""
    sample = _Smallest(size)
    for position, row in enumerate(rows):
        sample.offer(_key(row, seed, "source"), position, row)
    return _in_order(sample.entries())


def _in_order(entries: Iterable[tuple[int, PromptRow]]) -> list[PromptRow]:
    return [row for _, row in sorted(entries, key=lambda entry: entry[0])]


class PromptPool:
    """Random access to a source's prompts; only their byte offsets are in memory.

    Args:
        path: output of `prepare_prompts`.
        max_characters: longer prompts are excluded; None: no limit.
        minimum: pools with fewer prompts are excluded.
        by_subset: whether each subset is a pool of its own; else all prompts are one pool.
    """

    def __init__(
        self, path: str | Path, max_characters: int | None, minimum: int, by_subset: bool
    ) -> None:
        self._handle = open(path, "rb")  # noqa: SIM115 - closed by `close`
        self.too_long = 0
        offsets: dict[str, array[int]] = {}
        at = 0
        for line in self._handle:
            row = orjson.loads(line)
            if max_characters is not None and len(row["instruction"]) > max_characters:
                self.too_long += 1
            else:
                pool = row["subset"] if by_subset else ""
                offsets.setdefault(pool, array("Q")).append(at)
            at += len(line)
        self.offsets = {name: pool for name, pool in offsets.items() if len(pool) >= minimum}
        self.too_small = len(offsets) - len(self.offsets)
        if not self.offsets:
            raise LaminiError(
                f"{path}: no subset has {minimum} prompts"
                f"{f' of at most {max_characters} characters' if max_characters else ''};"
                " lower `generation.examples_per_request` or provide more seeds"
            )

    def read(self, pool: str, index: int) -> PromptRow:
        """The prompt number `index` of a pool: `id`, `instruction`, `subset`."""
        self._handle.seek(self.offsets[pool][index])
        row: PromptRow = orjson.loads(self._handle.readline())
        return row

    def close(self) -> None:
        """Close the file."""
        self._handle.close()
