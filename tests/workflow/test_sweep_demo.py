"""The demo's sweep, run: its trainings, scores, tables and figures."""

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from PIL import Image

from checkouts import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
OVERLAYS = ("--configfile", "config/demo.yaml", "config/examples/sweep.yaml")
TABLES, FIGURES = ("sweep_demo", "law_demo", "compared_demo"), ("sweep_demo", "loss_demo")
STUDENTS = {"lamini-demo-t5": "LaMini-Demo-T5", "lamini-demo-gpt2": "LaMini-Demo-GPT-2"}
SIZES, SEEDS = ("0.3", "1"), (1, 2)
NOTE = "mixed model with seeds and examples as random factors"


def table(folder: Path, name: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((folder / f"results/tables/table_{name}.json").read_text())
    return made


def column(made: dict[str, Any], name: str) -> list[Any]:
    return [row[made["columns"].index(name)]["value"] for row in made["rows"]]


def trained(folder: Path, model: str) -> dict[str, Any]:
    path = folder / f"results/checkpoints/{model}/final/manifest.json"
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def score(folder: Path, model: str) -> float:
    paths = list((folder / f"results/evals/{model}").glob("*.json"))
    assert len(paths) == 15
    return fmean(json.loads(path.read_text())["score"] for path in paths)


def test_the_demos_sweep_has_scores_tables_and_figures(
    finished_demo: Checkout, tmp_path: Path
) -> None:
    def large(place: str, names: list[str]) -> set[str]:
        return {n for n in names if "smollm2" in place and n.endswith(".safetensors")}

    folder = tmp_path / "demo"
    shutil.copytree(finished_demo.folder, folder, symlinks=True, ignore=large)
    demo, results = Checkout(folder), folder / "results"
    assert NOTE not in "".join(table(folder, "improvement")["notes"])
    targets = [f"results/tables/table_{name}.csv" for name in (*TABLES, "improvement")]
    targets += [f"results/figures/figure_{name}.png" for name in FIGURES]
    run = demo.snakemake(*targets, "--profile", "demo", *OVERLAYS)
    shown = run.stdout + run.stderr
    made = Counter(re.findall(r"^[\d:]{8} +\d+/\d+  (\w+)", shown, re.MULTILINE))
    expected = {"train_model": 8, "evaluate_suite": 8, "fit_sweep": 1}
    assert made == expected | {"make_table": 4, "draw_figure": 2}

    swept = table(folder, "sweep_demo")
    seeds = [
        [f"{student}.samples{size}.seed{seed}" for seed in SEEDS]
        for student in STUDENTS
        for size in SIZES
    ]
    assert column(swept, "Student") == [name for name in STUDENTS.values() for _ in SIZES]
    pairs = [trained(folder, models[0])["pairs_used"] for models in seeds]
    assert column(swept, "Pairs") == pairs and pairs[0] < pairs[1] == pairs[3]
    assert column(swept, "Score") == pytest.approx(
        [fmean(score(folder, model) for model in models) for models in seeds], abs=1e-3
    )
    losses = [fmean(trained(folder, model)["held_out_after"] for model in m) for m in seeds]
    assert column(swept, "Held-out loss") == pytest.approx(losses)
    assert losses[1] < losses[0] and losses[3] < losses[2], "more data, a lower loss"
    assert table(folder, "law_demo")["rows"] == [], "two sizes determine no law"
    compared = table(folder, "compared_demo")
    ends = [score(folder, model) for model in STUDENTS_AT_ALL]
    apart = abs(fmean(ends[:2]) - fmean(ends[2:]))
    assert column(compared, "Difference") == pytest.approx([apart], abs=1e-3)
    assert column(compared, "p")[0] is not None

    improvement = table(folder, "improvement")
    assert NOTE in "".join(improvement["notes"])
    for name in FIGURES:
        pixels = np.asarray(Image.open(results / f"figures/figure_{name}.png").convert("L"))
        assert (pixels < 200).mean() > 0.005, f"figure {name} is almost blank"
        with (results / f"figures/figure_{name}.csv").open() as lines:
            kinds = Counter(row["kind"] for row in csv.DictReader(lines))
        assert kinds == {"training": 8}
    again = demo.snakemake(*targets, "--profile", "demo", *OVERLAYS)
    assert "Nothing to be done" in again.stdout + again.stderr


STUDENTS_AT_ALL = [f"{student}.samples1.seed{seed}" for student in STUDENTS for seed in SEEDS]
"""The trainings at the largest size, two of each student."""
