"""Queries of a source: its unique instructions, split evenly into shards.

Rows are selected first (`lamini.generation.deduplication`), then read again and written, so that
memory holds no texts.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from lamini.errors import LaminiError
from lamini.files import read_jsonl, write_jsonl
from lamini.generation.deduplication import choose_unrepeated
from lamini.generation.reports import FunnelStage, QueryFunnel
from lamini.generation.rows import QueryRow
from lamini.settings.params.generation import SelectQueries


def select_queries(
    *,
    instructions: Sequence[Path],
    queries: Sequence[Path],
    funnel: Path,
    settings: SelectQueries,
) -> None:
    """Remove duplicate instructions over all files of a source, and split the rest into shards.

    Args:
        instructions: instruction shards or prompts; of duplicates, the first one is kept.
        queries: shards to write: `id`, `instruction`, `instruction_source`, `subset`, and
            `later_turns` of conversations. Their sizes differ by at most one row.
        funnel: JSON to write with the numbers of rows that were read, and left by each filter.
        settings: the rule's params.

    Raises:
        LaminiError: fewer instructions than shards are left.
    """
    source = settings.source
    selection = choose_unrepeated(instructions, settings.deduplication)
    left = sum(selection.keep)
    if left < len(queries):
        raise LaminiError(
            f"{source}: {left} unique instructions cannot fill {len(queries)} shards;"
            f" lower `sources.{source}.shards` or raise its samples"
        )
    selected = _selected(instructions, selection.keep, source)
    size, larger = divmod(left, len(queries))
    for number, path in enumerate(queries):
        write_jsonl(path, islice(selected, size + (number < larger)))
    QueryFunnel(
        source=source, stages=FunnelStage.of_counts(selection.left), shards=len(queries)
    ).write(funnel)


def _selected(inputs: Sequence[Path], keep: bytearray, source: str) -> Iterator[QueryRow]:
    number = 0
    for path in inputs:
        for row in read_jsonl(path):
            if keep[number]:
                generated = "instruction_source" in row
                query: QueryRow = {
                    # Sources of one collection have prompts with equal ids.
                    "id": row["id"] if generated else f"{source}/{row['id']}",
                    "instruction": row["instruction"],
                    "instruction_source": source,
                    "subset": row["subset"],
                }
                if "later_turns" in row:
                    query["later_turns"] = row["later_turns"]
                yield query
            number += 1
