"""Quality counts of pairs per source: refusals, truncations, empty texts, duplicates."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamini.analysis.columns import CsvRow
from lamini.dataset.manifest import DatasetManifest, SourceCounts
from lamini.generation.normalization import text_key

TEXTS = ("instruction", "response")
Keys = np.ndarray[Any, np.dtype[np.uint64]]
"""Shape (pairs, 4): two numbers for the instruction, two for the response."""
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
"""`read`: rows read by the merge. `empty_*`, `excluded`: rows dropped by the merge. `samples`: rows
of the dataset; all later counts are among them. `truncated` is empty where the data has no finish
reasons.

A duplicate repeats an earlier text; both are equal after normalization (NFKC, case, white space).
The first occurrence does not count. `duplicate_instructions` repeat the same source,
`duplicates_of_other_sources` an earlier source of the mixture. `duplicate_pairs` repeat the
response as well.
"""
COLUMNS = (
    "instruction_source",
    *COUNTS,
    *(f"{text}_characters_p{percentile}" for text in TEXTS for percentile in PERCENTILES),
)


class Quality:
    """Counts a dataset's pairs per source; pairs are added in the dataset's order."""

    def __init__(self) -> None:
        self._sources: list[str] = []
        self._keys: list[Keys] = []
        self._counts: dict[str, Counter[str]] = {}
        self._lengths: dict[str, dict[str, list[Any]]] = {}

    def add(self, source: str, batch: pa.RecordBatch) -> None:
        """Add pairs of one source; columns `instruction`, `response`, `flags`."""
        counts = self._counts.setdefault(source, Counter())
        counts["samples"] += len(batch)
        flags = Counter(pc.list_flatten(batch["flags"]).to_pylist())
        counts["refusals"] += flags["refusal"]
        counts["truncated"] += flags["truncated"]
        texts = [batch[text].to_pylist() for text in TEXTS]
        self._sources.append(source)
        self._keys.append(_keys(*texts))
        lengths = self._lengths.setdefault(source, {text: [] for text in TEXTS})
        for text, parts in lengths.items():
            parts.append(pc.utf8_length(batch[text]).to_numpy())

    def _repetitions(self) -> dict[str, Counter[str]]:
        """Numbers of duplicates per source, by their columns in `COUNTS`."""
        names = list(self._counts)
        keys = np.concatenate(self._keys) if self._keys else np.zeros((0, 4), np.uint64)
        numbers = np.array([names.index(source) for source in self._sources], np.int16)
        source = np.repeat(numbers, [len(part) for part in self._keys])
        # Sorting is stable, so a text's occurrences stay in the dataset's order.
        order = np.lexsort([keys[:, 1], keys[:, 0]])
        repeated = (keys[order[1:], :2] == keys[order[:-1], :2]).all(1)
        later, before = source[order[1:]], source[order[:-1]]
        order = np.lexsort([*keys.T])
        pairs = source[order[1:]][(keys[order[1:]] == keys[order[:-1]]).all(1)]
        duplicates = {
            "duplicate_instructions": later[repeated & (later == before)],
            "duplicates_of_other_sources": later[repeated & (later != before)],
            "duplicate_pairs": pairs,
        }
        counted = {name: np.bincount(of, minlength=len(names)) for name, of in duplicates.items()}
        return {
            source: Counter({name: int(count[number]) for name, count in counted.items()})
            for number, source in enumerate(names)
        }

    def rows(self, manifest: DatasetManifest) -> list[CsvRow]:
        """Rows in `COLUMNS`: one row per source, and one of all sources under the mixture's name.

        Args:
            manifest: the dataset's manifest, with the counts of dropped rows.
        """
        total: Counter[str] = Counter()
        rows = []
        repetitions = self._repetitions()
        none: dict[str, list[Any]] = {text: [] for text in TEXTS}
        for source in manifest.settings.sources:
            counts = self._counts.get(source, Counter()) + repetitions.get(source, Counter())
            counts.update(_left_out(manifest.sources[source]))
            total.update(counts)
            unknown = manifest.sources[source].truncated is None
            rows.append(_row(source, counts, self._lengths.get(source, none), unknown))
        everything = {
            text: [part for lengths in self._lengths.values() for part in lengths[text]]
            for text in TEXTS
        }
        unknown = any(counts.truncated is None for counts in manifest.sources.values())
        return [*rows, _row(manifest.mixture, total, everything, unknown)]


def _keys(instructions: list[str], responses: list[str]) -> Keys:
    """Keys of pairs (`text_key`); two texts are duplicates if their keys are equal."""
    pairs = zip(instructions, responses, strict=True)
    joined = b"".join(text_key(text) for pair in pairs for text in pair)
    return np.frombuffer(joined, np.uint64).reshape(-1, 4)


def _left_out(source: SourceCounts) -> dict[str, int]:
    """Number of rows of a source that the merge read, and of dropped rows by reason."""
    empty = {f"empty_{text}s": source.dropped[f"empty_{text}"] for text in TEXTS}
    excluded = source.dropped.total() - sum(empty.values())
    return {"read": source.read, **empty, "excluded": excluded}


def _row(
    name: str, counts: Counter[str], lengths: Mapping[str, list[Any]], truncation_unknown: bool
) -> CsvRow:
    known: dict[str, int | None] = {column: counts[column] for column in COUNTS}
    if truncation_unknown:
        known["truncated"] = None
    row: list[str | float | None] = [name, *known.values()]
    for text in TEXTS:
        if not lengths[text]:
            row += [None] * len(PERCENTILES)
            continue
        joined = np.concatenate(lengths[text])
        row += map(int, np.percentile(joined, PERCENTILES, method="inverted_cdf"))
    return row
