"""Free-text answers: independent of the batch, resumable, with flags for truncation."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from evaluation_cases import ROOT, gpt2_tokenizer, saved_model, small_model, t5_tokenizer

from lamini.errors import LaminiError
from lamini.evaluation.answers import generate_answers
from lamini.evaluation.generation import Generator
from lamini.evaluation.user_instructions import read_instructions
from lamini.files import write_json
from lamini.jobs.kept_outputs import forget_accepted
from lamini.prompt_formats import render_prompt
from lamini.settings.evaluation import Answers
from lamini.settings.params.evaluation import EvaluatedModel, GenerateAnswers

INSTRUCTIONS = ROOT / "config/demo/user_oriented_instructions.jsonl"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module", params=["gpt2", "t5"])
def evaluated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> EvaluatedModel:
    folder = tmp_path_factory.mktemp("models")
    tokenizer: Any = gpt2_tokenizer()
    changes = {"n_positions": 512} if request.param == "gpt2" else {}
    if request.param == "t5":
        tokenizer = t5_tokenizer(folder / "made")
    model = small_model(request.param, tokenizer, **changes)
    wrapper = "alpaca" if request.param == "gpt2" else None
    return saved_model(folder / "small", model, tokenizer, prompt_format=wrapper)


def _run(
    evaluated: EvaluatedModel, output: str, tokens: int = 900, **changes: Any
) -> list[dict[str, Any]]:
    chosen = Answers(instructions=str(INSTRUCTIONS), max_new_tokens=8, **changes)
    settings = GenerateAnswers(model=evaluated, answers=chosen, files=None, seed=1)
    generate_answers(
        instructions=INSTRUCTIONS, answers=output, settings=settings, tokens_per_batch=tokens
    )
    return [json.loads(line) for line in Path(output).read_text().splitlines()]


def test_answers_do_not_depend_on_the_batch(evaluated: EvaluatedModel) -> None:
    rows = _run(evaluated, "results/answers/small.jsonl")
    given = [json.loads(line) for line in INSTRUCTIONS.read_text().splitlines()]
    assert [row["id"] for row in rows] == [row["id"] for row in given]
    with_input = next(row for row in given if row["instances"][0]["input"])
    answered = next(row for row in rows if row["id"] == with_input["id"])
    assert answered["instruction"].startswith(f"{with_input['instruction']}:")
    assert answered["prompt"] == render_prompt(
        evaluated.prompt_format or "bare", answered["instruction"]
    )
    assert all(row["truncated"] == (row["response_tokens"] == 8) for row in rows)
    assert {row["model"] for row in rows} == {"small"}
    assert {row["prompt_truncated"] for row in rows} == {0}
    assert _run(evaluated, "results/answers/alone.jsonl", tokens=1) == rows


def test_a_stopped_run_resumes(evaluated: EvaluatedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _run(evaluated, "results/answers/whole.jsonl")
    right, calls = Generator._batch, []

    def stopping(self: Any, prompts: Any, *others: Any) -> Any:
        calls.append(len(prompts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return right(self, prompts, *others)

    monkeypatch.setattr(Generator, "_batch", stopping)
    with pytest.raises(KeyboardInterrupt):
        _run(evaluated, "results/answers/small.jsonl")
    work = Path("results/answers/work/small.jsonl")
    with open(work, "ab") as torn:
        torn.write(b'{"made_from": "half a li')
    assert _run(evaluated, "results/answers/small.jsonl") == whole
    assert sum(calls[3:]) == len(whole) - sum(calls[:2])
    calls.clear()
    Path("results/answers/small.jsonl").unlink()  # as Snakemake, which did not see the job's end
    assert _run(evaluated, "results/answers/small.jsonl") == whole
    assert not calls, "finished answers are not generated again"
    assert work in forget_accepted("results")


def test_answers_of_other_code_are_not_reused(
    evaluated: EvaluatedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json("results/code.json", {"generate_answers": {"code": "old"}})
    answers = _run(evaluated, "results/answers/small.jsonl")
    monkeypatch.setattr(Generator, "_batch", None)
    assert _run(evaluated, "results/answers/small.jsonl") == answers
    write_json("results/code.json", {"generate_answers": {"code": "new"}})
    with pytest.raises(TypeError):
        _run(evaluated, "results/answers/small.jsonl")


def test_sampling_depends_only_on_the_seed(evaluated: EvaluatedModel) -> None:
    torch.manual_seed(5)
    first = _run(evaluated, "results/answers/a.jsonl", temperature=1.0)
    torch.manual_seed(6)
    assert _run(evaluated, "results/answers/b.jsonl", temperature=1.0, tokens=1) == first
    assert _run(evaluated, "results/answers/c.jsonl", temperature=0.0) != first


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"id": "a", "instruction": " ", "instances": []}',
            "wrong.jsonl, line 1: `instruction` is empty; correct it",
        ),
        ('{"instruction": "Sing", "instances": []}', "line 1: has no text `id`"),
        ("", "has no instructions"),
    ],
)
def test_wrong_instructions_are_named(line: str, message: str) -> None:
    Path("wrong.jsonl").write_text(f"{line}\n")
    nowhere = EvaluatedModel(
        model="x", architecture="decoder-only", prompt_format=None, path="nowhere", revision=None
    )
    chosen = Answers(instructions="wrong.jsonl")
    settings = GenerateAnswers(model=nowhere, answers=chosen, files=None, seed=1)
    with pytest.raises(LaminiError, match=message):
        generate_answers(instructions="wrong.jsonl", answers="out.jsonl", settings=settings)


def test_questions_of_a_study_are_read_from_parquet() -> None:
    kinds = ["did_not_happen", "did_not_happen", "far_future"]
    frame = pl.DataFrame({"question": ["Who? ", "When?", "Where?"], "category": kinds})
    frame.write_parquet("questions.parquet")
    rows = read_instructions(Path("questions.parquet"))
    assert [(row["id"], row["instruction"]) for row in rows] == [
        ("did_not_happen_1", "Who?"),
        ("did_not_happen_2", "When?"),
        ("far_future_3", "Where?"),
    ]
    assert [row["motivation_app"] for row in rows] == kinds


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"question": ["Who?"]}, r"has no column category; found question$"),
        ({"question": ["Who?", " "], "category": ["a", "b"]}, "row 2: needs a question"),
        ({"question": [], "category": []}, "has no questions$"),
        (None, "is no readable Parquet file"),
    ],
)
def test_wrong_questions_are_named(columns: dict[str, list[str]] | None, message: str) -> None:
    if columns is None:
        Path("questions.parquet").write_text("<html>")
    else:
        pl.DataFrame(columns).write_parquet("questions.parquet")
    with pytest.raises(LaminiError, match=rf"^questions\.parquet.*{message}"):
        read_instructions(Path("questions.parquet"))
