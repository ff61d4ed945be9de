"""The unique instructions of a source, split evenly into the shards that are answered.

Two passes over the files: the first decides which rows stay and how many there are, the second
writes them, so that memory holds 16 bytes an instruction and no text.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_jsonl, sha256_file, write_json, write_jsonl
from lamini.generation.normalization import fingerprint
from lamini.log import Progress
from lamini.provenance import record_provenance
from lamini.settings.dataset import Deduplication

Row = dict[str, Any]


def select_queries(
    *,
    inputs: Sequence[Path],
    queries: Sequence[Path],
    funnel: Path,
    settings: dict[str, Any],
) -> None:
    """Drop repeated instructions across a source's files, the first one staying.

    Args:
        inputs: instruction shards or prompts, in the order in which the first one counts.
        queries: shards to write: `id`, `instruction`, `instruction_source`, `subset`. Their sizes
            differ by one at most.
        funnel: JSON with the rows read and left.
        settings: the rule's params.

    Raises:
        LaminiError: when fewer instructions are left than there are shards.
    """
    source = settings["source"]
    deduplication = Deduplication.model_validate(settings["deduplication"])
    keep = _first_ones(inputs) if deduplication.exact else None
    rows = len(keep) if keep is not None else sum(1 for path in inputs for _ in read_jsonl(path))
    left = sum(keep) if keep is not None else rows
    if left < len(queries):
        raise LaminiError(
            f"{source}: {left} unique instructions cannot fill {len(queries)} shards;"
            f" lower `sources.{source}.shards` or raise its samples"
        )
    selected = _selected(inputs, keep, source)
    size, larger = divmod(left, len(queries))
    for number, path in enumerate(queries):
        write_jsonl(path, islice(selected, size + (number < larger)))
    write_json(
        funnel,
        {
            "source": source,
            "stages": [{"stage": "rows", "left": rows}, {"stage": "exact", "left": left}],
            "shards": len(queries),
        },
    )
    record = record_provenance(
        funnel,
        rule="select_queries",
        settings=settings,
        inputs=inputs,
        extra={"shards": {str(path): sha256_file(path) for path in queries}},
    )
    for path in queries:  # All have the same inputs, which would be hashed again for each.
        extra = {"inputs": f"as of {funnel}, see {record}"}
        record_provenance(path, rule="select_queries", settings=settings, extra=extra)


def _first_ones(inputs: Sequence[Path]) -> bytearray:
    """For each row of all inputs, 1 when no row before it is the same after normalisation."""
    seen: set[bytes] = set()
    keep = bytearray()
    with Progress(len(inputs), "files") as progress:
        for path in inputs:
            for row in read_jsonl(path):
                mark = fingerprint(row["instruction"])
                keep.append(mark not in seen)
                seen.add(mark)
            progress.advance()
    return keep


def _selected(inputs: Sequence[Path], keep: bytearray | None, source: str) -> Iterator[Row]:
    number = 0
    for path in inputs:
        for row in read_jsonl(path):
            if keep is None or keep[number]:
                generated = "instruction_source" in row
                yield {
                    # Sources may share a collection, and so the ids of its prompts.
                    "id": row["id"] if generated else f"{source}/{row['id']}",
                    "instruction": row["instruction"],
                    "instruction_source": source,
                    "subset": row["subset"],
                }
            number += 1
