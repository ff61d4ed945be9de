"""Batches of a merged dataset, source by source, with selected columns; and CSV output."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.files import atomic_writer

ROWS_AT_ONCE = 1 << 14
Row = Sequence[str | float | None]
"""Cells of a CSV row, in the order of the columns."""


def parquet_file(path: str | Path) -> pq.ParquetFile:
    """A Parquet file that is read in batches, with memory that does not grow with it.

    By default, pyarrow keeps the packed columns that it has read until the file is closed.
    """
    return pq.ParquetFile(path, pre_buffer=False)


def read_batches(
    dataset: str | Path, columns: Sequence[str], manifest: str | Path | None = None
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield (source, batch) in the dataset's order; all rows of a batch are from that source.

    Args:
        dataset: the mixture's Parquet file.
        columns: columns to read; `instruction_source` is always read as well.
        manifest: the dataset's manifest; None: rows and sources are not checked against it.

    Raises:
        LaminiError: when the file cannot be read, lacks a column, or does not match the manifest.
    """
    facts = None if manifest is None else DatasetManifest.read(manifest)
    names = [*columns, *({"instruction_source"} - set(columns))]
    try:
        file = parquet_file(dataset)
        if missing := set(names) - set(file.schema_arrow.names):
            raise LaminiError(f"{dataset}: no column {', '.join(sorted(missing))}; merge it again")
        if facts and file.metadata.num_rows != facts.rows:
            raise LaminiError(
                f"{dataset}: has {file.metadata.num_rows} rows, {manifest} says {facts.rows};"
                " merge it again"
            )
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=names):
            first = 0
            runs = pc.run_end_encode(batch.column("instruction_source"))
            for source, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                if facts and source not in facts.sources:
                    raise LaminiError(f"{dataset}: {source} is not in {manifest}; merge it again")
                yield source, batch.slice(first, end - first)
                first = end
    except (pa.ArrowInvalid, OSError) as error:
        raise LaminiError(
            f"{dataset}: not a readable Parquet file ({error}); merge it again"
        ) from error


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a header and rows, atomically; floats in full precision."""
    with atomic_writer(path) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
