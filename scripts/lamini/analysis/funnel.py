"""Funnel per source: number of pairs left after each filter for doubtful pairs."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamini.analysis.columns import read_batches, write_csv
from lamini.analysis.language import ForeignText
from lamini.dataset.writer import has_flag
from lamini.errors import LaminiError
from lamini.files import read_json
from lamini.log import Progress
from lamini.settings.params import CountFunnel

STAGES = ("english", "answered", "whole", "unrepeated", "unseen")
COLUMNS = ("instruction_source", "read", "samples", *STAGES, "left_percent", "non_english_percent")
"""`read`: pairs read by the merge. `samples`: pairs in the dataset.

Each stage is the number of pairs left after one more filter: pairs in other languages, refusals,
truncated responses, near-duplicate instructions, pairs that share words with an evaluated example.
Both percentages (pairs left, pairs in other languages) are of `samples`.
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
        LaminiError: when an input cannot be read, or the dataset does not match the manifest.
    """
    facts = read_json(manifest)
    repeated = _ids(near_duplicates, pc.scalar(True))
    words = settings.shared_words
    shared = (pc.field("instruction_words") >= words) | (pc.field("response_words") >= words)
    seen = _ids(hits, shared)
    is_foreign = ForeignText(settings.language_score)
    left: dict[str, Counter[str]] = {}
    with Progress(facts["rows"], "pairs") as progress:
        columns = ["id", "instruction", "response", "flags"]
        for source, batch in read_batches(dataset, columns, manifest):
            texts = (batch[part].to_pylist() for part in ("instruction", "response"))
            flags = pa.chunked_array([batch["flags"]])
            wrong = {
                "english": np.fromiter(map(is_foreign, *texts), np.bool_, len(batch)),
                "answered": has_flag(flags, "refusal"),
                "whole": has_flag(flags, "truncated"),
                "unrepeated": _is_in(batch["id"], repeated.get(source)),
                "unseen": _is_in(batch["id"], seen.get(source)),
            }
            counts = left.setdefault(source, Counter())
            counts["samples"] += len(batch)
            keep = np.ones(len(batch), np.bool_)
            for stage in STAGES:
                keep &= ~wrong[stage]
                counts[stage] += int(keep.sum())
            progress.advance(len(batch))
    write_csv(funnel, COLUMNS, _rows(facts, left))


def _ids(path: str | Path, chosen: pc.Expression) -> dict[str, pa.Array]:
    """Ids of the rows that match the filter `chosen`, by source."""
    try:
        table = pq.read_table(path, columns=["id", "instruction_source"], filters=chosen)
    except (pa.ArrowInvalid, OSError) as error:
        raise LaminiError(f"{path}: not a readable Parquet file ({error}); remake it") from error
    sources = table["instruction_source"].unique().to_pylist()
    own = {s: table.filter(pc.equal(table["instruction_source"], s)) for s in sources}
    return {source: rows["id"].unique() for source, rows in own.items()}


def _is_in(ids: pa.Array, wanted: pa.Array | None) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if wanted is None:
        return np.zeros(len(ids), np.bool_)
    return np.asarray(pc.is_in(ids, value_set=wanted))


def _rows(facts: Mapping[str, Any], left: Mapping[str, Counter[str]]) -> list[dict[str, Any]]:
    rows = []
    total: Counter[str] = Counter()
    for source in facts["settings"]["sources"]:
        counts = left.get(source, Counter()) + Counter(read=facts["sources"][source]["read"])
        total.update(counts)
        rows.append(_row(source, counts))
    return [*rows, _row(facts["mixture"], total)]


def _row(name: str, counts: Counter[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"instruction_source": name}
    row.update((column, counts[column]) for column in ("read", "samples", *STAGES))
    samples = max(counts["samples"], 1)
    row["left_percent"] = 100 * counts[STAGES[-1]] / samples
    row["non_english_percent"] = 100 * (counts["samples"] - counts["english"]) / samples
    return row
