"""The demo data in `config/demo`: format and coverage."""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).resolve().parents[2] / "config" / "demo"
TASKS = DEMO / "tasks"

Row = dict[str, Any]

GLUE_PAIR = ["sentence1", "sentence2", "label", "idx"]
MNLI = ["premise", "hypothesis", "label", "idx"]
CHOICE_LETTERS = {"A", "B", "C", "D"}

# lm-eval's yaml, data file, rows, columns in order.
LM_EVAL_TASKS: dict[str, tuple[str, str, int, list[str]]] = {
    "openbookqa": (
        "openbookqa/openbookqa.yaml",
        "allenai/openbookqa/main/test.jsonl",
        12,
        ["id", "question_stem", "choices", "answerKey"],
    ),
    "sciq": (
        "sciq/sciq.yaml",
        "allenai/sciq/default/test.jsonl",
        12,
        ["question", "distractor3", "distractor1", "distractor2", "correct_answer", "support"],
    ),
    "race": ("race/race.yaml", "EleutherAI/race/high/test.jsonl", 6, ["article", "problems"]),
    "arc_challenge": (
        "arc/arc_challenge.yaml",
        "allenai/ai2_arc/ARC-Challenge/test.jsonl",
        12,
        ["id", "question", "choices", "answerKey"],
    ),
    "piqa": (
        "piqa/piqa.yaml",
        "baber/piqa/default/validation.jsonl",
        12,
        ["goal", "sol1", "sol2", "label"],
    ),
    "record": (
        "super_glue/record/default.yaml",
        "aps/super_glue/record/validation.jsonl",
        8,
        ["passage", "query", "entities", "entity_spans", "answers", "idx"],
    ),
    "sst2": (
        "glue/sst2/default.yaml",
        "nyu-mll/glue/sst2/validation.jsonl",
        12,
        ["sentence", "label", "idx"],
    ),
    "mrpc": ("glue/mrpc/default.yaml", "nyu-mll/glue/mrpc/validation.jsonl", 12, GLUE_PAIR),
    "rte": ("glue/rte/default.yaml", "nyu-mll/glue/rte/validation.jsonl", 12, GLUE_PAIR),
    "mnli": ("glue/mnli/default.yaml", "nyu-mll/glue/mnli/validation_matched.jsonl", 12, MNLI),
    "mnli_mismatch": (
        "glue/mnli/mismatch.yaml",
        "nyu-mll/glue/mnli/validation_mismatched.jsonl",
        12,
        MNLI,
    ),
    "wsc273": (
        "wsc273/default.yaml",
        "lighteval/winograd_wsc/wsc273/test.jsonl",
        12,
        [
            "text",
            "pronoun",
            "pronoun_loc",
            "quote",
            "quote_loc",
            "options",
            "label",
            "source",
        ],
    ),
    "winogrande": (
        "winogrande/default.yaml",
        "allenai/winogrande/winogrande_xl/validation.jsonl",
        12,
        ["sentence", "option1", "option2", "answer"],
    ),
    "wic": (
        "super_glue/wic/default.yaml",
        "aps/super_glue/wic/validation.jsonl",
        12,
        ["word", "sentence1", "sentence2", "start1", "start2", "end1", "end2", "idx", "label"],
    ),
    "hellaswag": (
        "hellaswag/hellaswag.yaml",
        "Rowan/hellaswag/default/validation.jsonl",
        12,
        [
            "ind",
            "activity_label",
            "ctx_a",
            "ctx_b",
            "ctx",
            "endings",
            "source_id",
            "split",
            "split_type",
            "label",
        ],
    ),
}

LABELS: dict[str, tuple[str, set[Any]]] = {
    "openbookqa": ("answerKey", CHOICE_LETTERS),
    "arc_challenge": ("answerKey", CHOICE_LETTERS | {"1", "4"}),
    "piqa": ("label", {0, 1}),
    "sst2": ("label", {0, 1}),
    "mrpc": ("label", {0, 1}),
    "rte": ("label", {0, 1}),
    "mnli": ("label", {0, 1, 2}),
    "mnli_mismatch": ("label", {0, 1, 2}),
    "wsc273": ("label", {0, 1}),
    "winogrande": ("answer", {"1", "2"}),
    "wic": ("label", {0, 1}),
    "hellaswag": ("label", {"0", "1", "2", "3"}),
}


