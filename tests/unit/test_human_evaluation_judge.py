"""The judge gets the protocol and one blinded item, and answers with a level."""

import csv
from pathlib import Path

import polars as pl
import pytest
from score_cases import item_params
from writing_endpoint import WritingEndpoint

from lamini.catalogue import Catalogue
from lamini.command import read_config
from lamini.files import read_jsonl, write_jsonl
from lamini.human_evaluation.collection import collect_ratings
from lamini.human_evaluation.items import make_item
from lamini.human_evaluation.judge import judge_items, read_verdict, shorten
from lamini.human_evaluation.selection import select_items
from lamini.settings.human_evaluation import Judge
from lamini.settings.params.human_evaluation import JudgeItems
from lamini.tables.make import make_table
from lamini.workflow import Workflow

JUDGE = Judge(max_tokens=2, max_characters=120, extra_body={"grammar": "root ::= [A-D]"})
ROOT = Path(__file__).parents[2]
LEVELS_OF = {"Good": "A", "Bad": "D", "Odd": "I cannot rate it"}
SETTINGS = JudgeItems(study="models", model="m", judge=JUDGE, seed_requests=True, seed=1)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ("B", "B"),
        (" c.", "C"),
        ("Rate-A", "A"),
        ("**Rating: D**", "D"),
        ("A\nbecause", "A"),
        ("A good answer", None),
        ("Bad", None),
        ("E", None),
        ("", None),
    ],
)
def test_a_level_is_read_only_where_one_is_named(answer: str, level: str | None) -> None:
    assert read_verdict(answer) == level


def test_clipping_tells_the_number_of_removed_characters() -> None:
    assert shorten("short", 100) == "short" and shorten("x" * 9999, None) == "x" * 9999
    assert shorten("x" * 1500, 120) == "x" * 120 + " [1,380 more characters are not shown]"


def test_items_are_judged_once_and_blinded() -> None:
    texts = [("response", "Fine."), ("response", "x" * 500), ("instruction", "Do it.")]
    items = [
        make_item(
            study="models",
            seed=1,
            group=f"g{n}",
            subject="secret-model",
            part=part,
            instruction="Do it.",
            text=text,
        ).as_row()
        for n, (part, text) in enumerate(texts)
    ]
    write_jsonl("items.jsonl", items)
    answers = {"Response: Fine.": "B", "more characters": "not sure"}

    def write(body: dict) -> tuple[str, str]:
        prompt = body["messages"][-1]["content"]
        return next((text for mark, text in answers.items() if mark in prompt), "Rating: D"), "stop"

    with WritingEndpoint(write=write) as endpoint:
        for _ in range(2):
            facts = judge_items(
                rated=Path("items.jsonl"),
                verdicts=Path("verdicts.jsonl"),
                settings=SETTINGS,
                teacher=endpoint.settings(),
            )
            assert facts == {"ledger": "verdicts.ledger.jsonl", "clipped": 1, "without_a_level": 1}
    rows = list(read_jsonl("verdicts.jsonl"))
    assert [row["rating"] for row in rows] == ["B", None, "D"]
    assert [row["clipped_characters"] for row in rows] == [0, 380, 0]
    assert len(endpoint.requests) == 3, "the second run reads the ledger"
    for body in endpoint.requests:
        assert body["grammar"] == "root ::= [A-D]" and body["max_tokens"] == 2
        assert "secret-model" not in str(body)
        assert "A: Valid and satisfying" in body["messages"][0]["content"]


def _judged_sample(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """The paper's run with a study of the dataset's quality, which the judge alone rates."""
    study = "{kind: dataset, annotators: 0, samples_per_source: 2, judge: {}}"
    with monkeypatch.context() as patch:
        patch.chdir(ROOT)
        return Workflow(read_config([], [f"human_evaluation={{studies: {{quality: {study}}}}}"]))


def test_a_sample_of_the_dataset_is_judged_without_people(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow = _judged_sample(monkeypatch)
    assert flow.judged_studies == ["quality"]
    assert flow.rating_params("quality").annotators == []
    rows = [
        {"instruction": f"Do {source}.", "response": f"{word}.", "instruction_source": source}
        for source in ("alpaca", "original_p3")
        for word in ("Good", "Bad", "Odd")
    ]
    pl.DataFrame(rows).write_parquet("data.parquet")
    settings = flow.study_params("quality").model_copy(update={"samples_per_source": 3})
    select_items(
        answers=[],
        exclude=[],
        dataset=[Path("data.parquet")],
        rated="r.jsonl",
        key="k.json",
        funnel="f.json",
        settings=settings,
    )
    assert {tuple(row["annotators"]) for row in read_jsonl("r.jsonl")} == {()}

    def write(body: dict) -> tuple[str, str]:
        prompt = body["messages"][-1]["content"]
        if "Response:" not in prompt:
            return "A" if "alpaca" in prompt else "well", "stop"
        return next(level for word, level in LEVELS_OF.items() if word in prompt), "stop"

    with WritingEndpoint(write=write) as endpoint:
        judge_items(
            rated=Path("r.jsonl"),
            verdicts=Path("v.jsonl"),
            settings=flow.judge_params("quality"),
            teacher=endpoint.settings(),
        )
    collect_ratings(
        rated="r.jsonl",
        key="k.json",
        verdicts=["v.jsonl"],
        rating_files=[],
        ratings="ratings.csv",
        summary="s.json",
        settings=flow.rating_params("quality"),
    )
    sources = ["alpaca", "original_p3", "original_flan"]
    params = {"mixture": "d_all", "symbols": {"alpaca": "X"}, "sources": sources}
    outputs = {form: f"t.{form}" for form in ("csv", "md", "tex", "json")}
    item = item_params(params, reproduction=True)
    make_table("judged_quality", {"ratings": "ratings.csv"}, item, outputs)
    with open("t.csv", newline="") as handle:
        head, *found = csv.reader(handle)
    assert head[:10] == [
        *("Dataset", "Text", "Sampled", "Judged", "A, %", "from", "to", "B, %", "from", "to")
    ]
    # Wilson's intervals of 3 and 0 of 3, and of 1 and 0 of 2: one of three answers has no level.
    every, never = ["100.0", "43.9", "100.0"], ["0.0", "0.0", "56.1"]
    half, none = ["50.0", "9.5", "90.5"], ["0.0", "0.0", "65.8"]
    assert found == [
        ["X", "instruction", "3", "3", *every, *never, *never, *never],
        ["X", "response", "3", "2", *half, *none, *none, *half],
        ["original_p3", "instruction", "3", "0", *[""] * 12],
        ["original_p3", "response", "3", "2", *half, *none, *none, *half],
        ["original_flan", "instruction", "", "", *[""] * 12],
        ["original_flan", "response", "", "", *[""] * 12],
    ]


def test_a_study_of_the_judge_alone_has_a_table_and_no_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow = _judged_sample(monkeypatch)
    monkeypatch.chdir(ROOT)
    assert flow.peoples_studies == ["dataset", "models"]
    assert flow.rating_sheets("quality") == []
    catalogue = Catalogue(flow)
    table = catalogue.tables["judged_quality"]
    assert table.inputs == {"ratings": "results/human_eval/quality/ratings.csv"}
    assert catalogue.figures["4"].inputs == {"ratings": "results/human_eval/dataset/ratings.csv"}
    config = read_config([], [])
    assert "judged_quality" not in Catalogue(Workflow(config)).tables, "it is off by default"
