"""Writer of merged datasets: schema, exclusion of rows, counts.

Input tables hold rows of one source each. Row groups of a fixed size are written, so that the
file's bytes do not depend on the number of shards, and memory holds one row group.
"""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamini.dataset.manifest import SourceCounts
from lamini.dataset.personal_data import masked
from lamini.dataset.thinking import joined, separated, unfinished
from lamini.dataset.turns import MESSAGES, no_conversations, written
from lamini.generation.normalization import text_key
from lamini.settings.params.dataset import MergedMixture

Mask = np.ndarray[Any, np.dtype[np.bool_]]
SCHEMA = pa.schema(
    [
        ("instruction", pa.string()),
        ("response", pa.string()),
        ("instruction_source", pa.string()),
        ("id", pa.string()),
        ("finish_reason", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("model", pa.string()),
        ("request", pa.string()),
    ]
)
"""Columns of a dataset without conversations; the first three are the released dataset's."""

PUBLISHED_COLUMNS = ("instruction", "response", "instruction_source")
ROW_GROUP = 1 << 16
_LEVEL = 1  # half the time of zstd's default level, for a file that is a tenth larger
_REPETITIVE = ["instruction_source", "finish_reason", "flags.list.element", "model"]
# A text of only spaces, control and format characters (zero-width ones included), blank letters
# (Hangul fillers, the empty Braille pattern) and marks without a letter counts as empty.
_VISIBLE = r"[^\s\p{Z}\p{Cc}\p{Cf}\p{M}\x{115F}\x{1160}\x{3164}\x{FFA0}\x{2800}]"


class DatasetWriter:
    """Writes a mixture's Parquet file, source after source.

    Args:
        handle: binary file to write to.
        mixture: settings of the excluded rows.
        contaminated: ids of the excluded pairs of each source, for a decontaminated mixture.
        keep_empty: whether rows with an empty instruction or response are kept.
    """

    def __init__(
        self,
        handle: IO[bytes],
        mixture: MergedMixture,
        contaminated: Mapping[str, pa.Array] | None = None,
        *,
        keep_empty: bool = False,
    ) -> None:
        self._mixture = mixture
        self._keep_empty = keep_empty
        # Sets, so that no table of hits is built again for each table of rows.
        self._contaminated = contaminated and {
            source: frozenset(ids.to_pylist()) for source, ids in contaminated.items()
        }
        self._seen: set[bytes] = set()
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self.sources: dict[str, SourceCounts] = {}
        """Counts by source."""
        self._pool = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._schema = schema_of(mixture)
        # Texts rarely repeat: a dictionary of them costs time and saves no space.
        self._writer = pq.ParquetWriter(
            handle,
            self._schema,
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=_REPETITIVE,
        )

    def add(self, source: str, table: pa.Table) -> None:
        """Append the rows of one source, except the rows that the mixture excludes.

        Args:
            source: name of the rows' source.
            table: rows with the columns of `SCHEMA`, without nulls in the first four, and
                optionally `thoughts`; also `messages`, if the dataset has conversations.
        """
        if self._mixture.thinking is not None:
            table = separated(table)
        counts = self.sources.setdefault(source, _no_counts())
        keep = np.ones(len(table), np.bool_)
        for reason, wrong in self._tests(source, table):
            counts.dropped[reason] += int((keep & wrong).sum())
            keep &= ~wrong
        if self._mixture.unique_instructions:
            keep = self._first_ones(table, keep, counts.dropped)
        kept = table if keep.all() else table.filter(pa.array(keep))
        if self._mixture.thinking in ("keep", "mask"):
            kept = joined(kept)
        kept = self._masked(kept.select(self._schema.names), counts)
        counts.read += len(table)
        counts.rows += len(kept)
        _count(counts.flags, pc.list_flatten(kept["flags"]))
        counts.finish_reasons = _known(counts.finish_reasons, kept["finish_reason"], counts.rows)
        counts.models = _known(counts.models, kept["model"], counts.rows)
        self._waiting.append(kept)
        self._waiting_rows += len(kept)
        if self._waiting_rows >= ROW_GROUP:
            self._write(keep_rest=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Write the buffered rows, unless there was an exception, and the file's footer."""
        with self._pool:
            if exception[0] is None:
                self._write(keep_rest=False)
                self._wait()
        self._writer.close()

    def _tests(self, source: str, table: pa.Table) -> list[tuple[str, Mask]]:
        """Masks of the excluded rows by reason; a row is counted for its first reason."""
        tests = [] if self._mixture.thinking is None else [("no_answer", unfinished(table))]
        columns = () if self._keep_empty else ("instruction", "response")
        tests += [(f"empty_{column}", is_empty(table[column])) for column in columns]
        tests += [(flag, has_flag(table["flags"], flag)) for flag in self._mixture.exclude_flags]
        if MESSAGES.name in self._schema.names:
            tests.append(("no_conversation", no_conversations(table)))
        if self._contaminated is not None:
            hits = self._contaminated.get(source, frozenset())
            contaminated = [name in hits for name in table["id"].to_pylist()]
            tests.append(("contaminated", np.array(contaminated, np.bool_)))
        return tests

    def _masked(self, table: pa.Table, counts: SourceCounts) -> pa.Table:
        """The rows without the personal data that the mixture masks; counts the changed texts."""
        kinds = self._mixture.mask_personal_data
        for column in ("instruction", "response") if kinds else ():
            texts, changed = masked(table[column], kinds)
            index = table.schema.get_field_index(column)
            table = table.set_column(index, table.schema.field(column), texts)
            counts.masked = Counter(counts.masked) + Counter({column: changed})
        if MESSAGES.name in self._schema.names:
            table, changed = written(table, self._mixture.thinking, kinds)
            if kinds:
                counts.masked = Counter(counts.masked) + Counter({MESSAGES.name: changed})
        return table

    def _first_ones(self, table: pa.Table, keep: Mask, dropped: Counter[str]) -> Mask:
        """`keep` without the rows whose instruction is a duplicate of an earlier one."""
        texts, first = table["instruction"].to_pylist(), keep.copy()
        for row in np.flatnonzero(keep).tolist():
            key = text_key(texts[row])
            first[row] = key not in self._seen
            self._seen.add(key)
        dropped["duplicate_instruction"] += int((keep & ~first).sum())
        return first

    def _wait(self) -> None:
        """Wait until the row group in the background thread is written."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, *, keep_rest: bool) -> None:
        if not self._waiting:
            return
        # One chunk per column: the ends of pages must not depend on the ends of shards.
        table = pa.concat_tables(self._waiting).combine_chunks()
        whole = len(table) - len(table) % ROW_GROUP if keep_rest else len(table)
        if whole:
            self._wait()
            part = table.slice(0, whole)
            self._writing = self._pool.submit(
                self._writer.write_table, part, row_group_size=ROW_GROUP
            )
        rest = table.slice(whole)
        self._waiting, self._waiting_rows = ([rest], len(rest)) if len(rest) else ([], 0)


def _no_counts() -> SourceCounts:
    return SourceCounts(
        read=0,
        rows=0,
        dropped=Counter(),
        flags=Counter(),
        finish_reasons=Counter(),
        models=Counter(),
    )


def is_empty(texts: pa.ChunkedArray) -> Mask:
    """Mask of the texts without a visible character."""
    return ~np.asarray(pc.match_substring_regex(texts, _VISIBLE))


def has_flag(flags: pa.ChunkedArray, flag: str) -> Mask:
    """Mask of the rows whose `flags` contain `flag`."""
    rows = np.asarray(pc.list_parent_indices(flags))
    mask = np.zeros(len(flags), np.bool_)
    mask[rows[np.asarray(pc.equal(pc.list_flatten(flags), flag))]] = True
    return mask


def _count(counter: Counter[str], values: pa.ChunkedArray) -> None:
    for item in pc.value_counts(values).to_pylist():
        if item["values"] is not None:
            counter[item["values"]] += item["counts"]


def _known(counter: Counter[str] | None, values: pa.ChunkedArray, rows: int) -> Counter[str] | None:
    """Counts with `values` added; None if none of all `rows` rows has a value."""
    counter = Counter(counter)
    _count(counter, values)
    return counter if counter or not rows else None


def schema_of(mixture: MergedMixture) -> pa.Schema:
    """Columns of a mixture's dataset."""
    published = mixture.published
    has_conversations = mixture.turns or (published is not None and published.messages)
    return SCHEMA.append(MESSAGES) if has_conversations else SCHEMA


def column_types(mixture: MergedMixture) -> dict[str, str]:
    """Columns and their Arrow types, for the manifest."""
    return {field.name: str(field.type) for field in schema_of(mixture)}
