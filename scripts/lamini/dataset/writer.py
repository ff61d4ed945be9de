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

from lamini.generation.normalization import text_key
from lamini.settings.dataset import Mixture

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
"""Columns of a dataset; the first three are the released dataset's."""

PUBLISHED_COLUMNS = ("instruction", "response", "instruction_source")
ROW_GROUP = 1 << 16
_LEVEL = 1  # half the time of zstd's default level, for a file that is a tenth larger
_REPETITIVE = ["instruction_source", "finish_reason", "flags.list.element", "model"]
# A text of only spaces, control and format characters (zero-width ones included) counts as empty.
_VISIBLE = r"[^\s\p{Z}\p{Cc}\p{Cf}]"


class DatasetWriter:
    """Writes a mixture's Parquet file, source after source.

    Args:
        handle: binary file to write to.
        mixture: settings of the excluded rows.
        contaminated: ids of the excluded pairs of each source, for a decontaminated mixture.
    """

    def __init__(
        self,
        handle: IO[bytes],
        mixture: Mixture,
        contaminated: Mapping[str, pa.Array] | None = None,
    ) -> None:
        self._mixture = mixture
        self._contaminated = contaminated
        self._seen: set[bytes] = set()
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._counts: dict[str, dict[str, Counter[str]]] = {}
        self._pool = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        # Texts rarely repeat: a dictionary of them costs time and saves no space.
        self._writer = pq.ParquetWriter(
            handle, SCHEMA, compression="zstd", compression_level=_LEVEL, use_dictionary=_REPETITIVE
        )

    def add(self, source: str, table: pa.Table) -> None:
        """Append the rows of one source, except the rows that the mixture excludes.

        Args:
            source: name of the rows' source.
            table: rows with the columns of `SCHEMA`, without nulls in the first four.
        """
        counts = self._counts.setdefault(source, _no_counts())
        keep = np.ones(len(table), np.bool_)
        for reason, wrong in self._tests(source, table):
            counts["dropped"][reason] += int((keep & wrong).sum())
            keep &= ~wrong
        if self._mixture.unique_instructions:
            keep = self._first_ones(table, keep, counts["dropped"])
        kept = table if keep.all() else table.filter(pa.array(keep))
        counts["rows"]["read"] += len(table)
        counts["rows"]["kept"] += len(kept)
        _count(counts["flags"], pc.list_flatten(kept["flags"]))
        _count(counts["finish_reasons"], kept["finish_reason"])
        _count(counts["models"], kept["model"])
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

    def facts(self) -> dict[str, Any]:
        """Counts for the manifest: `rows` in total, and counts by source."""
        sources = {
            source: {
                "rows": counts["rows"]["kept"],
                "read": counts["rows"]["read"],
                **{k: dict(sorted(counts[k].items())) for k in _COUNTED},
            }
            for source, counts in self._counts.items()
        }
        return {"rows": sum(source["rows"] for source in sources.values()), "sources": sources}

    def _tests(self, source: str, table: pa.Table) -> list[tuple[str, Mask]]:
        """Masks of the excluded rows by reason; a row is counted for its first reason."""
        tests = [
            ("empty_instruction", is_empty(table["instruction"])),
            ("empty_response", is_empty(table["response"])),
        ]
        tests += [(flag, has_flag(table["flags"], flag)) for flag in self._mixture.exclude_flags]
        if self._contaminated is not None:
            hits = self._contaminated.get(source, pa.array([], pa.string()))
            tests.append(("contaminated", np.asarray(pc.is_in(table["id"], value_set=hits))))
        return tests

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


_COUNTED = ("dropped", "flags", "finish_reasons", "models")


def _no_counts() -> dict[str, Counter[str]]:
    return {name: Counter() for name in ("rows", *_COUNTED)}


def is_empty(texts: pa.ChunkedArray) -> Mask:
    """Mask of the texts without a visible character."""
    return ~np.asarray(pc.match_substring_regex(texts, _VISIBLE))


def has_flag(flags: pa.ChunkedArray, flag: str) -> Mask:
    """Mask of the rows whose `flags` contain `flag`."""
    rows = np.asarray(pc.list_parent_indices(flags))
    found = np.zeros(len(flags), np.bool_)
    found[rows[np.asarray(pc.equal(pc.list_flatten(flags), flag))]] = True
    return found


def _count(counter: Counter[str], values: pa.ChunkedArray) -> None:
    for item in pc.value_counts(values).to_pylist():
        if item["values"] is not None:
            counter[item["values"]] += item["counts"]


def schema_facts() -> Mapping[str, str]:
    """Columns and their types, for the manifest."""
    return {field.name: str(field.type) for field in SCHEMA}
