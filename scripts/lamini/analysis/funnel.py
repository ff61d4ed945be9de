"""Funnel per source: number of pairs left after each filter for doubtful pairs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamini.analysis.columns import CsvRow, read_batches, write_csv
from lamini.analysis.language import LanguageDetector
from lamini.analysis.responses import is_non_answer, is_unfinished
from lamini.arrays import Integers
from lamini.dataset.manifest import DatasetManifest
from lamini.dataset.writer import Mask, has_flag
from lamini.errors import LaminiError
from lamini.log import Progress
from lamini.settings.params.analysis import CountFunnel

STAGES = {
    "english": "non_english",
    "answered": "unanswered",
    "whole": "truncated",
    "unrepeated": "repeated",
    "unseen": "seen",
}
"""Name of each stage, and of what its filter takes out."""
COUNTED = (
    "refused",
    "non_answers",
    "unfinished",
    "undetermined_language",
    "foreign_responses",
)
COLUMNS = (
    "instruction_source",
    "read",
    "samples",
    *STAGES,
    "left_percent",
    "non_english_percent",
    *STAGES.values(),
    *COUNTED,
)
"""`read`: pairs read by the merge. `samples`: pairs in the dataset.

Each stage is the number of pairs left after one more filter: instructions in other languages,
refusals and responses that are no answer, truncated responses, near-duplicate instructions, pairs
that share words with an evaluated example. Both percentages (pairs left, instructions in other
languages) are of `samples`. The columns of `STAGES`' values count what each filter finds alone,
among all pairs.

`COUNTED`: `refused` and `non_answers` are both `unanswered`. Nothing is taken out for the others:
responses that end in the middle by their text, instructions that are too short to tell their
language, responses in another language than English.

