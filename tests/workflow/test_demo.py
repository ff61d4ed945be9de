"""The whole demo: every artifact exists and has the expected content."""

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy.stats import binomtest

from checkouts import Checkout
from lamini.files import sha256_file
from tex import PROGRAMS, WITH_TEX, problems

pytestmark = pytest.mark.slow
PAPER_TABLES = {f"{number:02}" for number in range(1, 14)}
PAPER_FIGURES = {"3", "4", "5", "6"}
NO_MODELS_OF_THIS_FAMILY = {"10", "11", "12"}


@pytest.fixture
def results(finished_demo: Checkout) -> Path:
    return finished_demo.folder / "results"


def _tables(results: Path) -> dict[str, Any]:
    paths = sorted((results / "tables").glob("*.json"))
    return {path.stem.removeprefix("table_"): json.loads(path.read_text()) for path in paths}


def test_no_table_is_empty(results: Path) -> None:
    tables = _tables(results)
    assert set(tables) >= PAPER_TABLES
    reproduction = tables.pop("reproduction")  # the demo has none of the paper's models
    assert reproduction["rows"] == []
    assert "None of the paper's models took part in this run." in reproduction["notes"]
    for name, table in tables.items():
        assert table["rows"], name
        for row in table["rows"]:
            assert any(cell["value"] not in (None, "") for cell in row[1:]), (name, row)
        ours = [cell for row in table["rows"] for cell in row if cell["ours"]]
        numbers = [cell for cell in ours if isinstance(cell["value"], (int, float))]
        if name not in NO_MODELS_OF_THIS_FAMILY and any(table["numeric"]):
            assert numbers, f"table {name} has no number of this run"
        assert all(cell["text"].endswith("†") for cell in numbers), f"unmarked in table {name}"


@WITH_TEX
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_table_compiles_within_the_margins(
    results: Path, tmp_path: Path, program: str
) -> None:
    assert problems(program, sorted((results / "tables").glob("*.tex")), tmp_path) == []


def test_every_figure_is_drawn(results: Path) -> None:
    drawn = {path.stem.removeprefix("figure_") for path in (results / "figures").glob("*.png")}
    assert drawn >= PAPER_FIGURES
    for name in drawn:
        pixels = np.asarray(Image.open(results / f"figures/figure_{name}.png").convert("L"))
        assert (pixels < 200).mean() > 0.005, f"figure {name} is almost blank"
        data = pl.read_csv(results / f"figures/figure_{name}.csv")
        assert len(data), name


def test_the_report_shows_them_all_and_needs_no_network(results: Path) -> None:
    page = (results / "report/index.html").read_text()
    for name in _tables(results):
        assert f'id="table-{name}"' in page
    for path in (results / "figures").glob("*.png"):
        assert f'id="figure-{path.stem.removeprefix("figure_")}"' in page
    assert "Embedded demo: no reproduction of the paper" in page
    markup = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    outside = set(re.findall(r'(?:src|href)="(?!#|data:)([^"]+)"', markup))
    files = {link for link in outside if not link.startswith("https:")}
    assert outside - files == {"https://arxiv.org/abs/2304.14402"}, "a link does not load anything"
    assert all((results / "report" / link).is_file() for link in files)
    assert {link.rpartition(".")[2] for link in files} == {
        "csv",
        "html",
        "json",
        "md",
        "pdf",
        "png",
        "tex",
    }
    assert "no scores compared" in page.lower() and "toys" in page
    assert "†" in page and not re.search(r"†</t[dh]>", page), "marked at table and column only"
    assert str(results) not in page


def test_the_teacher_wrote_enough(results: Path) -> None:
    reports = [json.loads(p.read_text()) for p in results.glob("*/*/*.report.json")]
    accepted = {
        stage: sum(r["accepted"] for r in reports if r["stage"] == stage)
        for stage in ("instructions", "pairs")
    }
    assert accepted["instructions"] >= 120
    assert accepted["pairs"] >= 240
    assert {r["source"] for r in reports if r["stage"] == "pairs"} == {
        path.name for path in (results / "pairs").iterdir()
    }


def test_losses_fall(results: Path) -> None:
    """On held-out pairs, which are the same before and after; each step has other pairs."""
    for path in results.glob("checkpoints/*/final/manifest.json"):
        facts = json.loads(path.read_text())
        assert facts["held_out_after"] < facts["held_out_before"], path