def read_jsonl(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def task_rows(task: str) -> list[Row]:
    return read_jsonl(TASKS / LM_EVAL_TASKS[task][1])


def assert_no_duplicates(rows: list[Row], ignore: tuple[str, ...] = ("id", "idx", "ind")) -> None:
    keys = [
        json.dumps({k: v for k, v in row.items() if k not in ignore}, sort_keys=True)
        for row in rows
    ]
    assert len(set(keys)) == len(keys)


def assert_clean(text: str) -> None:
    assert text and text == text.strip()


@pytest.fixture(scope="module")
def category_rows() -> list[tuple[str, int, int, int]]:
    """Title, subcategories, pages proper and members of each row of the dump."""
    dump = gzip.decompress((DEMO / "category.sql.gz").read_bytes()).decode("utf-8")
    inserts = [line for line in dump.splitlines() if line.startswith("INSERT INTO `category`")]
    assert len(inserts) > 1
    value = re.compile(r"\((\d+),'((?:[^'\\]|\\.)*)',(-?\d+),(-?\d+),(-?\d+)\)[,;]")
    rows: list[tuple[str, int, int, int]] = []
    for line in inserts:
        body = line.removeprefix("INSERT INTO `category` VALUES ")
        assert value.sub("", body) == ""
        for _, title, members, subcats, files in value.findall(body):
            pages = int(members) - int(subcats) - int(files)
            rows.append((re.sub(r"\\(.)", r"\1", title), int(subcats), pages, int(members)))
    return rows


def test_category_dump_covers_both_sides_of_each_filter(
    category_rows: list[tuple[str, int, int, int]],
) -> None:
    assert 350 <= len(category_rows) <= 450
    assert len({title for title, *_ in category_rows}) == len(category_rows)
    seen = Counter(
        (len(title.split("_")) <= 2, subcats > 10, pages > 50)
        for title, subcats, pages, _ in category_rows
    )
    assert 140 <= seen[True, True, True] <= 170
    assert min(seen[False, True, True], seen[True, False, True], seen[True, True, False]) >= 20
    assert {2, 3} <= {len(title.split("_")) for title, *_ in category_rows}
    assert {(10, 51), (11, 50), (11, 51)} <= {(s, p) for _, s, p, _ in category_rows}


def test_category_dump_has_the_awkward_rows(
    category_rows: list[tuple[str, int, int, int]],
) -> None:
    titles = {title for title, *_ in category_rows}
    for mark in ("'", '"', "\\", ",", "(", "),(", "é", "東"):
        assert any(mark in title for title in titles), mark
    assert {"Hidden_categories", "CS1_errors:_dates", "Articles_lacking_sources"} <= titles
    assert any(members < 0 for *_, members in category_rows)
    assert any(subcats < 0 for _, subcats, *_ in category_rows)
    assert any(members > 60 and s > 10 and pages <= 50 for _, s, pages, members in category_rows)


def test_category_dump_is_reproducible_gzip() -> None:
    header = (DEMO / "category.sql.gz").read_bytes()[:8]
    assert header[:2] == b"\x1f\x8b"
    assert header[3] == 0
    assert header[4:8] == b"\0\0\0\0"


def test_seed_tasks() -> None:
    rows = read_jsonl(DEMO / "seed_tasks.jsonl")
    assert len(rows) == 48
    for number, row in enumerate(rows):
        assert list(row) == ["id", "name", "instruction", "instances", "is_classification"]
        assert row["id"] == f"seed_task_{number}"
        assert len(row["instruction"].split()) < 20
        assert_clean(row["instruction"])
        (instance,) = row["instances"]
        assert list(instance) == ["input", "output"]
        assert_clean(instance["output"])
    assert sum(bool(row["instances"][0]["input"]) for row in rows) == 24
    assert {row["is_classification"] for row in rows} == {True, False}
    assert len({row["name"] for row in rows}) == len({row["instruction"] for row in rows}) == 48


def test_alpaca() -> None:
    rows = json.loads((DEMO / "alpaca.json").read_text(encoding="utf-8"))
    assert len(rows) == 80
    for row in rows:
        assert list(row) == ["instruction", "input", "output"]
        assert_clean(row["instruction"])
        assert_clean(row["output"])
    assert sum(bool(row["input"]) for row in rows) == 32
    assert len({row["instruction"] for row in rows}) == 80


@pytest.mark.parametrize(
    ("folder", "keys"),
    [
        ("p3", ["inputs_pretokenized", "targets_pretokenized"]),
        ("flan", ["inputs", "targets", "task"]),
    ],
)
def test_templated_subsets(folder: str, keys: list[str]) -> None:
    files = sorted((DEMO / folder).glob("*.jsonl"))
    assert len(files) == 4
    for file in files:
        rows = read_jsonl(file)
        assert len(rows) == 20
        assert_no_duplicates(rows)
        for row in rows:
            assert list(row) == keys
            assert 15 <= len(row[keys[0]].split()) <= 60
            assert_clean(row[keys[0]])
            assert_clean(row[keys[1]])
            assert row.get("task", file.stem) == file.stem
            if "OPTIONS:" in row[keys[0]]:
                assert f"\n- {row[keys[1]]}" in row[keys[0]]


def test_user_oriented_instructions() -> None:
    rows = read_jsonl(DEMO / "user_oriented_instructions.jsonl")
    assert len(rows) == 36
    for number, row in enumerate(rows):
        assert list(row) == ["id", "motivation_app", "instruction", "instances"]
        assert row["id"] == f"user_oriented_task_{number}"
        (instance,) = row["instances"]
        assert list(instance) == ["input", "output"]
        assert_clean(row["instruction"])
        assert_clean(instance["output"])
    assert len({row["instruction"] for row in rows}) == 36
    per_app = Counter(row["motivation_app"] for row in rows)
    assert len(per_app) == 14
    assert set(per_app.values()) == {1, 2, 3, 4}


def test_task_folder_holds_nothing_else() -> None:
    files = {str(path.relative_to(TASKS)) for path in TASKS.rglob("*") if path.is_file()}
    assert files == {spec[1] for spec in LM_EVAL_TASKS.values()}


@pytest.mark.parametrize("task", LM_EVAL_TASKS)
def test_task_columns(task: str) -> None:
    _, _, count, columns = LM_EVAL_TASKS[task]
    rows = task_rows(task)
    assert len(rows) == count
    assert all(list(row) == columns for row in rows)
    assert_no_duplicates(rows)


@pytest.mark.parametrize("task", LABELS)
def test_task_labels(task: str) -> None:
    column, labels = LABELS[task]
    counts = Counter(row[column] for row in task_rows(task))
    assert set(counts) == labels
    if task != "arc_challenge":
        assert len(set(counts.values())) == 1


def test_race_problems() -> None:
    last: list[str] = []
    for row in task_rows("race"):
        problems = ast.literal_eval(row["problems"])
        assert len(problems) in (2, 3)
        assert 60 <= len(row["article"].split()) <= 92
        for problem in problems:
            assert list(problem) == ["question", "answer", "options"]
            assert len(set(problem["options"])) == 4
        last.append(problems[-1]["answer"])
    assert set(last) == CHOICE_LETTERS


def test_record_entities() -> None:
    for row in task_rows("record"):
        assert row["query"].count("@placeholder") == 1
        assert len(row["passage"].split("\n@highlight\n")) == 3
        assert 60 <= len(row["passage"].split("\n@highlight\n")[0].split()) <= 92
        assert set(row["answers"]) < set(row["entities"])
        assert list(row["idx"]) == ["passage", "query"]
        spans = row["entity_spans"]
        found = zip(spans["text"], spans["start"], spans["end"], strict=True)
        assert all(row["passage"][start:end] == text for text, start, end in found)
        assert set(spans["text"]) == set(row["entities"])


def test_wic_spans_hold_the_word() -> None:
    for row in task_rows("wic"):
        for number in "12":
            form = row[f"sentence{number}"][row[f"start{number}"] : row[f"end{number}"]]
            assert form.isalpha()
            assert form[0].lower() == row["word"][0]


def test_wsc_offsets() -> None:
    for row in task_rows("wsc273"):
        assert row["text"].startswith(row["pronoun"], row["pronoun_loc"])
        assert row["text"].startswith(row["quote"], row["quote_loc"])


# The stock ReCoRD module imports `transformers.data.metrics`, which transformers 5 no longer has.
@pytest.mark.parametrize("task", [task for task in LM_EVAL_TASKS if task != "record"])
def test_stock_lm_eval_task_reads_every_row(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm_eval_tasks = pytest.importorskip("lm_eval.tasks")
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yaml_name, file_name, count, _ = LM_EVAL_TASKS[task]
    config = load_yaml(Path(lm_eval_tasks.__file__).parent / yaml_name)
    file = TASKS / file_name
    config |= {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {file.stem: str(file)}, "cache_dir": str(tmp_path)},
        "training_split": None,
    }
    if file.stem == "test":
        config["validation_split"] = None
    docs_of = ConfigurableTask(config=config)
    docs = list(docs_of.eval_docs)
    assert len(docs) == count
    for doc in docs:
        choices = docs_of.doc_to_choice(doc)
        assert len(choices) > 1
        assert len(set(choices)) == len(choices)
        if task in ("winogrande", "wsc273"):
            assert docs_of.doc_to_text(doc) in (0, 1)
            assert len(docs_of.doc_to_target(doc)) > 1
        else:
            assert docs_of.doc_to_text(doc).strip()
            target = docs_of.doc_to_target(doc)
            assert int(target) in range(len(choices))
