"""Near-duplicates, compared with a search over all pairs; and the share that hashing misses."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_analysis_mattr import HOSTILE, slow_words
from test_dataset_merge import merge, pair, params, write_shards

from lamini.analysis.minhash import Hashing, NearDuplicates
from lamini.analysis.near_duplicates import find_near_duplicates
from lamini.errors import LaminiError
from lamini.settings.params.analysis import FindNearDuplicates


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def slow_shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = slow_words(text)
    if not words:
        return set()
    size = min(size, len(words))
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}


def slow_originals(texts: list[str], size: int, threshold: float) -> list[tuple[int, float]]:
    kept: list[int] = []
    found = []
    sets = [slow_shingles(text, size) for text in texts]
    for number, own in enumerate(sets):
        best, original = 0.0, -1
        for earlier in kept:
            similarity = len(own & sets[earlier]) / len(own | sets[earlier])
            if similarity >= threshold and similarity > best:
                best, original = similarity, earlier
        if original < 0 and own:
            kept.append(number)
        found.append((original, best))
    return found


def originals(
    texts: list[str], sizes: list[int], hashing: Hashing, threshold: float
) -> list[tuple[int, float]]:
    known = NearDuplicates(
        len(texts), hashing=hashing, threshold=threshold, most_compared=len(texts) + 1
    )
    found: list[tuple[int, float]] = []
    first = 0
    for count in [*sizes, len(texts)]:
        part = known.add(hashing.shingles(pa.array(texts[first : first + count], pa.string())))
        found += zip(part.original.tolist(), part.similarity.tolist(), strict=True)
        first += count
    return found


def test_at_least_the_latest_text_with_a_key_is_compared() -> None:
    hashing = Hashing(1, bands=1, rows=1)
    for most in (1, 2):
        known = NearDuplicates(2, hashing=hashing, threshold=0.9, most_compared=most)
        part = known.add(hashing.shingles(pa.array(["a b c d", "a b c d"])))
        assert part.original.tolist() == [-1, 0]


TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "B", "b", "c", "dog", "!"]), max_size=9).map(" ".join),
    max_size=12,
)


@given(
    texts=TEXTS,
    sizes=st.lists(st.integers(0, 4), max_size=3),
    size=st.integers(1, 3),
    threshold=st.sampled_from([0.5, 0.75, 0.8, 1.0]),
)
@settings(max_examples=300, deadline=None)
def test_originals_are_those_of_comparing_all_pairs(
    texts: list[str], sizes: list[int], size: int, threshold: float
) -> None:
    """64 keys of one hash each miss a pair at similarity 0.5 once in 10^19."""
    found = originals(texts, sizes, Hashing(size, bands=64, rows=1), threshold)
    assert found == slow_originals(texts, size, threshold)


def test_the_default_misses_hardly_any() -> None:
    random = np.random.default_rng(1)
    words = [f"w{n}" for n in range(3000)]
    firsts = [list(random.choice(words, 40)) for _ in range(400)]
    changed = [[*text[:38], "other"] for text in firsts]
    texts = [" ".join(text) for text in [*firsts, *changed]]
    found = originals(texts, [100, 300], Hashing(3, bands=20, rows=6), 0.8)
    assert all(original == -1 for original, _ in found[:400])
    assert sum(original == n for n, (original, _) in enumerate(found[400:])) >= 398


def run(rows: list[dict[str, Any]]) -> tuple[list[dict[str, str]], pl.DataFrame]:
    root = Path.cwd()
    sources = list(dict.fromkeys(row["instruction_source"] for row in rows))
    shards = []
    for source in sources:
        own = [row for row in rows if row["instruction_source"] == source]
        shards += write_shards(root, source, own, 2)
    merge(root, shards, params(*sources))
    find_near_duplicates(
        manifest="mix.manifest.json",
        dataset="mix.parquet",
        near_duplicates="near.parquet",
        counts="near.csv",
        settings=FindNearDuplicates(),
    )
    with open("near.csv", newline="") as handle:
        return list(csv.DictReader(handle)), pl.read_parquet("near.parquet")


def test_sources_are_counted_separately() -> None:
    text = "Write a short story about the old harbour of a small town in the far north of Norway"
    rows = [
        pair("original_p3", 0, instruction=text),
        pair("original_p3", 1, instruction=f"{text}!"),
        pair("original_p3", 2, instruction="Name three animals."),
        pair("alpaca", 0, instruction=text.replace("Norway", "Sweden")),
        pair("alpaca", 1, instruction="!?"),
    ]
    counts, frame = run(rows)
    assert [list(row.values()) for row in counts] == [
        ["original_p3", "3", "1", "0", str(100 / 3)],
        ["alpaca", "2", "0", "1", "50.0"],
        ["mix", "5", "1", "1", "40.0"],
    ]
    assert frame.drop("similarity").rows() == [
        ("original_p3/00001", "original_p3", "original_p3/00000", "original_p3"),
        ("alpaca/00000", "alpaca", "original_p3/00000", "original_p3"),
    ]
    assert frame["similarity"].to_list() == pytest.approx([1.0, 15 / 17], abs=1e-6)
    before = [Path(name).read_bytes() for name in ("near.csv", "near.parquet")]
    run(rows)
    assert [Path(name).read_bytes() for name in ("near.csv", "near.parquet")] == before


def test_near_duplicates_without_spaces_are_found() -> None:
    text = "请写一篇关于城里小博物馆的短文，并说明第{}个房间里的画是谁在什么时候画的"
    rows = [pair("alpaca", n, instruction=text.format(n)) for n in range(9)]
    counts, _ = run(rows)
    assert counts[0]["near_duplicates"] == "8"


def test_hostile_texts_repeat_themselves_alone() -> None:
    texts = [text for text in HOSTILE if text.strip("\x00\u200b")] * 2
    rows = [pair("alpaca", n, instruction=text) for n, text in enumerate(texts)]
    _, frame = run(rows)
    with_words = [text for text in texts[: len(texts) // 2] if slow_words(text)]
    assert frame.height == len(with_words)
    assert set(frame["similarity"]) == {1.0}


def test_a_dataset_of_another_manifest_is_refused() -> None:
    run([pair("alpaca", n) for n in range(4)])
    facts = json.loads(Path("mix.manifest.json").read_text())
    for rows in (3, 5):
        Path("mix.manifest.json").write_text(json.dumps(facts | {"rows": rows}))
        with pytest.raises(LaminiError, match="merge it again"):
            find_near_duplicates(
                manifest="mix.manifest.json",
                dataset="mix.parquet",
                near_duplicates="n.parquet",
                counts="n.csv",
                settings=FindNearDuplicates(),
            )
