"""Random samples of rows per source, independent of each other."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from lamini.analysis.columns import read_batches
from lamini.arrays import Integers
from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.files import derive_seed

logger = logging.getLogger("lamini")


def choose_rows(
    manifest: DatasetManifest,
    sources: Iterable[str],
    most: int,
    *,
    purpose: str,
    seed: int,
    setting: str,
) -> dict[str, Integers]:
    """Sampled row numbers (sorted) of each requested source, in the dataset's order of sources.

    Args:
        manifest: the dataset's manifest.
        sources: names of the requested sources.
        most: maximum number of rows per source.
        purpose: part of the random seed; different purposes draw different samples.
        seed: the run's seed. A source's sample does not depend on the other requested sources.
        setting: the setting that names the sources, for the error message.

    Raises:
        LaminiError: when a requested source has no rows.
    """
    rows = {name: counts.rows for name, counts in manifest.sources.items() if counts.rows}
    wanted = set(sources)
    if missing := wanted - set(rows):
        raise LaminiError(
            f"mixture {manifest.mixture} has no pairs of {', '.join(sorted(missing))};"
            f" it has {', '.join(rows)}; correct `{setting}`"
        )
    chosen = {}
    for source in (name for name in rows if name in wanted):
        random = np.random.default_rng(derive_seed(purpose, seed, source))
        count = min(most, rows[source])
        chosen[source] = np.sort(random.choice(rows[source], count, replace=False))
        logger.info("%s: %d of %d instructions", source, count, rows[source])
    return chosen


def sampled_batches(
    dataset: str | Path, chosen: Mapping[str, Integers], columns: Sequence[str]
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield (source, sampled rows of a batch), in the dataset's order.

    Args:
        dataset: the mixture's Parquet file.
        chosen: row numbers by source, from `choose_rows`.
        columns: columns to read.
    """
    read = dict.fromkeys(chosen, 0)
    for source, batch in read_batches(dataset, columns):
        if source not in chosen:
            continue
        rows = chosen[source] - read[source]
        read[source] += len(batch)
        yield source, batch.take(pa.array(rows[(rows >= 0) & (rows < len(batch))]))
