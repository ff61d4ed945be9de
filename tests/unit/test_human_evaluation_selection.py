"""Selection of a study's items, their blinding, and their assignment to annotators."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lamini.errors import LaminiError
from lamini.files import read_jsonl, write_jsonl
from lamini.human_evaluation.assignment import assign_groups
from lamini.human_evaluation.selection import choose_instructions, select_items
from lamini.settings.params.human_evaluation import SelectItems

CONFIG = Path(__file__).parents[2] / "config"
MODELS = ["student-a", "student-b", "teacher-c"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def instructions(*apps: str) -> list[dict[str, Any]]:
    return [
        {"id": f"task_{n}", "motivation_app": app, "instruction": f"Do {n}."}
        for n, app in enumerate(apps)
    ]


def settings(**changes: Any) -> SelectItems:
    values: dict[str, Any] = {
        "study": "models",
        "kind": "models",
        "models": MODELS,
        "max_per_app": 2,
        "instructions": None,
        "annotators": 2,
        "rated_twice": 0.0,
        "seed": 1,
        "mixture": "d_all",
        "samples_per_source": 3,
        "exclude": None,
        "version": 1,
        "files": None,
    }
    return SelectItems.model_validate(values | changes)


def select(
    inputs: dict[str, list[str]], **changes: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    files = {name: [*map(Path, paths)] for name, paths in inputs.items()}
    select_items(
        answers=files.get("answers", []),
        exclude=files.get("exclude", []),
        dataset=files.get("dataset", []),
        rated="items.jsonl",
        key="key.json",
        funnel="funnel.json",
        settings=settings(**changes),
    )
    return list(read_jsonl("items.jsonl")), json.loads(Path("key.json").read_text())


def answers(models: list[str], rows: list[dict[str, Any]]) -> list[str]:
    for model in models:
        answered = [row | {"response": f"{model} says {row['id']}"} for row in rows]
        write_jsonl(f"{model}.jsonl", answered)
    return [f"{model}.jsonl" for model in models]


def test_the_cap_comes_before_the_exclusions() -> None:
    rows = instructions("a", "a", "a", "b", "c")
    Path("exclude.csv").write_text("id,covered_by,reason\ntask_1,summarization,x\n")
    chosen, stages = choose_instructions(rows, ["exclude.csv"], settings())
    assert [row["id"] for row in chosen] == ["task_0", "task_3", "task_4"]
    assert [stage["left"] for stage in stages] == [5, 4, 3, 3]
    sampled, _ = choose_instructions(rows, [], settings(instructions=2))
    assert (
        len(sampled) == 2 and sampled == choose_instructions(rows, [], settings(instructions=2))[0]
    )


def test_wrong_choices_are_explained() -> None:
    with pytest.raises(LaminiError, match=r"studies\.models\.instructions: 3 are requested.*only"):
        choose_instructions(instructions("a", "b"), [], settings(instructions=3))
    Path("exclude.csv").write_text("id,covered_by,reason\ntask_7,summarization,x\n")
    with pytest.raises(
        LaminiError, match=r"exclude\.csv, line 2: there is no instruction 'task_7'"
    ):
        choose_instructions(instructions("a"), ["exclude.csv"], settings())
    Path("exclude.csv").write_text("number\n7\n")
    with pytest.raises(LaminiError, match="needs the columns"):
        choose_instructions(instructions("a"), ["exclude.csv"], settings())


def test_items_do_not_name_their_model() -> None:
    rows = instructions("a", "b", "c", "d")
    files = answers(MODELS, rows)
    for path in files:  # The answers of this test name their models; blinding is not to be blamed.
        write_jsonl(path, [row | {"response": "Same words."} for row in rows])
    items, key = select({"answers": files, "exclude": []})
    assert not [name for name in MODELS if name in Path("items.jsonl").read_text()]
    assert len(items) == 12 and len(key) == 12
    assert Counter(entry["subject"] for entry in key.values()) == dict.fromkeys(MODELS, 4)


def test_the_order_of_answers_is_shuffled_and_survives_a_new_model() -> None:
    rows = instructions(*"abcdefgh")
    items, key = select({"answers": answers(MODELS, rows), "exclude": []})

    def orders(items: list[Any], key: dict[str, Any]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for item in items:
            found.setdefault(item["group"], []).append(key[item["item"]]["subject"])
        return found

    before = orders(items, key)
    assert len({tuple(order) for order in before.values()}) > 1
    more = [*MODELS, "newcomer"]
    later, key = select({"answers": answers(more, rows), "exclude": []}, models=more)
    assert {i["item"] for i in items} < {i["item"] for i in later}
    after = orders(later, key)
    assert {g: [m for m in order if m != "newcomer"] for g, order in after.items()} == before


def test_answers_that_do_not_belong_together_are_refused() -> None:
    files = answers(MODELS, instructions("a", "b"))
    write_jsonl("student-b.jsonl", [next(iter(read_jsonl("student-b.jsonl")))])
    with pytest.raises(LaminiError, match=r"student-b\.jsonl: instruction task_1 is not the same"):
        select({"answers": files, "exclude": []})
    write_jsonl("student-a.jsonl", [{"id": "task_0", "instruction": "Do 0."}])
    with pytest.raises(LaminiError, match=r"student-a\.jsonl:1: lacks motivation_app, response"):
        select({"answers": files, "exclude": []})


def test_each_source_gives_pairs_whose_parts_are_rated_apart() -> None:
    rows = [
        {
            "instruction": f"{source} asks {n}",
            "response": f"{source} answers {n}",
            "instruction_source": source,
        }
        for source in ("alpaca", "original_p3")
        for n in range(9)
    ]
    pl.DataFrame(rows).write_parquet("data.parquet")
    inputs = {"dataset": ["data.parquet"]}
    items, key = select(inputs, kind="dataset", study="dataset")
    counts = Counter((key[item["item"]]["subject"], item["part"]) for item in items)
    assert set(counts.values()) == {3} and len(counts) == 4
    for item in items:
        wanted = "asks" if item["part"] == "instruction" else "answers"
        assert wanted in item["text"] and "asks" in item["instruction"]
    parts = [item["part"] for item in items]
    assert parts == ["instruction", "response"] * 6, "an instruction comes before its response"
    with pytest.raises(LaminiError, match="alpaca has 9 pairs, fewer than samples_per_source"):
        select(inputs, kind="dataset", study="dataset", samples_per_source=10)


@pytest.mark.parametrize(
    ("groups", "annotators", "share"), [(114, 8, 0.0), (114, 8, 0.25), (7, 3, 1)]
)
def test_work_is_shared_evenly(groups: int, annotators: int, share: float) -> None:
    strata = {f"g{n}": f"app{n // 2}" for n in range(groups)}
    names = [f"annotator_{n}" for n in range(annotators)]
    assigned = assign_groups(strata, names, share, seed=3)
    assert set(assigned) == set(strata)
    assert sum(len(who) == 2 for who in assigned.values()) == round(share * groups)
    assert all(len(set(who)) == len(who) for who in assigned.values())
    load = Counter(name for who in assigned.values() for name in who)
    assert max(load.values()) - min(load.values()) <= 1
    first = Counter((strata[group], who[0]) for group, who in assigned.items())
    assert max(first.values()) == 1, "nobody gets both instructions of an app"
    assert list(assigned) != sorted(assigned, key=lambda g: int(g[1:]))
    assert assigned == assign_groups(strata, names, share, seed=3)
    assert assigned != assign_groups(strata, names, share, seed=4)


def test_without_annotators_every_text_is_the_judges_alone() -> None:
    strata = {f"g{n}": "app" for n in range(5)}
    assigned = assign_groups(strata, [], 0.0, seed=3)
    assert assigned == dict.fromkeys(strata, ()) and list(assigned) != sorted(assigned)


# The app of each of self-instruct's 252 user-oriented instructions, numbered as they first come:
# all that the rule looks at.
APPS_OF_252 = """
0 0 0 1 0 2 2 3 4 5 6 7 8 8 6 9 9 10 11 9 12 12 12 13 13 13 13 13 14 14 14 14 14 15 15 15 15
15 16 16 16 16 16 17 17 17 17 17 18 19 6 1 2 20 3 3 21 2 22 22 22 23 23 23 23 24 24 24 24 25
25 25 26 2 2 2 27 27 27 4 4 4 4 4 28 28 28 28 28 7 7 7 29 29 29 29 29 30 30 30 30 30 30 31
31 31 31 32 32 32 33 33 33 33 33 34 35 35 36 36 36 37 37 37 38 38 38 38 39 39 39 39 39 40 40
41 41 41 41 41 42 42 42 42 42 43 43 44 4 44 45 25 44 46 46 46 46 46 46 47 47 47 47 2 3 19 47
48 48 21 21 21 21 49 50 51 51 52 53 54 54 54 55 56 2 15 15 0 0 25 8 37 31 0 3 8 7 6 48 15 25
39 57 17 25 58 18 16 14 28 7 59 60 60 60 14 61 61 61 61 62 63 62 26 50 64 11 29 62 15 65 66
3 67 26 26 0 39 14 67 0 25 58 58 25 25 0 68 69 70 6 18
"""


def test_the_rule_and_the_reviewed_exclusions_give_the_papers_114() -> None:
    rows = [
        {"id": f"user_oriented_task_{n}", "motivation_app": app}
        for n, app in enumerate(APPS_OF_252.split())
    ]
    assert len(rows) == 252 and len({row["motivation_app"] for row in rows}) == 71
    exclude = str(CONFIG / "user_oriented_exclusions.csv")
    chosen, stages = choose_instructions(rows, [exclude], settings(instructions=114))
    assert [stage["left"] for stage in stages] == [252, 123, 114, 114]
    assert len(chosen) == 114


def test_every_reviewed_exclusion_has_a_reason() -> None:
    with open(CONFIG / "user_oriented_exclusions.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["covered_by"] and row["reason"] for row in rows)
