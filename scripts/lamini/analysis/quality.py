"""What is wrong with a dataset's pairs, counted per source: refusals, cuts, gaps, repetitions."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamini.generation.normalization import fingerprint

TEXTS = ("instruction", "response")
PERCENTILES = (5, 50, 95, 100)
COUNTS = (
    "read",
    "empty_instructions",
    "empty_responses",
    "excluded",
    "samples",
    "refusals",
    "truncated",
    "duplicate_instructions",
    "duplicates_of_other_sources",
    "duplicate_pairs",
)
"""From the rows that the merge read, over what it left out, to the `samples` of the dataset, which
all that follows counts. Duplicates are repetitions, the first not counting, of texts that are equal
after normalisation (NFKC, case, white space): within the source, or of the mixture's sources before
it. A duplicate pair repeats the response as well."""
COLUMNS = (
    "instruction_source",
    *COUNTS,
    *(f"{text}_characters_p{percentile}" for text in TEXTS for percentile in PERCENTILES),
)


class Quality:
    """Collects a dataset's pairs in their order and counts per source."""

    def __init__(self) -> None:
        self._last_source: dict[bytes, str] = {}
        self._pairs: set[bytes] = set()
        self._counts: dict[str, Counter[str]] = {}
        self._lengths: dict[str, dict[str, list[Any]]] = {}

    def add(self, source: str, batch: pa.RecordBatch) -> None:
        """Take more pairs of one source: `instruction`, `response`, `flags`."""
        counts = self._counts.setdefault(source, Counter())
        counts["samples"] += len(batch)
        flags = Counter(pc.list_flatten(batch["flags"]).to_pylist())
        counts["refusals"] += flags["refusal"]
        counts["truncated"] += flags["truncated"]
        texts = [batch[text].to_pylist() for text in TEXTS]
        for instruction, response in zip(*texts, strict=True):
            self._count_repetitions(source, instruction, response, counts)
        lengths = self._lengths.setdefault(source, {text: [] for text in TEXTS})
        for text, parts in lengths.items():
            parts.append(pc.utf8_length(batch[text]).to_numpy())

    def _count_repetitions(
        self, source: str, instruction: str, response: str, counts: Counter[str]
    ) -> None:
        mark = fingerprint(instruction)
        before = self._last_source.get(mark)
        if before == source:
            counts["duplicate_instructions"] += 1
        else:
            self._last_source[mark] = source
            counts["duplicates_of_other_sources"] += before is not None
        pair = mark + fingerprint(response)
        counts["duplicate_pairs"] += pair in self._pairs
        self._pairs.add(pair)

    def rows(self, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
        """One row per source, and one of all, named as the mixture is.

        Args:
            manifest: of the dataset; says what the merge left out.
        """
        total: Counter[str] = Counter()
        rows = []
        none: dict[str, list[Any]] = {text: [] for text in TEXTS}
        for source in manifest["settings"]["sources"]:
            counts = self._counts.get(source, Counter())
            counts.update(_left_out(manifest["sources"][source]))
            total.update(counts)
            rows.append(_row(source, counts, self._lengths.get(source, none)))
        everything = {
            text: [part for lengths in self._lengths.values() for part in lengths[text]]
            for text in TEXTS
        }
        return [*rows, _row(manifest["mixture"], total, everything)]


def _left_out(source: Mapping[str, Any]) -> dict[str, int]:
    """Rows of a source that the merge read, and those that it left out by kind of reason."""
    dropped = source["dropped"]
    empty = {f"empty_{text}s": dropped.get(f"empty_{text}", 0) for text in TEXTS}
    excluded = sum(dropped.values()) - sum(empty.values())
    return {"read": source["read"], **empty, "excluded": excluded}


def _row(name: str, counts: Counter[str], lengths: Mapping[str, list[Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"instruction_source": name}
    row.update((column, counts[column]) for column in COUNTS)
    for text, parts in lengths.items():
        joined = np.concatenate(parts or [np.zeros(1, np.int32)])
        values = np.percentile(joined, PERCENTILES, method="inverted_cdf")
        for percentile, value in zip(PERCENTILES, values, strict=True):
            row[f"{text}_characters_p{percentile}"] = int(value)
    return row
