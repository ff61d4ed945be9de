"""Import of the released dataset instead of a generated one (`dataset: published`).

The rows come from files (`lamini.generation.data_files`) or from the hub, in any order. They are
first written to one temporary file per source, so that one pass with little memory sorts them by
source. Empty answers are kept, because the authors published them.

With `published.all_columns`, the rows are those of a dataset of this pipeline, with their ids and
origins: the way back from another engine (`lamini.dataset.shards`).
"""

import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lamini.conversations import problem_of
from lamini.dataset.merge import REQUIRED, contaminated_ids, finish_dataset
from lamini.dataset.turns import MESSAGES
from lamini.dataset.unique_ids import UniqueIds, check_shards
from lamini.dataset.writer import PUBLISHED_COLUMNS, SCHEMA, DatasetWriter, schema_of
from lamini.errors import LaminiError
from lamini.files import atomic_writer, resolve_path
from lamini.generation.data_files import (
    TABLES,
    data_files,
    json_values,
    table_batches,
    table_schema,
)
from lamini.generation.refusals import is_refusal
from lamini.generation.seeds import holds_text
from lamini.jobs.commits import commit_to_read
from lamini.log import Progress
from lamini.settings.dataset import PublishedDataset
from lamini.settings.params.dataset import MergePairs
from lamini.settings.sources import HubData

logger = logging.getLogger("lamini")
ROWS_AT_ONCE = 1 << 14
_TEXTS = pa.schema([(name, pa.string()) for name in PUBLISHED_COLUMNS])
_FLAGS = SCHEMA.field("flags").type
_OPTIONAL = {*SCHEMA.names} - {*REQUIRED}
"""Columns of a dataset that may be missing in the data."""


def _schema(published: PublishedDataset) -> pa.Schema:
    """Columns that are read."""
    columns = SCHEMA if published.all_columns else _TEXTS
    return columns.append(MESSAGES) if published.messages else columns


def import_published(
    *,
    hits: Sequence[str | Path],
    dataset: str | Path,
    manifest: str | Path,
    card: str | Path,
    settings: MergePairs,
) -> None:
    """Write the released dataset in the format of a merged one.

    Args:
        hits: for a decontaminated mixture, the Parquet file of `find_contamination`; else empty.
        dataset: Parquet file to write, with the columns of `lamini.dataset.writer.SCHEMA`; columns
            that the released data lacks are null. `flags` is computed from the response where it
            is missing or null.
        manifest: JSON to write, as in `merge_pairs`, plus `other_sources`: numbers of rows of the
            sources that are not in the mixture.
        card: dataset card to write.
        settings: the mixture, and the location of the released data.

    Raises:
        LaminiError: the data cannot be read, lacks a column, has no rows of a source, or an id of
            a source twice; or the mixture excludes truncated responses, which the data does not
            tell.
    """
    published = settings.published
    assert published is not None
    if "truncated" in settings.exclude_flags and not published.all_columns:
        raise LaminiError(
            f"mixtures.{settings.mixture}.exclude_flags: the released data does not tell which"
            " responses are truncated; remove `truncated`"
        )
    folder = Path(dataset).parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".published.") as spool:
        spools = {source: Path(spool) / source for source in settings.sources}
        ids = UniqueIds()
        others = _split(_batches(published), spools, _schema(published), ids)
        for source, paths in ids.colliding().items():
            check_shards(_ids_of(published, source, paths))
        _check_sources(spools, others, settings.mixture)
        with (
            atomic_writer(dataset, "wb") as handle,
            # All that was published is kept, so that the counts are the paper's.
            DatasetWriter(
                handle, settings, contaminated_ids(hits, settings), keep_empty=True
            ) as writer,
        ):
            for source, path in spools.items():
                for table in _complete(source, path, schema_of(settings)):
                    writer.add(source, table)
    finish_dataset(
        writer.sources,
        other_sources=others,
        dataset=dataset,
        manifest=manifest,
        card=card,
        settings=settings,
    )


