"""Public models' scores are judged by changed examples; `make acceptance` ends with the verdict."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from score_cases import AUTHORS, PAPER, made_table, result, score_file

from lamini.acceptance import main
from lamini.files import read_json, write_json

TASKS = {"rte": "RTE", "sst2": "SST"}
MODELS = {
    "t5-small": "T5-small",
    "flan-t5-small": "Flan-T5-small",
    "cerebras-gpt-256m": "Cerebras-GPT-256M",
    "gpt2-xl": "GPT-2-xl",
}


def _rows(path: str | Path) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the authors' own scores as ours, in the precision that is judged."""
    monkeypatch.chdir(tmp_path)
    Path("config").symlink_to(PAPER.parent)
    sizes = {row["dataset"]: int(row["examples"]) for row in _rows(PAPER / "tasks.csv")}
    tasks = yaml.safe_load((PAPER.parent / "tasks.yaml").read_text())["tasks"]
    keys = {task["name"]: key for key, task in tasks.items()}
    for row in _rows(AUTHORS["published"]):
        for key, name in MODELS.items():
            if row["model"] == name:
                size = sizes[row["task"]]
                task, score = keys[row["task"]], float(row["score"])
                result(key, task, score=score, examples=size).write(_path(key, task))


def _path(model: str, task: str) -> Path:
    return Path(f"results/evals/{model}/{task}.json")


def _change(model: str, task: str, **changes: object) -> None:
    write_json(_path(model, task), read_json(_path(model, task)) | changes)


def test_the_authors_own_scores_are_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = "Accepted: 60 of 60 scores are as the authors', 0 differ, 0 could not be judged."
    assert capsys.readouterr().out == said + "\n"


def test_what_is_not_accepted_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    _change("gpt2-xl", "rte", score=60.0)
    _change("t5-small", "wic", precision="bf16")
    assert main([]) == 1
    said = capsys.readouterr()
    header, *lines = said.out.strip().splitlines()
    assert header.split() == ["Model", "Task", "Verdict", "Ours", "Authors'", "Changed", "examples"]
    assert [line.split()[:3] for line in lines] == [
        ["T5-small", "WiC", "not"],
        ["GPT-2-xl", "RTE", "rejected"],
    ]
    assert "not judged: precision fp32 against bf16" in lines[0]
    assert "Not accepted: 58 of 60 scores are as the authors', 1 differ, 1 could" in said.err


def test_a_missing_score_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    _path("t5-small", "wic").unlink()
    assert main([]) == 1
    assert "evals/t5-small/wic.json: no such file; run `snakemake" in capsys.readouterr().err


def test_without_a_model_there_is_nothing_to_judge(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "report={acceptance: []}"]) == 1
    assert "report.acceptance: no evaluated model is listed" in capsys.readouterr().err


def _acceptance(*evals: str, tasks: dict[str, str] = TASKS) -> Any:
    params = {"models": [{"key": "t5-small", "name": "T5-small"}], "tasks": tasks}
    return made_table("acceptance", AUTHORS | {"evals": list(evals)}, params)


def _accepted(task: str, score: float, **changes: Any) -> str:
    """The verdict on one score of T5-small. The authors': 53.4296 of RTE, 70.9862 of SST."""
    rows, *_ = _acceptance(
        score_file("t5-small", task, score, **changes), tasks={task: TASKS[task]}
    )
    return str(rows[0]["Verdict"])


def test_two_examples_or_half_a_point_may_differ() -> None:
    rte, sst = 100 * 148 / 277, 100 * 619 / 872
    assert _accepted("rte", rte + 200 / 277) == "accepted"
    assert _accepted("rte", rte - 200 / 277) == "accepted"
    assert _accepted("rte", rte + 300 / 277) == "rejected", "1.08 points: within a standard error"
    assert _accepted("sst2", sst + 0.5) == "accepted", "0.5 points are 4 examples of 872"
    assert _accepted("sst2", sst - 0.51) == "rejected"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"precision": "bf16"}, "precision fp32 against bf16"),
        ({"protocol": "modern"}, "protocol paper against modern"),
        ({"examples": 12}, "examples 277 against 12"),
    ],
)
def test_scores_of_another_measurement_are_not_judged(changes: dict[str, Any], reason: str) -> None:
    assert _accepted("rte", 100 * 148 / 277, **changes) == f"not judged: {reason}"


def test_one_verdict_on_all_scores() -> None:
    rte, sst = 100 * 148 / 277, 100 * 619 / 872
    good = score_file("t5-small", "rte", rte + 100 / 277), score_file("t5-small", "sst2", sst)
    rows, text, cells = _acceptance(*good)
    assert "Accepted: 2 of 2 scores are as the authors', 0 differ, 0 could not be judged." in text
    assert [row["Task"] for row in rows] == ["RTE", "SST", "Average"]
    assert (rows[0]["Difference"], rows[0]["Changed examples"]) == ("0.36", "1.0")
    # The average is of the authors' unrounded scores.
    assert rows[2]["Authors'"] == f"{(rte + sst) / 2:.2f}"
    assert [row["Precision"] for row in rows] == ["fp32", "fp32", ""]
    assert [cell["ours"] for cell in cells[2][4:7]] == [True, False, True]
    _, text, _ = _acceptance(good[0], score_file("t5-small", "sst2", sst + 3))
    assert "Not accepted: 1 of 2 scores are as the authors', 1 differ, 0 could not" in text
    _, text, _ = _acceptance(good[0], score_file("t5-small", "sst2", sst, precision="bf16"))
    assert "Not accepted: 1 of 2 scores are as the authors', 0 differ, 1 could not" in text
