"""Merge of pair shards into one dataset (section 3.2).

Rows are sorted by source (in the mixture's order), shard and id. Two shards are parsed in parallel
with the writer, so memory depends on the size of a shard and not on the number of shards.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq

from lamini.dataset.card import write_card
from lamini.dataset.manifest import DatasetManifest, SourceCounts
from lamini.dataset.thinking import THOUGHTS
from lamini.dataset.turns import PAIR_MESSAGES
from lamini.dataset.unique_ids import UniqueIds, check_shards
from lamini.dataset.writer import SCHEMA, DatasetWriter, column_types
from lamini.errors import LaminiError
from lamini.files import atomic_writer, read_jsonl, sha256_file
from lamini.log import Progress
from lamini.settings.dataset import Mixture
from lamini.settings.params.dataset import MergedMixture, MergePairs

logger = logging.getLogger("lamini")
PAIRS = SCHEMA.append(THOUGHTS).append(PAIR_MESSAGES)
"""Columns of the pair shards."""
REQUIRED = ("instruction", "response", "instruction_source", "id")
_READERS = 2
_LARGEST = 1 << 31
"""Size in bytes from which the JSON reader cannot read a shard."""


def merge_pairs(
    *,
    pairs: Sequence[str | Path],
    hits: Sequence[str | Path],
    dataset: str | Path,
    manifest: str | Path,
    card: str | Path,
    settings: MergePairs,
) -> None:
    """Merge the pair shards of a mixture.

    Args:
        pairs: all shards, `pairs/{source}/{shard}.jsonl`, in any order.
        hits: for a decontaminated mixture, the Parquet file of `find_contamination`; else empty.
        dataset: Parquet file to write, with the columns of `lamini.dataset.writer.SCHEMA`.
        manifest: JSON to write: SHA-256, rows and excluded rows per source, schema, settings.
        card: Hugging Face dataset card to write.
        settings: the mixture.

    Raises:
        LaminiError: a shard is damaged (names the row) or of another source, an id of a source
            occurs twice, or no row is left.
    """
    shards = _in_order(pairs, settings)
    ids = UniqueIds()
    with (
        atomic_writer(dataset, "wb") as handle,
        Progress(len(shards), "shards") as progress,
        DatasetWriter(handle, settings, contaminated_ids(hits, settings)) as writer,
    ):
        for source, path, table in _read_ahead(shards):
            ids.add(path, source, table["id"])
            writer.add(source, table)
            progress.advance()
        for source, paths in ids.colliding().items():
            check_shards({path: read_pairs(path, source)["id"] for path in paths})
    finish_dataset(
        writer.sources,
        dataset=dataset,
        manifest=manifest,
        card=card,
        settings=settings,
    )


def contaminated_ids(hits: Sequence[str | Path], mixture: Mixture) -> dict[str, pa.Array] | None:
    """Ids of the contaminated pairs of each source: they share n-grams with an evaluated example.

    Args:
        hits: the Parquet file of `find_contamination`; ignored if the mixture is not
            decontaminated.
        mixture: its `decontamination.words` is the length of a shared n-gram, in words.

    Returns:
        ids by source; None if the mixture is not decontaminated.

    Raises:
        LaminiError: the file is missing or cannot be read.
    """
    if mixture.decontamination is None:
        return None
    words = mixture.decontamination.words
    ids: dict[str, pa.Array] = {}
    for path in hits:
        try:
            table = pq.read_table(
                path,
                columns=["id", "instruction_source"],
                filters=(pc.field("instruction_words") >= words)
                | (pc.field("response_words") >= words),
            )
        except (pa.ArrowInvalid, OSError) as error:
            raise LaminiError(
                f"{path}: not a readable file of hits ({error}); remake it"
            ) from error
        for source in mixture.sources:
            own = table.filter(pc.equal(table["instruction_source"], source))
            ids[source] = own["id"].unique()
    if not ids:
        raise LaminiError(
            "the mixture is decontaminated, but no hits are given; run `find_contamination`"
        )
    return ids


def finish_dataset(
    sources: dict[str, SourceCounts],
    *,
    other_sources: dict[str, int] | None = None,
    dataset: str | Path,
    manifest: str | Path,
    card: str | Path,
    settings: MergePairs,
) -> None:
    """Write the manifest and the card of a complete Parquet file.

    Raises:
        LaminiError: the dataset has no rows; the Parquet file is removed.
    """
    name = settings.mixture
    rows = sum(counts.rows for counts in sources.values())
    if not rows:
        Path(dataset).unlink()
        raise LaminiError(f"{dataset}: no pair of mixture {name} is left; check its sources' pairs")
    for source, counts in sources.items():
        dropped = ", ".join(f"{n:,} {reason}" for reason, n in counts.dropped.items() if n)
        logger.info(
            "%s: %s pairs%s", source, f"{counts.rows:,}", dropped and f"; left out: {dropped}"
        )
    # Without the digest of the user-provided files: it changes with their modification times,
    # and every later rule depends on the manifest.
    about = MergedMixture.model_validate(settings.model_dump(exclude={"files", "licenses"}))
    description = DatasetManifest(
        mixture=name,
        sha256=sha256_file(dataset),
        bytes=Path(dataset).stat().st_size,
        rows=rows,
        schema=column_types(about),
        settings=about,
        sources=sources,
        other_sources=other_sources,
    )
    write_card(card, description, settings.licenses)
    description.write(manifest)


def _in_order(pairs: Sequence[str | Path], mixture: Mixture) -> list[tuple[str, Path]]:
    """Source and path of each shard, sorted by the mixture's order of sources and by shard name."""
    paths = [Path(path) for path in pairs]
    for path in paths:
        if path.parent.name not in mixture.sources:
            raise LaminiError(f"{path}: {path.parent.name} is not a source of the mixture")
    missing = set(mixture.sources) - {path.parent.name for path in paths}
    if missing:
        raise LaminiError(f"no pair shards of {', '.join(sorted(missing))}; make them first")
    paths.sort(key=lambda path: (mixture.sources.index(path.parent.name), path.name))
    return [(path.parent.name, path) for path in paths]


