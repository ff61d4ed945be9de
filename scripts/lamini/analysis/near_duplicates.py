"""Near-duplicate instructions of a merged dataset, within and between its sources."""

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lamini.analysis.columns import CsvRow, read_batches, write_csv
from lamini.analysis.minhash import Hashing, NearDuplicates, Shingles
from lamini.arrays import Integers
from lamini.dataset.manifest import DatasetManifest
from lamini.files import atomic_writer
from lamini.log import Progress
from lamini.settings.params.analysis import FindNearDuplicates

logger = logging.getLogger("lamini")
COLUMNS = (
    "instruction_source",
    "instructions",
    "near_duplicates",
    "near_duplicates_of_other_sources",
    "near_duplicates_percent",
)
"""Per source: number of instructions, of near-duplicates of an earlier instruction of the same
source, and of an earlier source; and all near-duplicates as a percentage of the instructions."""
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("instruction_source", pa.string()),
        ("original_id", pa.string()),
        ("original_source", pa.string()),
        ("similarity", pa.float32()),
    ]
)
"""One row per near-duplicate, in the dataset's order, with its most similar original."""


def find_near_duplicates(
    *,
    manifest: str | Path,
    dataset: str | Path,
    near_duplicates: str | Path,
    counts: str | Path,
    settings: FindNearDuplicates,
) -> None:
    """Find instructions that nearly repeat an earlier instruction, and count them per source.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        near_duplicates: Parquet to write, schema `SCHEMA`.
        counts: CSV to write, in `COLUMNS`; the last row counts all sources.
        settings: the rule's params: shingle and LSH settings, similarity threshold.

    Raises:
        LaminiError: when the dataset cannot be read, or does not match the manifest.
    """
    dataset_manifest = DatasetManifest.read(manifest)
    hashing = Hashing(settings.ngram, settings.bands, settings.band_rows)
    known = NearDuplicates(
        dataset_manifest.rows,
        hashing=hashing,
        threshold=settings.threshold,
        most_compared=settings.most_compared,
    )
    rows: Counter[str] = Counter()
    ids: list[pa.Array] = []
    parts: list[tuple[Integers, Integers, Any]] = []
    with Progress(dataset_manifest.rows, "instructions") as progress:
        for source, batch, shingles in _hashed(dataset, manifest, hashing):
            first = progress.done
            rows[source] += len(batch)
            originals = known.add(shingles)
            repeats = np.flatnonzero(originals.original >= 0)
            parts.append(
                (first + repeats, originals.original[repeats], originals.similarity[repeats])
            )
            ids.append(batch["id"])
            progress.advance(len(batch))
    table = _table(ids, rows, parts)
    with atomic_writer(near_duplicates, "wb") as handle:
        pq.write_table(table, handle, compression="zstd")
    write_csv(counts, COLUMNS, _count(table, rows, dataset_manifest.mixture))


def _hashed(
    dataset: str | Path, manifest: str | Path, hashing: Hashing
) -> Iterator[tuple[str, pa.RecordBatch, Shingles]]:
    """Batches with their shingles; a thread hashes the next batch while one is compared."""
    with ThreadPoolExecutor(1) as pool:
        waiting: tuple[str, pa.RecordBatch, Future[Shingles]] | None = None
        for source, batch in read_batches(dataset, ["id", "instruction"], manifest):
            following = (source, batch, pool.submit(hashing.shingles, batch["instruction"]))
            if waiting is not None:
                yield waiting[0], waiting[1], waiting[2].result()
            waiting = following
        if waiting is not None:
            yield waiting[0], waiting[1], waiting[2].result()


def _table(
    ids: list[pa.Array], rows: Counter[str], parts: list[tuple[Integers, Integers, Any]]
) -> pa.Table:
    """Table in `SCHEMA`; converts the dataset's row numbers to ids and sources."""
    names = pa.chunked_array(ids, pa.string())
    columns = [np.concatenate([part[n] for part in parts] or [np.zeros(0)]) for n in range(3)]
    repeats, originals = (pa.array(column.astype(np.int64)) for column in columns[:2])
    sources = pa.array(list(rows), pa.string())
    ends = np.cumsum(list(rows.values()))
    source_of = [
        sources.take(pa.array(np.searchsorted(ends, column.to_numpy(), side="right")))
        for column in (repeats, originals)
    ]
    return pa.table(
        [
            names.take(repeats),
            source_of[0],
            names.take(originals),
            source_of[1],
            pa.array(columns[2].astype(np.float32)),
        ],
        schema=SCHEMA,
    )


def _count(table: pa.Table, rows: Counter[str], mixture: str) -> list[CsvRow]:
    pairs = Counter(
        zip(
            table["instruction_source"].to_pylist(),
            table["original_source"].to_pylist(),
            strict=True,
        )
    )
    lines = []
    for source, total in rows.items():
        every = sum(count for (repeating, _), count in pairs.items() if repeating == source)
        lines.append(_row(source, total, pairs[source, source], every))
    own = sum(pairs[source, source] for source in rows)
    return [*lines, _row(mixture, rows.total(), own, len(table))]


def _row(name: str, total: int, own: int, every: int) -> CsvRow:
    return [name, total, own, every - own, 100 * every / total]
