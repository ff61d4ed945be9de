"""Contamination, compared with a slow search over plain words, and on hostile texts."""

import csv
import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_analysis_mattr import HOSTILE, TEXT, slow_words
from test_dataset_merge import merge, pair, params, write_shards

from lamini.analysis.contamination import find_contamination
from lamini.analysis.overlap import OverlapIndex
from lamini.analysis.words import words_with_ranges
from lamini.errors import LaminiError
from lamini.files import write_jsonl
from lamini.settings.dataset import Contamination
from lamini.settings.evaluation import TaskData
from lamini.settings.params.analysis import FindContamination

SMALL = st.lists(st.sampled_from(["a", "B", "b", "É", "é", "don't", "x-y"]), max_size=14)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ngrams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def slow_longest(
    text: list[str], reference: list[str], size: int, phrases: set[tuple[str, ...]]
) -> int:
    """Length in words of the longest common run with an n-gram that is no phrase; 0 if none."""
    longest = 0
    for i in range(len(text)):
        for j in range(len(reference)):
            if i and j and text[i - 1] == reference[j - 1]:
                continue
            end = 0
            while max(i, j) + end < max(len(text), len(reference)):
                if i + end >= len(text) or j + end >= len(reference):
                    break
                if text[i + end] != reference[j + end]:
                    break
                end += 1
            if any(gram not in phrases for gram in ngrams(text[i : i + end], size)):
                longest = max(longest, end)
    return longest


@given(
    texts=st.lists(SMALL, max_size=4),
    references=st.lists(st.tuples(st.integers(0, 1), SMALL), min_size=1, max_size=5).map(
        lambda found: sorted(found, key=lambda reference: reference[0])
    ),
    size=st.integers(2, 4),
    most=st.integers(1, 3),
)
@settings(max_examples=400, deadline=None)
def test_runs_are_those_of_a_plain_search(
    texts: list[list[str]], references: list[tuple[int, list[str]]], size: int, most: int
) -> None:
    groups = [group for group, _ in references]
    index = OverlapIndex(
        [", ".join(words) for _, words in references], groups, size=size, most_texts=most
    )
    searched = pa.array(["skipped", *(" ".join(words) for words in texts)], pa.string()).slice(1)
    runs = index.search(words_with_ranges(searched))
    found: dict[tuple[int, int], int] = {}
    for row, text, length in zip(runs.row, runs.text, runs.length, strict=True):
        found[row, text] = max(found.get((row, text), 0), length)
    lower = [slow_words(" ".join(words)) for words in texts]
    their = [slow_words(" ".join(words)) for _, words in references]
    expected = {}
    for number, words in enumerate(their):
        same = [w for w, g in zip(their, groups, strict=True) if g == groups[number]]
        phrases = {g for g in ngrams(words, size) if sum(g in ngrams(w, size) for w in same) > most}
        for row, text in enumerate(lower):
            if longest := slow_longest(text, words, size, phrases):
                expected[row, number] = longest
    assert found == expected


@given(texts=st.lists(TEXT, max_size=5))
@settings(max_examples=200, deadline=None)
def test_words_have_the_documented_positions(texts: list[str]) -> None:
    words = words_with_ranges(pa.array(["é skipped", *texts], pa.string()).slice(1))
    read = [words.characters[begin:end].tobytes().decode("utf-8") for begin, end in words.ranges]
    assert [slow_words(word) for word in read] == [[w] for t in texts for w in slow_words(t)]
    assert np.diff(words.starts).tolist() == [len(slow_words(text)) for text in texts]


def test_equal_hashes_of_other_words_are_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """If all word hashes collide, the letters of the words still tell them apart."""
    one = words_with_ranges(pa.array(["a b c d e f", "q a b c r"]))
    index = OverlapIndex(["x y z a b c w"], [0], size=3, most_texts=5)
    blind = index._index.words._replace(hashes=np.zeros_like(index._index.words.hashes))
    monkeypatch.setattr("lamini.analysis.overlap.words_with_ranges", lambda texts: blind)
    collided = OverlapIndex(["x y z a b c w"], [0], size=3, most_texts=5)
    runs = collided.search(one._replace(hashes=np.zeros_like(one.hashes)))
    assert {(r, n) for r, n in zip(runs.row, runs.length, strict=True)} == {(0, 3), (1, 3)}


PASSAGE = "The small museum of Tarnholm has bought back a painting that left town ninety years ago."
PHRASE = "which of the following is not true according to the passage"


def contamination_params(tasks: dict[str, TaskData]) -> FindContamination:
    return FindContamination(
        contamination=Contamination(), tasks=tasks, mirror="mirror", files=None
    )


def run(rows: list[dict[str, Any]], tasks: dict[str, list[dict[str, Any]]]) -> Any:
    root = Path.cwd()
    sources = list(dict.fromkeys(row["instruction_source"] for row in rows))
    shards = [
        path
        for source in sources
        for path in write_shards(
            root, source, [r for r in rows if r["instruction_source"] == source], 1
        )
    ]
    merge(root, shards, params(*sources))
    data = {}
    for task, examples in tasks.items():
        write_jsonl(f"mirror/{task}/default/test.jsonl", examples)
        data[task] = TaskData(repo=task, split="test")
    find_contamination(
        manifest="mix.manifest.json",
        dataset="mix.parquet",
        contamination="c.csv",
        hits="hits.parquet",
        examples="examples.parquet",
        settings=contamination_params(data),
    )
    with open("c.csv", newline="") as handle:
        table = {(r["task"], r["instruction_source"]): r for r in csv.DictReader(handle)}
    return table, pl.read_parquet("hits.parquet"), pl.read_parquet("examples.parquet")