def _check_sources(spools: Mapping[str, Path], others: Mapping[str, int], mixture: str) -> None:
    """Refuse data without rows of a source of the mixture; name the sources that are left out."""
    if missing := [source for source, path in spools.items() if not path.exists()]:
        raise LaminiError(
            f"the published data has no rows of {', '.join(missing)}; it has"
            f" {', '.join(sorted(others)) or 'no other sources'};"
            f" check `mixtures.{mixture}.sources` and `published`"
        )
    if others:
        logger.warning(
            "left out: rows of sources that are not in mixture %s: %s",
            mixture,
            ", ".join(f"{source!r} ({rows:,})" for source, rows in others.items()),
        )


def _batches(published: PublishedDataset) -> Iterator[tuple[Path, pa.Table]]:
    """Yield the published rows in their order, with the columns of `_schema`, and their file."""
    schema = _schema(published)
    if published.hub is not None:
        repository = Path(published.hub.repo)
        yield from ((repository, table) for table in _from_hub(published.hub, schema))
        return
    assert published.local is not None
    for path in data_files(resolve_path(published.local.path)):
        if published.all_columns and path.suffix not in TABLES:
            raise LaminiError(
                f"{path}: `published.all_columns` reads only {' and '.join(TABLES)} files"
            )
        yield from ((path, table) for table in _from_file(path, schema))


def _ids_of(
    published: PublishedDataset, source: str, paths: Sequence[Path]
) -> dict[Path, pa.ChunkedArray]:
    """The ids of one source in some of the files."""
    ids: dict[Path, list[pa.Array]] = {path: [] for path in paths}
    for path, table in _batches(published):
        if path in ids:
            own = table.filter(pc.equal(table["instruction_source"], source))
            ids[path] += own["id"].chunks
    return {path: pa.chunked_array(parts, pa.string()) for path, parts in ids.items()}