Of an instruction and its near-duplicates, the first one that no other filter takes out stays; so a
near-duplicate of a refused or contaminated pair stays if it is the only one left. `repeated` counts
all near-duplicates. What was not measured is empty: `whole` and `truncated` without finish reasons,
percentages of no pairs.
"""


def count_funnel(
    *,
    manifest: str | Path,
    dataset: str | Path,
    near_duplicates: str | Path,
    hits: str | Path,
    funnel: str | Path,
    settings: CountFunnel,
) -> None:
    """Count the funnel of each source and of all sources; the dataset is not changed.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        near_duplicates: Parquet of `find_near_duplicates`.
        hits: Parquet of `find_contamination`.
        funnel: CSV to write, in `COLUMNS`; the last row counts all sources.
        settings: the rule's params: `language_score`, `shared_words`.

    Raises:
        LaminiError: when an input cannot be read, or is not of this dataset.
    """
    dataset_manifest = DatasetManifest.read(manifest)
    ids: dict[str, list[pa.Array]] = {source: [] for source in dataset_manifest.settings.sources}
    detected: dict[str, list[Mask]] = {}
    detect = LanguageDetector(settings.language_score)
    with Progress(dataset_manifest.rows, "pairs") as progress:
        columns = ["id", "instruction", "response", "flags"]
        for source, batch in read_batches(dataset, columns, manifest):
            ids[source].append(batch["id"])
            for name, mask in _detected(batch, detect).items():
                detected.setdefault(name, []).append(mask)
            progress.advance(len(batch))
    masks = {name: np.concatenate(parts) for name, parts in detected.items()}
    wrong = {
        "english": masks["non_english"],
        "answered": masks["refused"] | masks["non_answers"],
        "whole": masks["truncated"],
    }
    row_numbers = _RowNumbers(ids)
    words = settings.shared_words
    shared = (pc.field("instruction_words") >= words) | (pc.field("response_words") >= words)
    wrong["unseen"] = np.zeros(row_numbers.rows, np.bool_)
    wrong["unseen"][row_numbers.read(hits, "id", "instruction_source", shared)] = True
    repeats = row_numbers.read(near_duplicates, "id", "instruction_source")
    originals = row_numbers.read(near_duplicates, "original_id", "original_source")
    kept = ~np.logical_or.reduce([*wrong.values()])
    wrong["unrepeated"] = _later_ones(repeats, originals, kept)
    alone = masks | {STAGES[stage]: mask for stage, mask in wrong.items()}
    alone["repeated"] = np.isin(np.arange(row_numbers.rows), repeats)
    write_csv(funnel, COLUMNS, _rows(dataset_manifest, row_numbers.ends, wrong, alone))


def _detected(batch: pa.RecordBatch, detect: LanguageDetector) -> dict[str, Mask]:
    """Masks of the rows of a batch that each detector finds."""
    instructions, responses = (batch[part].to_pylist() for part in ("instruction", "response"))
    flags = pa.chunked_array([batch["flags"]])
    languages = np.array([detect(text) for text in instructions])
    return {
        "non_english": languages == "other",
        "undetermined_language": languages == "undetermined",
        "foreign_responses": np.array([detect(text) == "other" for text in responses]),
        "refused": has_flag(flags, "refusal"),
        "non_answers": np.array([is_non_answer(text) for text in responses]),
        "truncated": has_flag(flags, "truncated"),
        "unfinished": np.array([is_unfinished(text) for text in responses]),
    }


class _RowNumbers:
    """Row numbers of the dataset's ids.

    Args:
        ids: the ids of each source, in the dataset's order.
    """

    def __init__(self, ids: Mapping[str, Iterable[pa.Array]]) -> None:
        self._ids = {source: pa.chunked_array(parts, pa.string()) for source, parts in ids.items()}
        ends = np.cumsum([len(names) for names in self._ids.values()])
        self.ends = dict(zip(self._ids, ends.tolist(), strict=True))
        """Row number after the last row of each source."""
        self.rows = int(ends[-1])

    def read(
        self, path: str | Path, name: str, source: str, chosen: pc.Expression | None = None
    ) -> Integers:
        """Row numbers of the ids in a Parquet file, in its order.

        Args:
            path: the Parquet file.
            name: its column of ids.
            source: its column of the ids' sources.
            chosen: filter of its rows; None: all rows.

        Raises:
            LaminiError: the file cannot be read, or has an id that the dataset lacks.
        """
        try:
            table = pq.read_table(path, columns=[name, source], filters=chosen)
        except (pa.ArrowInvalid, OSError) as error:
            raise LaminiError(
                f"{path}: not a readable Parquet file ({error}); remake it"
            ) from error
        numbers = np.full(len(table), -1, np.int64)
        for own, names in self._ids.items():
            here = np.asarray(pc.equal(table[source], own))
            positions = pc.index_in(table[name].filter(pa.array(here)), value_set=names)
            first = self.ends[own] - len(names)
            numbers[here] = np.asarray(pc.fill_null(positions, -1 - first)) + first
        if len(lost := np.flatnonzero(numbers < 0)):
            raise LaminiError(
                f"{path}: {table[name][int(lost[0])]} is not in the dataset; remake the file"
            )
        return numbers


def _later_ones(repeats: Integers, originals: Integers, kept: Mask) -> Mask:
    """Mask of the near-duplicates without the first kept instruction of each group.

    Args:
        repeats: row numbers of near-duplicates.
        originals: row number of the original of each.
        kept: mask of the rows that no other filter takes out.
    """
    groups = np.concatenate([originals, originals])
    members = np.concatenate([originals, repeats])
    order = np.lexsort([members, groups])
    order = order[kept[members[order]]]
    first = np.unique(groups[order], return_index=True)[1]
    later = np.zeros(len(kept), np.bool_)
    later[members[order]] = True
    later[members[order[first]]] = False
    return later


def _rows(
    manifest: DatasetManifest,
    ends: Mapping[str, int],
    wrong: Mapping[str, Mask],
    alone: Mapping[str, Mask],
) -> list[CsvRow]:
    rows = []
    total: Counter[str] = Counter()
    first = 0
    for source, end in ends.items():
        keep = np.ones(end - first, np.bool_)
        counts = Counter(read=manifest.sources[source].read, samples=end - first)
        for stage in STAGES:
            keep &= ~wrong[stage][first:end]
            counts[stage] = int(keep.sum())
        for name, mask in alone.items():
            counts[name] = int(mask[first:end].sum())
        total.update(counts)
        rows.append(_row(source, counts, manifest.sources[source].truncated is None))
        first = end
    unknown = any(counts.truncated is None for counts in manifest.sources.values())
    return [*rows, _row(manifest.mixture, total, unknown)]


def _row(name: str, counts: Counter[str], truncation_unknown: bool) -> CsvRow:
    count = counts["samples"]
    shown: dict[str, Any] = {column: counts[column] for column in COLUMNS}
    left = counts[[*STAGES][-1]]
    for column, part in (("left_percent", left), ("non_english_percent", counts["non_english"])):
        shown[column] = 100 * part / count if count else None
    if truncation_unknown:
        shown |= {"whole": None, "truncated": None}
    return [name, *[*shown.values()][1:]]
