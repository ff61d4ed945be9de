"""Arrays in temporary files."""

import os
from collections import Counter
from itertools import groupby

import numpy as np
import pyarrow as pa
import pytest
from dataset_cases import dataset_manifest
from hypothesis import given
from hypothesis import strategies as st

from lamini.analysis.quality import COLUMNS, Quality
from lamini.analysis.spill import Spilled


def test_added_hashes_are_read_in_their_order() -> None:
    spilled = Spilled()
    assert spilled.added().tolist() == []
    parts = [np.array([3, 1], np.uint64), np.zeros(0, np.uint64), np.arange(9, dtype=np.uint64)]
    for part in parts:
        spilled.add(part[::1])
    assert spilled.added().tolist() == [3, 1, *range(9)]
    spilled.add(np.array([7, 8, 9], np.uint64)[::2])
    assert spilled.added().tolist() == [3, 1, *range(9), 7, 9]


def test_room_keeps_what_was_written() -> None:
    spilled = Spilled()
    first = spilled.room(0)
    first[:] = np.arange(len(first))
    more = spilled.room(3 * len(first))
    assert len(more) == 4 * len(first)
    assert more[: len(first)].tolist() == list(range(len(first)))
    assert not more[len(first) :].any()


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, first: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    spilled = Spilled()
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        spilled.room(1)


PAIRS = st.tuples(st.sampled_from("ab"), st.sampled_from(["Q", "q ", "P"]), st.sampled_from("xy"))


@given(st.lists(PAIRS, max_size=30), st.integers(1, 4))
def test_repetitions_are_those_of_a_scan(pairs: list[tuple[str, str, str]], size: int) -> None:
    last: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    expected = {source: Counter[str]() for source in "ab"}
    for source, instruction, response in pairs:
        text = instruction.strip().lower()
        if last.get(text) == source:
            expected[source]["duplicate_instructions"] += 1
        elif text in last:
            expected[source]["duplicates_of_other_sources"] += 1
        last[text] = source
        expected[source]["duplicate_pairs"] += (text, response) in seen
        seen.add((text, response))
    quality = Quality()
    for source, of_source in groupby(pairs, lambda pair: pair[0]):
        rows = list(of_source)
        for first in range(0, len(rows), size):
            _, instructions, responses = zip(*rows[first : first + size], strict=True)
            flags = pa.array([[]] * len(instructions), pa.list_(pa.string()))
            columns = {"instruction": instructions, "response": responses, "flags": flags}
            quality.add(source, pa.RecordBatch.from_pydict(columns))
    table = quality.rows(dataset_manifest({"a": {}, "b": {}}))
    names = ("duplicate_instructions", "duplicates_of_other_sources", "duplicate_pairs")
    for row, source in zip(table, "ab", strict=False):
        found = dict(zip(COLUMNS, row, strict=True))
        assert [found[name] for name in names] == [expected[source][name] for name in names]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_percentiles_are_those_of_the_sorted_lengths(lengths: list[int]) -> None:
    texts = pa.array(["x" * length for length in lengths])
    none = pa.array([[]] * len(texts), pa.list_(pa.string()))
    quality = Quality()
    for part in (slice(0, 7), slice(7, None)):
        columns = {"instruction": texts[part], "response": texts[part], "flags": none[part]}
        quality.add("a", pa.RecordBatch.from_pydict(columns))
    row = dict(zip(COLUMNS, quality.rows(dataset_manifest({"a": {}}))[0], strict=True))
    for percent in (5, 50, 95, 100):
        rank = -(-percent * len(lengths) // 100)
        expected = sorted(lengths)[rank - 1]
        assert row[f"instruction_characters_p{percent}"] == expected
        assert row[f"response_characters_p{percent}"] == expected
