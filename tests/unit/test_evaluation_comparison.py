"""Differences between models come with what chance alone would do."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamini.evaluation.comparison import compare
from lamini.tables.make import make_table

AUTHORS = Path(__file__).parents[2] / "config/paper/authors_results.csv"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_mcnemar_counts_the_examples_on_which_models_differ() -> None:
    # 10 examples won and 2 lost: twice the binomial tail, 2 * (1 + 12 + 66) / 2**12.
    before, after = [0] * 10 + [1] * 2 + [1] * 50, [1] * 10 + [0] * 2 + [1] * 50
    found = compare(before, after, 1)
    assert found.test == "McNemar"
    assert found.p_value == pytest.approx(2 * 79 / 4096)
    assert found.difference == pytest.approx(100 * 8 / 62)
    assert found.interval[0] < found.difference < found.interval[1]
    assert compare([1, 0], [1, 0], 1).p_value == 1
    assert compare(after, before, 1).p_value == found.p_value


def test_graded_values_are_permuted() -> None:
    generator = np.random.default_rng(0)
    before = generator.random(200)
    better = compare(before.tolist(), np.minimum(before + 0.1, 1).tolist(), 2)
    assert (better.test, better.p_value < 0.001) == ("permutation", True)
    noise = compare(before.tolist(), generator.permutation(before).tolist(), 2)
    assert noise.p_value > 0.05


def test_a_true_null_is_rejected_as_often_as_claimed() -> None:
    generator, rejected = np.random.default_rng(1), 0
    for number in range(300):
        before, after = (generator.random((2, 120)) < 0.6).astype(float)
        rejected += compare(before.tolist(), after.tolist(), number).p_value < 0.05
    assert rejected / 300 < 0.07


def test_other_numbers_of_examples_are_no_comparison() -> None:
    with pytest.raises(ValueError, match="2 and 3 examples"):
        compare([1, 0], [1, 0, 1], 1)


def _eval(model: str, task: str, score: float, values: list[float]) -> str:
    path = Path(f"{model}-{task}.json")
    result: dict[str, Any] = {"model": model, "task": task, "score": score, "values": values}
    path.write_text(json.dumps(result | {"standard_error": 2.0, "protocol": "paper"}))
    return str(path)


def _rows(table: str, inputs: dict[str, Any], params: dict[str, Any]) -> list[dict[str, str]]:
    outputs: dict[str, str | Path] = {f: f"{table}.{f}" for f in ("csv", "md", "tex", "json")}
    make_table(table, inputs, params | {"reproduction": True}, outputs)
    with open(f"{table}.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def test_improvements_stand_beside_contamination() -> None:
    evals = [_eval("start", "rte", 25, [0, 0, 0, 1]), _eval("mine", "rte", 100, [1, 1, 1, 1])]
    Path("contamination.csv").write_text(
        "task,instruction_source,comparable_examples,examples_13\nrte,alpaca,4,0\nrte,d_all,4,1\n"
    )
    pair = {"student": {"key": "mine", "name": "M"}, "baseline": {"key": "start", "name": "S"}}
    params = {"kind": "improvement", "pairs": [pair], "tasks": {"rte": "RTE"}, "mixture": "d_all"}
    inputs = {"evals": evals, "contamination": "contamination.csv"}
    (row,) = _rows("improvement", inputs, params | {"words": 13})
    assert (row["Difference"], row["p"]) == ("75.0", "0.2500")
    assert row["Contaminated examples, %"] == "25.0"


def test_acceptance_says_which_scores_lie_within_one_standard_error() -> None:
    evals = [_eval("t5-small", "rte", 54.0, []), _eval("t5-small", "sst2", 60.0, [])]
    params = {
        "kind": "acceptance",
        "models": [{"key": "t5-small", "name": "T5-small"}],
        "tasks": {"rte": "RTE", "sst2": "SST"},
    }
    rte, sst, mean = _rows("acceptance", {"evals": evals, "published": str(AUTHORS)}, params)
    assert (rte["Authors'"], rte["Within one standard error"]) == ("53.43", "yes")
    assert (sst["Authors'"], sst["Within one standard error"]) == ("70.99", "no")
    assert mean["Task"] == "Average"
    assert "1 of 2 scores" in Path("acceptance.md").read_text()
