"""Contamination: runs of words that pairs share with evaluated examples of the downstream tasks.

P3 and FLAN were built from such datasets, so a student may have seen evaluated examples in
training. A pair and an example share a run if both contain the same consecutive words (case and the
characters between words are ignored; `lamini.analysis.words` says what a word is). GPT-3's authors
use 13 words as threshold, others use 8. Each text of an example is compared separately: passage,
question, each option.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lamini.analysis.columns import CsvRow, read_batches, write_csv
from lamini.analysis.examples import Examples, read_examples
from lamini.analysis.overlap import OverlapIndex
from lamini.analysis.words import words_with_ranges
from lamini.dataset.manifest import DatasetManifest
from lamini.files import atomic_writer
from lamini.generation.normalization import unified
from lamini.log import Progress
from lamini.settings.dataset import Contamination
from lamini.settings.params.analysis import FindContamination

logger = logging.getLogger("lamini")
PARTS = ("instruction", "response")
HITS = pa.schema(
    [
        ("id", pa.string()),
        ("instruction_source", pa.string()),
        ("task", pa.string()),
        ("instruction_words", pa.int32()),
        ("response_words", pa.int32()),
        ("example", pa.int32()),
        ("examples", pa.int32()),
        ("shared", pa.string()),
    ]
)
"""One row per pair and task that share a run.

