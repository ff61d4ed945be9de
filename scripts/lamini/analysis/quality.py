"""Quality counts of pairs per source: refusals, truncations, empty texts, duplicates."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamini.analysis.columns import CsvRow
from lamini.analysis.spill import Spilled
from lamini.arrays import Hashes
from lamini.dataset.manifest import DatasetManifest, SourceCounts
from lamini.generation.normalization import text_key

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
"""`read`: rows read by the merge. `empty_*`, `excluded`: rows dropped by the merge. `samples`: rows
of the dataset; all later counts are among them. `truncated` is empty where the data has no finish
reasons.

A duplicate repeats an earlier text; both are equal after normalization (NFKC, case, white space).
The first occurrence does not count. `duplicate_instructions` repeat the same source,
`duplicates_of_other_sources` an earlier source of the mixture. `duplicate_pairs` repeat the
response as well.
"""
_PARTITIONS = 64
"""Number of temporary files of keys. Pairs with equal instructions are in the same file, so
duplicates are counted in one file after another; of 26 million pairs, each has 16 MB."""
COLUMNS = (
    "instruction_source",
    *COUNTS,
    *(f"{text}_characters_p{percentile}" for text in TEXTS for percentile in PERCENTILES),
)


class Quality:
    """Counts a dataset's pairs per source; pairs are added in the dataset's order."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._lengths: dict[tuple[str, str], Counter[int]] = {}
        self._keys = [Spilled() for _ in range(_PARTITIONS)]

    def add(self, source: str, batch: pa.RecordBatch) -> None:
        """Add pairs of one source; columns `instruction`, `response`, `flags`."""
        counts = self._counts.setdefault(source, Counter())
        counts["samples"] += len(batch)
        flags = Counter(pc.list_flatten(batch["flags"]).to_pylist())
        counts["refusals"] += flags["refusal"]
        counts["truncated"] += flags["truncated"]
        for text in TEXTS:
            lengths = np.unique(pc.utf8_length(batch[text]).to_numpy(), return_counts=True)
            known = self._lengths.setdefault((source, text), Counter())
            known.update(dict(zip(*map(np.ndarray.tolist, lengths), strict=True)))
        keys = _keys(batch, [*self._counts].index(source))
        partitions = keys[:, 0] % np.uint64(_PARTITIONS)
        for number, partition in enumerate(self._keys):
            partition.add(keys[partitions == number].reshape(-1))

    def _repetitions(self) -> dict[str, Counter[str]]:
        """Numbers of duplicates per source, by their columns in `COUNTS`."""
        repetitions = {source: Counter[str]() for source in self._counts}
        for partition in self._keys:
            for name, sources in _duplicates(partition.added().reshape(-1, 5)).items():
                of_each = np.bincount(sources.astype(np.int64), minlength=len(repetitions))
                for counts, count in zip(repetitions.values(), of_each.tolist(), strict=True):
                    counts[name] += count
        return repetitions

    def rows(self, manifest: DatasetManifest) -> list[CsvRow]:
        """Rows in `COLUMNS`: one row per source, and one of all sources under the mixture's name.

        Args:
            manifest: the dataset's manifest, with the counts of dropped rows.
        """
        total: Counter[str] = Counter()
        rows = []
        repetitions = self._repetitions()
        for source in manifest.settings.sources:
            counts = self._counts.get(source, Counter()) + repetitions.get(source, Counter())
            counts.update(_left_out(manifest.sources[source]))
            total.update(counts)
            unknown = manifest.sources[source].truncated is None
            lengths = [self._lengths.get((source, text), Counter()) for text in TEXTS]
            rows.append(_row(source, counts, lengths, unknown))
        lengths = [
            sum((self._lengths[source, text] for source in self._counts), Counter[int]())
            for text in TEXTS
        ]
        unknown = any(counts.truncated is None for counts in manifest.sources.values())
        return [*rows, _row(manifest.mixture, total, lengths, unknown)]


def _keys(batch: pa.RecordBatch, source: int) -> Hashes:
    """Two numbers of the instruction's key (`text_key`), two of the response's, and the source.

    Shape (pairs, 5). Two texts are duplicates if their keys are equal.
    """
    pairs = zip(*(batch[text].to_pylist() for text in TEXTS), strict=True)
    joined = b"".join(text_key(text) for pair in pairs for text in pair)
    keys = np.frombuffer(joined, np.uint64).reshape(-1, 4)
    return np.column_stack([keys, np.full(len(keys), source, np.uint64)])


def _duplicates(keys: Hashes) -> dict[str, Hashes]:
    """Sources of the duplicates among pairs, by their columns in `COUNTS`.

    Args:
        keys: from `_keys`, in the dataset's order.
    """
    # Sorting is stable, so a text's occurrences stay in the dataset's order.
    keys = keys[np.lexsort([keys[:, 1], keys[:, 0]])]
    repeated = (keys[1:, :2] == keys[:-1, :2]).all(1)
    source, before = keys[1:, 4], keys[:-1, 4]
    pairs = keys[np.lexsort([*keys[:, :4].T])]
    return {
        "duplicate_instructions": source[repeated & (source == before)],
        "duplicates_of_other_sources": source[repeated & (source != before)],
        "duplicate_pairs": pairs[1:, 4][(pairs[1:, :4] == pairs[:-1, :4]).all(1)],
    }


def _left_out(source: SourceCounts) -> dict[str, int]:
    """Number of rows of a source that the merge read, and of dropped rows by reason."""
    empty = {f"empty_{text}s": source.dropped[f"empty_{text}"] for text in TEXTS}
    excluded = source.dropped.total() - sum(empty.values())
    return {"read": source.read, **empty, "excluded": excluded}


def _row(
    name: str, counts: Counter[str], lengths: Sequence[Counter[int]], truncation_unknown: bool
) -> CsvRow:
    known: dict[str, int | None] = {column: counts[column] for column in COUNTS}
    if truncation_unknown:
        known["truncated"] = None
    return [name, *known.values(), *(value for text in lengths for value in _percentiles(text))]


def _percentiles(lengths: Counter[int]) -> list[int | None]:
    """Per percentile, the smallest length that at least this share of the texts do not exceed.

    Args:
        lengths: number of texts of each length.
    """
    if not lengths:
        return [None] * len(PERCENTILES)
    values = sorted(lengths)
    ends = np.cumsum([lengths[value] for value in values])
    return [
        values[int(np.searchsorted(100 * ends, percentile * ends[-1]))]
        for percentile in PERCENTILES
    ]
