"""Topic coverage: topics shown in topic-guided requests, and topics named in the instructions."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from lamini.analysis.columns import write_csv
from lamini.analysis.words import word_hashes
from lamini.files import read_jsonl
from lamini.generation.topics import read_topics
from lamini.log import Progress

COLUMNS = (
    "instruction_source",
    "topics",
    "shown",
    "reached",
    "instructions",
    "on_topic",
    "on_topic_percent",
)
"""Per source: `topics` in the list; topics `shown` in a request; topics `reached`, named by an
instruction of a request that showed them; all `instructions`; and instructions `on_topic`, which
name a topic of their request."""


def measure_topic_coverage(
    *,
    topics: str | Path,
    instructions: Sequence[str | Path],
    coverage: str | Path,
) -> None:
    """Count shown and reached topics, per topic-guided source.

    An instruction names a topic if it contains all words of the topic. Order, case and a final "s"
    of the words are ignored.

    Args:
        topics: the topic list.
        instructions: instruction shards, `instructions/{source}/{shard}.jsonl`.
        coverage: CSV to write, in `COLUMNS`.
    """
    listed = set(read_topics(topics))
    shown: dict[str, set[str]] = defaultdict(set)
    reached: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with Progress(len(instructions), "shards") as progress:
        for path in map(Path, instructions):
            source = path.parent.name
            for row in read_jsonl(path):
                named = named_topics(row["instruction"], row["topics"])
                shown[source].update(row["topics"])
                reached[source].update(named)
                counts[source]["instructions"] += 1
                counts[source]["on_topic"] += bool(named)
            progress.advance()
    rows = []
    for source, counted in counts.items():
        numbers = (len(listed), len(shown[source] & listed), len(reached[source] & listed))
        percent = 100 * counted["on_topic"] / counted["instructions"]
        rows.append((source, *numbers, counted["instructions"], counted["on_topic"], percent))
    write_csv(coverage, COLUMNS, rows)


def named_topics(instruction: str, topics: Sequence[str]) -> list[str]:
    """Topics that an instruction names."""
    words = _stems(instruction)
    return [topic for topic in topics if (own := _stems(topic)) and own <= words]


def _stems(text: str) -> set[int]:
    """Hashes of the words without a final "s", the singular of most English nouns."""
    hashes, _ = word_hashes(pa.array([word.removesuffix("s") for word in text.lower().split()]))
    return set(hashes.tolist())
