"""Figures: equal bytes in each run, with their data as CSV."""

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from matplotlib.axes import Axes
from score_cases import item_params, result_file, scored, student

from lamini.catalogue.params import ReportParams
from lamini.figures.draw import draw_figure
from lamini.report.charts import score_chart

PAPER = Path(__file__).parents[2] / "config/paper"
SYMBOLS = {"alpaca": "D\u0302_A", "original_p3": "D_P3"}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _draw(name: str, inputs: dict[str, Any], params: dict[str, Any]) -> list[dict[str, str]]:
    """Draw twice, compare every byte, and return the data."""
    forms = ("pdf", "png", "csv")
    bytes_of = []
    for run in ("a", "b"):
        outputs: dict[str, str | Path] = {form: f"{name}-{run}.{form}" for form in forms}
        draw_figure(name, inputs, item_params(params, reproduction=False), outputs)
        bytes_of.append([Path(outputs[form]).read_bytes() for form in forms])
    assert bytes_of[0] == bytes_of[1]
    assert bytes_of[0][0].startswith(b"%PDF")
    assert bytes_of[0][1].startswith(b"\x89PNG")
    with open(f"{name}-a.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def _ratings(rows: list[tuple[str, str, str, str]]) -> str:
    with open("ratings.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["part", "subject", "rater", "rating"])
        writer.writerows(rows)
    return "ratings.csv"


def test_projection() -> None:
    points = pl.DataFrame(
        {
            "panel": [0] * 6,
            "instruction_source": ["alpaca", "original_p3"] * 3,
            "instruction": list("abcdef"),
            "x": [0.0, 1, 2, 3, 4, 5],
            "y": [0.5] * 6,
        }
    )
    points.write_parquet("projection.parquet")
    params = {"panels": [["alpaca", "original_p3"]], "symbols": SYMBOLS}
    assert len(_draw("3", {"projection": "projection.parquet"}, params)) == 6


def test_dataset_ratings_prefer_people() -> None:
    path = _ratings(
        [
            ("instruction", "alpaca", "human", "A"),
            ("response", "alpaca", "human", "C"),
            ("response", "alpaca", "machine", "D"),
            ("response", "original_p3", "human", ""),
        ]
    )
    rows = _draw("4", {"ratings": path}, {"symbols": SYMBOLS})
    drawn = {(row["part"], row["subset"]): row for row in rows}
    assert drawn["response", "Y\u0302_A"]["rate_c"] == "1"
    assert drawn["response", "Y\u0302_A"]["rate_d"] == "0", "ratings of the judge are left out"
    assert {row["subset"] for row in rows} == {"X\u0302_A", "Y\u0302_A", "X_P3", "Y_P3"}


def test_a_figure_says_that_ratings_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    titles = []
    monkeypatch.setattr(Axes, "set_title", lambda axis, title: titles.append(title))
    path = _ratings([("", "m1", "human", "A"), ("", "m1", "human", ""), ("", "m1", "machine", "D")])
    published = str(PAPER / "human_evaluation_models.csv")
    params = {"names": {"m1": "One"}}
    (ours, *_) = _draw("6", {"ratings": path, "published": published}, params)
    assert titles[0] == "this run,\nrated by people, 1 of 2 ratings so far"
    assert [ours[f"rate_{level}"] for level in "abcd"] == ["1", "0", "0", "0"]


def test_model_ratings_are_sorted_best_first() -> None:
    path = _ratings([("", "m1", "machine", "B"), ("", "m2", "machine", "A")])
    params = {"names": {"m1": "One", "m2": "Two"}}
    published = str(PAPER / "human_evaluation_models.csv")
    rows = _draw("6", {"ratings": path, "published": published}, params)
    assert [row["model"] for row in rows if row["score"] == "ours"] == ["Two", "One"]
    assert sum(row["score"] == "published" for row in rows) == 19


def test_scores_show_the_published_models_and_ours() -> None:
    rows = _scores()
    ours = [row for row in rows if row["score"] == "ours"]
    assert [(row["model"], float(row["average"])) for row in ours] == [("Mine", 61.0)]
    assert len(rows) == 1 + 15 + 2
    assert not any(row["unlike"] for row in rows)


def _scores(*others: str, **changes: Any) -> list[dict[str, str]]:
    """Figure 5 of a model, and of others that differ from it in some facts of their scores."""
    changed = {"mine": {}} | dict.fromkeys(others, changes)
    fields = {"score": 61.0, "interval": [59, 63], "examples": 277}
    evals = [result_file(key, "rte", **fields | facts) for key, facts in changed.items()]
    models = [scored(key, key.capitalize(), family=f"{key}-GPT") for key in changed]
    params = {"models": models, "reference_lines": [], "tasks": ["rte"]}
    return _draw("5", {"evals": evals, "published": str(PAPER / "eval_results.csv")}, params)


def test_scores_that_were_measured_otherwise_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    set_labels, labels = Axes.set, []
    monkeypatch.setattr(Axes, "set", lambda a, **k: (labels.append(k), set_labels(a, **k)))
    rows = _scores("other", "third", examples=12, examples_published=277, precision="bf16")
    found = {row["model"]: row["unlike"] for row in rows if row["score"] == "ours"}
    # Two of three are in bf16 and have 12 examples; all three should have the published 277.
    assert found == {"Mine": "examples, precision", "Other": "examples", "Third": "examples"}
    assert labels[0]["xlabel"] == "parameters\n≠ not measured as the others: examples, precision"
    chart = score_chart({"data": "5-a.csv"}, ReportParams.model_construct())
    series = {one["name"]: one["labels"] for one in chart["panels"][0]["series"]}
    assert series["mine-GPT, ours (dec)"] == ["Mine ≠ examples, precision"]
    assert chart["hint"].endswith("≠ says what was not measured as for the others.")


def test_learning_curves() -> None:
    lines = [
        {"step": 0, "loss": None, "held_out_loss": 3.0},
        {"step": 1, "loss": 2.9, "held_out_loss": None},
        {"step": 2, "loss": 2.5, "held_out_loss": 2.6},
    ]
    Path("metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    params = {"students": [student("s", "S")]}
    assert len(_draw("learning_curves", {"metrics": ["metrics.jsonl"]}, params)) == 3


def test_lengths() -> None:
    lines = ["instruction_source,text,tokens_from,samples", "alpaca,instruction,0,0"]
    lines += ["alpaca,instruction,1,3", "alpaca,response,0,1", "original_p3,response,4,4"]
    Path("lengths.csv").write_text("\n".join(lines) + "\n")
    rows = _draw("lengths", {"lengths": "lengths.csv"}, {"symbols": SYMBOLS})
    assert [float(row["percent"]) for row in rows] == [0, 100, 100, 100]


def test_verbs_are_the_most_frequent_of_all_sources() -> None:
    lines = ["instruction_source,verb,noun,instructions,sampled", "alpaca,eat,soup,90,99"]
    lines += [f"d_all,v{n},n{m},{100 - n},9999" for n in range(30) for m in range(6)]
    Path("verbs.csv").write_text("\n".join([*lines, "d_all,go,,500,9999"]) + "\n")
    rows = _draw("verbs", {"verbs": "verbs.csv"}, {"mixture": "d_all"})
    assert [row["verb"] for row in rows] == [f"v{n}" for n in range(20) for _ in range(4)]
    Path("verbs.csv").write_text(lines[0] + "\n")
    assert _draw("verbs", {"verbs": "verbs.csv"}, {"mixture": "d_all"}) == []