def _read_ahead(shards: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, Path, pa.Table]]:
    """Yield source, path and rows of each shard in order; the next ones are read in parallel."""
    with ThreadPoolExecutor(_READERS) as pool:
        rest = iter(shards)
        waiting: list[tuple[str, Path, Future[pa.Table]]] = []
        try:
            while True:
                for source, path in islice(rest, _READERS - len(waiting)):
                    waiting.append((source, path, pool.submit(read_pairs, path, source)))
                if not waiting:
                    return
                source, path, future = waiting.pop(0)
                yield source, path, future.result()
        finally:
            for *_, future in waiting:
                future.cancel()


def read_pairs(path: str | Path, source: str) -> pa.Table:
    """The rows of one shard, sorted by id, with the columns of `PAIRS`.

    Raises:
        LaminiError: a row is not a pair of `source`; names file and row.
    """
    path = Path(path)
    size = path.stat().st_size if path.is_file() else 0
    if size == 0 and path.is_file():
        return PAIRS.empty_table()
    if size >= _LARGEST:
        raise LaminiError(
            f"{path}: {size / 2**30:.1f} GiB, and a shard is read whole, up to 2 GiB;"
            f" raise `sources.{source}.shards`"
        )
    try:
        table = pyarrow.json.read_json(
            path,
            # One block, because a line must fit in a block.
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=size + 1),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=PAIRS, unexpected_field_behavior="ignore"
            ),
        ).select(PAIRS.names)
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        _name_bad_row(path, source)
        raise LaminiError(f"{path}: not readable as pairs ({error}); remake it") from error
    of_source = pc.all(pc.equal(table["instruction_source"], source), min_count=0).as_py()
    if not of_source or any(table[column].null_count for column in REQUIRED):
        _name_bad_row(path, source)
    return table.sort_by("id").combine_chunks()


def _name_bad_row(path: Path, source: str) -> None:
    """Raise an error with the number of the first bad row; slow, used only after an error."""
    for number, row in enumerate(read_jsonl(path), start=1):
        for column in REQUIRED:
            if not isinstance(row.get(column), str):
                value = f"{row.get(column)!r:.80}"
                raise LaminiError(
                    f"{path}: row {number}: `{column}` must be text, found {value};"
                    " remake the shard"
                )
        if row["instruction_source"] != source:
            raise LaminiError(
                f"{path}: row {number} is of {row['instruction_source']}, not of {source};"
                " remake the shard"
            )
