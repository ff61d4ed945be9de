"""The judge gets the protocol and one blinded item, and answers with a level."""

from pathlib import Path

import pytest
from writing_endpoint import WritingEndpoint

from lamini.files import read_jsonl, write_jsonl
from lamini.human_evaluation.items import make_item
from lamini.human_evaluation.judge import clip, judge_items, read_verdict
from lamini.settings.human_evaluation import Judge
from lamini.settings.params import JudgeItems

JUDGE = Judge(max_tokens=2, max_characters=120, extra_body={"grammar": "root ::= [A-D]"})
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
    assert clip("short", 100) == "short" and clip("x" * 9999, None) == "x" * 9999
    assert clip("x" * 1500, 120) == "x" * 120 + " [1,380 more characters are not shown]"


def test_items_are_judged_once_and_blinded() -> None:
    texts = [("response", "Fine."), ("response", "x" * 500), ("instruction", "Do it.")]
    items = [
        make_item(
            place=("models", 1),
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
