"""Hand-over of a dataset to another engine: Parquet shards of a fixed number of rows.

`published.local` with `all_columns` reads the engine's shards back (`lamini.dataset.published`).
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.files import atomic_writer, sha256_file
from lamini.log import Progress


def write_shards(
    *, manifest: str | Path, dataset: str | Path, folder: str | Path, rows: int
) -> list[Path]:
    """Write a merged dataset as shards `{mixture}-00000.parquet`, ..., in its order.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        folder: an empty or new folder.
        rows: number of rows per shard; the last one has the rest. Shards with more than 2 GiB of
            text in a column are cut smaller.

    Returns:
        The paths of the shards.

    Raises:
        LaminiError: the folder has files, `rows` is below 1, or the dataset's SHA-256 is not that
            of the manifest.
    """
    dataset_manifest, folder = DatasetManifest.read(manifest), Path(folder)
    if rows < 1:
        raise LaminiError(f"{rows} rows per shard: give a number above 0")
    if folder.exists() and any(folder.iterdir()):
        raise LaminiError(f"{folder}: has files; give a new folder, so that none is read twice")
    if sha256_file(dataset) != dataset_manifest.sha256:
        raise LaminiError(f"{dataset}: its SHA-256 differs from {manifest}; merge it again")
    paths = []
    file = pq.ParquetFile(dataset, pre_buffer=False)
    with Progress(dataset_manifest.rows, "pairs") as progress:
        for number, part in enumerate(file.iter_batches(rows)):
            path = folder / f"{dataset_manifest.mixture}-{number:05}.parquet"
            with atomic_writer(path, "wb") as handle:
                pq.write_table(pa.Table.from_batches([part]), handle, compression="zstd")
            paths.append(path)
            progress.advance(len(part))
    return paths
