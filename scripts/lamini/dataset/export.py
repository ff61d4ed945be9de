"""Export of a dataset for sharing: a folder in the layout of the Hugging Face hub, and JSONL."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.files import atomic_writer, sha256_file, write_jsonl
from lamini.log import Progress

ROWS_AT_ONCE = 1 << 13


def export_dataset(
    *,
    manifest: str | Path,
    dataset: str | Path,
    card: str | Path,
    readme: str | Path,
    parquet: str | Path,
    jsonl: str | Path,
) -> None:
    """Write the folder and the JSONL file of a merged dataset.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        card: the dataset's card.
        readme: `README.md` to write in the folder, a copy of the card.
        parquet: Parquet file to write beside it; `datasets.load_dataset(folder)` reads it.
        jsonl: JSONL to write, one object per pair with all columns, in the dataset's order.

    Raises:
        LaminiError: the dataset's SHA-256 is not that of the manifest.
    """
    dataset_manifest = DatasetManifest.read(manifest)
    with atomic_writer(parquet, "wb") as target, open(dataset, "rb") as source:
        shutil.copyfileobj(source, target, 1 << 22)
    if sha256_file(parquet) != dataset_manifest.sha256:
        Path(parquet).unlink()
        raise LaminiError(f"{dataset}: its SHA-256 differs from {manifest}; merge it again")
    with Progress(dataset_manifest.rows, "pairs") as progress:
        write_jsonl(jsonl, _rows(dataset, progress))
    with atomic_writer(readme, "wb") as target:
        target.write(Path(card).read_bytes())


def _rows(dataset: str | Path, progress: Progress) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(dataset, pre_buffer=False).iter_batches(ROWS_AT_ONCE):
        yield from batch.to_pylist()
        progress.advance(len(batch))