`instruction_words`, `response_words`: length of the longest shared run (0: none). `example`: first
example with the longest run (row in the evaluated split). `examples`: number of examples that share
any run. `shared`: the longest run, as written in the pair,
unified (`lamini.generation.normalization`).
"""
HIT_EXAMPLES = pa.schema(
    [("task", pa.string()), ("example", pa.int32()), ("words", pa.int32()), ("pairs", pa.int64())]
)
"""One row per example that shares a run: length of the longest run, number of sharing pairs."""


def find_contamination(
    *,
    manifest: str | Path,
    dataset: str | Path,
    contamination: str | Path,
    hits: str | Path,
    examples: str | Path,
    settings: FindContamination,
) -> None:
    """Compare all pairs of a merged dataset with all evaluated examples.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        contamination: CSV to write, in `columns()`: number of pairs and examples that share
            runs, per task and source. Task `all_tasks` covers all tasks; the mixture's name as
            source covers all sources.
        hits: Parquet to write, schema `HITS`, in the order of the dataset, then of the tasks.
        examples: Parquet to write, schema `HIT_EXAMPLES`.
        settings: the rule's params: contamination settings, and the location of each task's data.

    Raises:
        LaminiError: when a task's examples or the dataset cannot be read.
    """
    chosen = settings.contamination
    dataset_manifest = DatasetManifest.read(manifest)
    evaluated = read_examples(settings.tasks, settings.mirror)
    index = OverlapIndex(
        evaluated.texts,
        evaluated.task_of_text,
        size=min(chosen.ngrams),
        most_texts=chosen.max_texts,
    )
    counts = _SharedRuns(evaluated)
    with (
        atomic_writer(hits, "wb") as handle,
        Progress(dataset_manifest.rows, "pairs") as progress,
        pq.ParquetWriter(handle, HITS, compression="zstd") as writer,
        ThreadPoolExecutor(len(PARTS)) as pool,
    ):
        for source, batch in read_batches(dataset, ["id", *PARTS], manifest, whole=True):
            runs = pl.concat(pool.map(_search, [index] * len(PARTS), [batch] * len(PARTS), PARTS))
            if runs.height:
                writer.write_table(_hits(batch, source, runs, evaluated, counts))
            counts.rows[source] = counts.rows.get(source, 0) + len(batch)
            progress.advance(len(batch))
    write_csv(contamination, columns(chosen), counts.table(dataset_manifest.mixture, chosen))
    with atomic_writer(examples, "wb") as handle:
        pq.write_table(counts.examples(), handle, compression="zstd")


def columns(settings: Contamination) -> tuple[str, ...]:
    """Columns of the CSV; `pairs_8` counts the pairs that share a run of at least 8 words."""
    numbers = (f"{unit}_{n}" for unit in ("pairs", "examples") for n in sorted(settings.ngrams))
    return ("task", "instruction_source", "pairs", "examples", "comparable_examples", *numbers)


def _search(index: OverlapIndex, batch: pa.RecordBatch, part: str) -> pl.DataFrame:
    """Shared runs of one column, each with its byte range in the unified text."""
    words = words_with_ranges(batch[part])
    runs = index.search(words)
    last = runs.start + runs.length - 1
    return pl.DataFrame(
        {
            "row": runs.row,
            "part": np.full(len(runs.row), PARTS.index(part), np.int64),
            "text": runs.text,
            "words": runs.length,
            "begin": words.ranges[runs.start, 0] - words.bounds[runs.row],
            "end": words.ranges[last, 1] - words.bounds[runs.row],
        }
    )


def _hits(
    batch: pa.RecordBatch,
    source: str,
    runs: pl.DataFrame,
    evaluated: Examples,
    counts: "_SharedRuns",
) -> pa.Table:
    """Rows of `HITS` of one batch; adds the runs to `counts`."""
    pairs = runs.join(evaluated.frame, on="text", how="inner")
    counts.add(source, pairs)
    longest = pl.col("words").max()
    merged = (
        pairs.sort("row", "task", -pl.col("words"), "part", "example", "begin")
        .group_by("row", "task", maintain_order=True)
        .agg(
            pl.col("words").filter(pl.col("part") == 0).max().fill_null(0).alias("in_instruction"),
            pl.col("words").filter(pl.col("part") == 1).max().fill_null(0).alias("in_response"),
            pl.col("example", "part", "begin", "end").first(),
            pl.col("example").n_unique().alias("examples"),
            longest,
        )
    )
    shared = [
        unified(batch[PARTS[part]][row].as_py()).encode()[begin:end].decode()
        for part, row, begin, end in merged.select("part", "row", "begin", "end").iter_rows()
    ]
    rows = pa.array(merged["row"].to_numpy())
    return pa.table(
        [
            batch["id"].take(rows),
            pa.array([source] * merged.height, pa.string()),
            pa.array([evaluated.tasks[task] for task in merged["task"]], pa.string()),
            pa.array(merged["in_instruction"].to_numpy().astype(np.int32)),
            pa.array(merged["in_response"].to_numpy().astype(np.int32)),
            pa.array(merged["example"].to_numpy().astype(np.int32)),
            pa.array(merged["examples"].to_numpy().astype(np.int32)),
            pa.array(shared, pa.string()),
        ],
        schema=HITS,
    )


class _SharedRuns:
    """Number of pairs that share runs, per source; length of the longest run, per example."""

    def __init__(self, evaluated: Examples) -> None:
        self._evaluated = evaluated
        self.rows: dict[str, int] = {}
        self._pairs: dict[str, list[pl.DataFrame]] = {}
        self._longest: dict[str, np.ndarray[Any, Any]] = {}
        self._sharing = np.zeros(evaluated.count, np.int64)

    def add(self, source: str, pairs: pl.DataFrame) -> None:
        """Count a batch's runs: `row`, `task`, `number` (index among all examples), `words`."""
        best = pairs.group_by("row", "number").agg(pl.col("words").max())
        longest = self._longest.setdefault(source, np.zeros(self._evaluated.count, np.int64))
        numbers = best["number"].to_numpy()
        np.maximum.at(longest, numbers, best["words"].to_numpy())
        np.add.at(self._sharing, numbers, 1)
        by_task = pairs.group_by("row", "task").agg(pl.col("words").max())
        everywhere = by_task.group_by("row").agg(pl.col("words").max())
        everywhere = everywhere.with_columns(task=pl.lit(len(self._evaluated.tasks), pl.Int64))
        both = pl.concat([f.select("task", "words") for f in (by_task, everywhere)])
        self._pairs.setdefault(source, []).append(both.group_by("task", "words").len())

    def table(self, mixture: str, settings: Contamination) -> list[CsvRow]:
        """Rows of the CSV, in `columns()`."""
        sizes = sorted(settings.ngrams)
        rows: list[CsvRow] = []
        for number, task in enumerate((*self._evaluated.tasks, "all_tasks")):
            inside = self._evaluated.of_task(number)
            lengths = self._evaluated.longest_text[inside]
            comparable = int((lengths >= sizes[0]).sum())
            for name, sources in self._groups(mixture):
                longest = self._longest_of(sources)[inside]
                pairs = sum(self.rows[source] for source in sources)
                sharing_pairs = [self._count(sources, number, size) for size in sizes]
                sharing = [int((longest >= size).sum()) for size in sizes]
                rows.append([task, name, pairs, len(lengths), comparable, *sharing_pairs, *sharing])
        return rows

    def examples(self) -> pa.Table:
        """Rows of `HIT_EXAMPLES`."""
        longest = self._longest_of(list(self._longest))
        numbers = np.flatnonzero(longest)
        tasks = self._evaluated.task_of_example[numbers]
        return pa.table(
            [
                pa.array([self._evaluated.tasks[task] for task in tasks], pa.string()),
                pa.array((numbers - self._evaluated.firsts[tasks]).astype(np.int32)),
                pa.array(longest[numbers].astype(np.int32)),
                pa.array(self._sharing[numbers]),
            ],
            schema=HIT_EXAMPLES,
        )

    def _groups(self, mixture: str) -> Iterator[tuple[str, list[str]]]:
        yield from ((source, [source]) for source in self.rows)
        yield mixture, list(self.rows)

    def _longest_of(self, sources: Sequence[str]) -> np.ndarray[Any, Any]:
        none = np.zeros(self._evaluated.count, np.int64)
        return np.maximum.reduce([none, *(self._longest.get(source, none) for source in sources)])

    def _count(self, sources: Sequence[str], task: int, size: int) -> int:
        frames = [frame for source in sources for frame in self._pairs.get(source, [])]
        if not frames:
            return 0
        chosen = pl.concat(frames).filter((pl.col("task") == task) & (pl.col("words") >= size))
        return int(chosen["len"].sum())
