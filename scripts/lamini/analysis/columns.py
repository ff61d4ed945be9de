"""Batches of a merged dataset, source by source, with selected columns; and CSV output."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamini.conversations import ROLES, texts_of
from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.files import atomic_writer

ROWS_AT_ONCE = 1 << 14
CsvRow = Sequence[str | float | None]
"""Cells of a CSV row, in the order of the columns."""


def parquet_file(path: str | Path) -> pq.ParquetFile:
    """A Parquet file that is read in batches, with memory that does not grow with it.

    By default, pyarrow keeps the packed columns that it has read until the file is closed.
    """
    return pq.ParquetFile(path, pre_buffer=False)


def read_batches(
    dataset: str | Path,
    columns: Sequence[str],
    manifest: str | Path | None = None,
    *,
    whole: bool = False,
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield (source, batch) in the dataset's order; all rows of a batch are from that source.

    Args:
        dataset: the mixture's Parquet file.
        columns: columns to read; `instruction_source` is always read as well.
        manifest: the dataset's manifest; None: rows and sources are not checked against it.
        whole: of conversations, `instruction` and `response` are the texts of all user turns and
            of all answers, with an empty line between them.

    Raises:
        LaminiError: when the file cannot be read, lacks a column, or does not match the manifest.
    """
    dataset_manifest = None if manifest is None else DatasetManifest.read(manifest)
    names = [*columns, *({"instruction_source"} - set(columns))]
    try:
        file = parquet_file(dataset)
        if missing := set(names) - set(file.schema_arrow.names):
            raise LaminiError(f"{dataset}: no column {', '.join(sorted(missing))}; merge it again")
        if dataset_manifest and file.metadata.num_rows != dataset_manifest.rows:
            raise LaminiError(
                f"{dataset}: has {file.metadata.num_rows} rows,"
                f" {manifest} says {dataset_manifest.rows}; merge it again"
            )
        turns = ["messages"] if whole and "messages" in file.schema_arrow.names else []
        for part in file.iter_batches(ROWS_AT_ONCE, columns=[*names, *turns]):
            batch = _whole(part) if turns else part
            first = 0
            runs = pc.run_end_encode(batch.column("instruction_source"))
            for source, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                if dataset_manifest and source not in dataset_manifest.sources:
                    raise LaminiError(f"{dataset}: {source} is not in {manifest}; merge it again")
                yield source, batch.slice(first, end - first)
                first = end
    except (pa.ArrowInvalid, OSError) as error:
        raise LaminiError(
            f"{dataset}: not a readable Parquet file ({error}); merge it again"
        ) from error


def _whole(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with the texts of all turns."""
    every = batch.column("messages").to_pylist()
    columns = {name: batch.column(name) for name in batch.schema.names if name != "messages"}
    for name, role in zip(("instruction", "response"), ROLES, strict=True):
        first = columns[name].to_pylist()
        texts = [
            texts_of(turns, role) if turns else text
            for turns, text in zip(every, first, strict=True)
        ]
        columns[name] = pa.array(texts, pa.string())
    return pa.RecordBatch.from_pydict(columns)


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[CsvRow]) -> None:
    """Write a header and rows, atomically; floats in full precision."""
    with atomic_writer(path) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