def test_copies_in_another_form_are_found() -> None:
    chinese = "请阅读下面的文章，然后用一句话回答：城里的小博物馆买回了一幅九十年前的画。"
    curly = "I didn't know it wasn't the café's own idea, so we couldn't say that it's the town's"
    texts = (f"问题：{chinese}", curly.replace("'", "’"), unicodedata.normalize("NFD", curly))
    rows = [pair("alpaca", n, instruction=text) for n, text in enumerate(texts)]
    table, hits, _ = run(rows, {"race": [{"text": chinese}, {"text": curly}]})
    assert table["race", "mix"]["pairs_13"] == "3"
    assert hits["instruction_words"].to_list() == [34, 17, 17]
    assert hits["shared"].to_list() == [
        chinese.rstrip("。").replace("，", ",").replace("：", ":"),
        curly,
        curly,
    ]


def test_pairs_and_examples_are_counted() -> None:
    first_eight = " ".join(PASSAGE.split()[:8])
    rows = [
        pair("alpaca", 0, instruction=f"Read this: {PASSAGE.upper()} Who?"),
        pair("alpaca", 1, response=f"… {first_eight}!"),
        pair("alpaca", 2, instruction=" ".join(PASSAGE.split()[:7])),
        pair("original_p3", 0, instruction=PASSAGE, response=PASSAGE),
        pair("original_p3", 1, instruction=f"{PHRASE} ?"),
    ]
    passages = [
        {"id": "a", "passage": PASSAGE, "questions": {"text": [PHRASE, "Who left?"]}, "label": 1},
        {"id": "b", "passage": PASSAGE, "questions": {"text": ["Other"]}, "label": 0},
    ]
    other = [{"text": f"{PHRASE} number {n}"} for n in range(11)] + [{"text": "short"}]
    table, hits, examples = run(rows, {"record": passages, "race": other})
    everything = table["record", "mix"]
    assert {k: everything[k] for k in ("pairs_8", "pairs_13", "examples_8", "examples_13")} == {
        "pairs_8": "4",
        "pairs_13": "2",
        "examples_8": "2",
        "examples_13": "2",
    }
    assert table["record", "alpaca"]["pairs_8"] == "2"
    assert table["record", "original_p3"] | {"task": ""} == {
        "task": "",
        "instruction_source": "original_p3",
        "pairs": "2",
        "examples": "2",
        "comparable_examples": "2",
        "pairs_8": "2",
        "pairs_13": "1",
        "examples_8": "2",
        "examples_13": "2",
    }
    # Eleven texts of the other task have the phrase: it says nothing of any of them.
    assert table["race", "mix"]["pairs_8"] == "0"
    assert table["race", "mix"]["comparable_examples"] == "11"
    assert table["all_tasks", "mix"]["pairs_8"] == "4"
    assert table["all_tasks", "mix"]["examples"] == "14"
    assert hits.rows() == [
        ("alpaca/00000", "alpaca", "record", 16, 0, 0, 2, PASSAGE.upper().rstrip(".")),
        ("alpaca/00001", "alpaca", "record", 0, 8, 0, 2, first_eight),
        ("original_p3/00000", "original_p3", "record", 16, 16, 0, 2, PASSAGE.rstrip(".")),
        ("original_p3/00001", "original_p3", "record", 11, 0, 0, 1, PHRASE),
    ]
    assert examples.rows() == [("record", 0, 16, 4), ("record", 1, 16, 3)]
    again = [Path(name).read_bytes() for name in ("c.csv", "hits.parquet", "examples.parquet")]
    run(rows, {"record": passages, "race": other})
    assert again == [
        Path(name).read_bytes() for name in ("c.csv", "hits.parquet", "examples.parquet")
    ]


def test_hostile_texts_do_no_harm() -> None:
    rows = [
        pair("alpaca", n, instruction=text or "x", response=f"r {text}")
        for n, text in enumerate(HOSTILE)
    ]
    rows.append(pair("alpaca", 99, instruction="مرحبًا بكم في " * 6))
    tasks = {"odd": [{"t": text} for text in HOSTILE] + [{"t": "مرحبًا بكم في " * 3}]}
    table, hits, _ = run(rows, tasks)
    assert hits["id"].to_list() == ["alpaca/00099"]
    assert table["odd", "mix"]["pairs_8"] == "1"


def test_without_shared_words_files_are_empty_with_their_columns() -> None:
    table, hits, examples = run([pair("alpaca", 0)], {"rte": [{"a": "b"}]})
    assert hits.height == examples.height == 0
    assert hits.columns[:3] == ["id", "instruction_source", "task"]
    assert table["rte", "alpaca"]["comparable_examples"] == "0"


def test_errors_name_the_unreadable_file() -> None:
    with pytest.raises(LaminiError, match=r"mirror/rte/default/test\.jsonl"):
        run([pair("alpaca", 0)], {"rte": []})
    run([pair("alpaca", 0)], {"rte": [{"a": "b"}]})
    facts = json.loads(Path("mix.manifest.json").read_text())
    Path("mix.manifest.json").write_text(json.dumps(facts | {"rows": 7}))
    with pytest.raises(LaminiError, match="has 1 rows"):
        find_contamination(
            manifest="mix.manifest.json",
            dataset="mix.parquet",
            contamination="c.csv",
            hits="h.parquet",
            examples="e.parquet",
            settings=contamination_params({}),
        )