def _from_file(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    try:
        if path.suffix in TABLES:
            there = table_schema(path).names
            columns = [name for name in schema.names if name in there]
            for batch in table_batches(path, columns, ROWS_AT_ONCE):
                yield _checked(pa.Table.from_batches([batch]), schema, str(path), there)
        else:
            for part in _parts(_json_rows(path)):
                yield _checked(_table(part, path, schema), schema, str(path))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise LaminiError(f"{path}: not readable as published pairs ({error})") from error


def _json_rows(path: Path) -> Iterator[dict[str, object]]:
    for number, row in enumerate(json_values(path), start=1):
        if not isinstance(row, dict):
            raise LaminiError(f"{path}: row {number} is not a JSON object: {row!r:.120}")
        yield row


def _parts(rows: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    part: list[dict[str, object]] = []
    for row in rows:
        part.append(row)
        if len(part) == ROWS_AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _table(rows: Sequence[Mapping[str, object]], path: Path, schema: pa.Schema) -> pa.Table:
    for column in PUBLISHED_COLUMNS:
        # Null is an empty text, as in Parquet.
        texts = (row for row in rows if not isinstance(row.get(column, 0), str | None))
        if bad := next(texts, None):
            raise LaminiError(f"{path}: `{column}` must be text in every row, found {bad!r:.120}")
    columns: dict[str, object] = {c: [row[c] for row in rows] for c in PUBLISHED_COLUMNS}
    if MESSAGES.name in schema.names:
        columns[MESSAGES.name] = _messages([row.get(MESSAGES.name) for row in rows], str(path))
    return pa.table(columns, schema=schema)


def _from_hub(hub: HubData, schema: pa.Schema) -> Iterator[pa.Table]:
    from datasets import load_dataset

    location = f"{hub.repo} at revision {hub.revision}"
    try:
        commit = commit_to_read(hub.repo, hub.revision, "dataset")
        rows = load_dataset(hub.repo, split=hub.split, revision=commit, streaming=True)
        for batch in rows.with_format("arrow").iter(ROWS_AT_ONCE):
            yield _checked(batch, schema, location)
    except LaminiError:
        raise
    except Exception as error:  # the hub's client raises dozens of types
        raise LaminiError(
            f"{location}: cannot be read from the hub ({type(error).__name__}: {error!s:.300});"
            " check `published.hub`, or set local files in `published.local`"
        ) from error


def _checked(
    table: pa.Table, schema: pa.Schema, location: str, there: Sequence[str] | None = None
) -> pa.Table:
    """The columns of a schema, with its types; nulls of the three texts become empty texts.

    Args:
        table: rows.
        schema: the columns that are read.
        location: name of the data in messages.
        there: all columns of the data, if the table has only some of them.

    Raises:
        LaminiError: a column is missing or of another type, or an id is null.
    """
    missing = [name for name in schema.names if name not in table.column_names]
    if missing := [name for name in missing if name not in _OPTIONAL]:
        names = ", ".join(there or table.column_names)
        raise LaminiError(f"{location}: no column {', '.join(missing)}; it has {names}")
    for name in PUBLISHED_COLUMNS:
        kind = table[name].type
        if not (holds_text(kind) or pa.types.is_null(kind)):
            raise LaminiError(
                f"{location}: `{name}` must be text in every row, but its type is {kind}"
            )
    return pa.table([_column(table, field, location) for field in schema], schema=schema)


def _column(table: pa.Table, field: pa.Field, location: str) -> pa.Array | pa.ChunkedArray:
    """One column with the type of `field`."""
    if field.name in PUBLISHED_COLUMNS:
        return table[field.name].cast(pa.string()).fill_null("")
    if field.name == MESSAGES.name:
        # Other columns of a message, such as tool calls, make it no conversation only if used.
        return _messages(table[field.name].to_pylist(), location)
    if field.name not in table.column_names:
        return pa.nulls(len(table), field.type)
    values = table[field.name]
    if field.name == "id" and values.null_count:
        raise LaminiError(
            f"{location}: `id` is null in {values.null_count:,} rows; each row needs one"
        )
    try:
        return values.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise LaminiError(
            f"{location}: `{field.name}` must be {field.type}, but it is {values.type} ({error})"
        ) from error


def _messages(rows: list[Any], location: str) -> pa.Array:
    """The conversations; those with a wrong form are empty lists, which are left out later."""
    conversations = [row for row in rows if row is not None]
    if any(not isinstance(row, list) for row in conversations):
        raise LaminiError(f"{location}: `messages` must be a list of `role` and `content`, or null")
    known = [row if row is None or problem_of(row) is None else [] for row in rows]
    return pa.array(known, MESSAGES.type)


def _split(
    batches: Iterator[tuple[Path, pa.Table]],
    spools: Mapping[str, Path],
    schema: pa.Schema,
    ids: UniqueIds,
) -> Counter[str]:
    """Write each source's rows to its file; returns numbers of rows of all other sources.

    The ids, if they are read, are added to `ids`.
    """
    others: Counter[str] = Counter()
    with contextlib.ExitStack() as stack, Progress(0, "published pairs") as progress:
        writers: dict[str, pa.ipc.RecordBatchStreamWriter] = {}
        for path, batch in batches:
            progress.total += len(batch)
            for source in batch["instruction_source"].unique().to_pylist():
                rows = batch.filter(pc.equal(batch["instruction_source"], source))
                if source not in spools:
                    others[source] += len(rows)
                    continue
                if "id" in schema.names:
                    ids.add(path, source, rows["id"])
                if source not in writers:
                    writer = pa.ipc.new_stream(spools[source], schema)
                    writers[source] = stack.enter_context(writer)
                writers[source].write_table(rows)
            progress.advance(len(batch))
    return others


def _complete(source: str, spool: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield one source's rows with all columns of a dataset, in the published order."""
    number = 0
    with pa.ipc.open_stream(spool) as reader:
        for batch in reader:
            rows = len(batch)
            answers = batch.column("response").to_pylist()
            known = {
                "id": pa.array([f"{source}/{number + row}" for row in range(rows)]),
                "flags": pa.nulls(rows, _FLAGS),
                **{name: batch.column(name) for name in batch.schema.names},
            }
            flags = [["refusal"] if is_refusal(answer) else [] for answer in answers]
            known["flags"] = pc.coalesce(known["flags"], pa.array(flags, _FLAGS))
            number += rows
            yield pa.table(
                [known.get(f.name, pa.nulls(rows, f.type)) for f in schema], schema=schema
            )