def test_every_score_names_its_measurement(results: Path) -> None:
    scores = [json.loads(path.read_text()) for path in results.glob("evals/*/*.json")]
    assert len(scores) == 6 * 15
    for score in scores:
        assert score["protocol"] == "paper"
        assert score["data"]["source"] == "mirror"
        assert score["examples"] == score["data"]["rows"]
        assert score["score"] == pytest.approx(100 * fmean(score["values"]), abs=1e-4)
        if set(score["values"]) <= {0, 1}:
            right = binomtest(round(sum(score["values"])), score["examples"])
            ends = right.proportion_ci(method="wilson")
            expected = [100 * ends.low, 100 * ends.high]
            assert score["interval"] == pytest.approx(expected, abs=1e-4)
    wrapped = {score["model"] for score in scores if score["prompt_format"] == "alpaca"}
    assert wrapped == {"lamini-demo-gpt2", "lamini-smollm2-135m"}


def test_no_artifact_contains_a_path_of_this_machine(
    results: Path, finished_demo: Checkout
) -> None:
    place = str(finished_demo.folder).encode()
    logs = ("logs", "benchmarks", "progress")
    for path in results.rglob("*"):
        if path.is_file() and path.relative_to(results).parts[0] not in logs:
            if path.suffix == ".log" or path.stat().st_size > 50_000_000:
                continue
            assert place not in path.read_bytes(), path


def _files(folder: Path, paths: Iterable[str]) -> set[str]:
    """Files among some paths; a folder stands for all files below it."""
    places = [folder / path for path in paths if path not in ("", "-")]
    found = [f for p in places for f in (p.rglob("*") if p.is_dir() else [p]) if f.is_file()]
    return {str(file.relative_to(folder)) for file in found}


def test_each_job_is_recorded_with_what_its_rule_declares(finished_demo: Checkout) -> None:
    table = finished_demo.snakemake("--profile", "demo", "--detailed-summary").stdout
    folder, rules = finished_demo.folder, set()
    for row in csv.DictReader(table.splitlines(), delimiter="\t"):
        output = row["output_file"]
        record = json.loads((folder / f"results/provenance/{output[8:]}.json").read_text())
        job = json.loads((folder / record["job"]).read_text())
        assert set(job["inputs"]) == _files(folder, row["input-file(s)"].split(",")), output
        assert output in job["outputs"]
        assert record["sha256"] == sha256_file(folder / output)
        assert row["rule"].startswith(job["rule"].removesuffix("_model"))
        rules.add(job["rule"])
    scripts = {path.stem for path in (folder / "scripts").glob("*.py")} | {"train_model"}
    elsewhere = {"download_file", "mirror_task_data", "import_published", "export_dataset"}
    elsewhere |= {"measure_mattr_readings", "fit_sweep"}
    elsewhere |= {"export_gguf", "export_ctranslate2", "check_export"}
    assert rules == scripts - elsewhere, "only rules that the demo does not need have no job"


def test_the_terminal_shows_one_line_per_job_and_the_result(finished_demo: Checkout) -> None:
    shown = finished_demo.folder / "terminal.txt"
    if not shown.exists():
        pytest.skip("FINISHED_DEMO names a demo that was not run by these tests")
    lines = shown.read_text().splitlines()
    jobs = json.loads((finished_demo.folder / "results/jobs.json").read_text())
    found = [line for line in lines if re.match(rf"\d\d:\d\d:\d\d +\d+/{len(jobs)}  \w", line)]
    assert len(found) == len(jobs)
    assert len(lines) < 150
    assert max(map(len, lines)) < 250
    last = "\n".join(lines[-7:])
    for part in (f"Finished: {len(jobs)} jobs", "Best student", "Cost so far", "Report ", "Next "):
        assert part in last


def test_a_second_run_has_nothing_to_do(finished_demo: Checkout) -> None:
    done = finished_demo.snakemake("--profile", "demo")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_the_page_on_data_frames_runs(
    finished_demo: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs/data-frames.md").read_text("utf-8")
    monkeypatch.chdir(finished_demo.folder)
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```(?:\n+```text\n(.*?)^```)?$", page, re.M | re.S)
    assert len(blocks) == page.count("```python") > 5
    for code, shown in blocks:
        exec(code, names)
        printed = capsys.readouterr().out
        assert _column_names(shown) == (_column_names(printed) if shown else []), code


def _column_names(printed: str) -> list[str]:
    """Names of the columns of a printed data frame."""
    lines = printed.splitlines()
    top = next((i for i, line in enumerate(lines) if line.startswith("┌")), None)
    return [] if top is None else [name.strip() for name in lines[top + 1][1:-1].split("┆")]
