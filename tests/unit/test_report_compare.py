"""Two runs on one page: values, differences, settings that differ, and what a run lacks."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from score_cases import PUBLISHED, item_params, score_file, scored

from lamini.report.__main__ import main
from lamini.report.compare import FinishedRun, Merged, differing_settings, merge
from lamini.tables.make import make_table

COST = ["Rule", "Jobs", "Hours", "Core-hours", "GPU-hours", "Peak memory, GiB", "US$"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _cell(value: Any, digits: int = 1) -> dict[str, Any]:
    text = "–" if value is None else value if isinstance(value, str) else f"{value:.{digits}f}"
    return {"value": value, "text": text, "digits": digits}


def _table(columns: list[str], *rows: list[Any]) -> dict[str, Any]:
    return {
        "name": "t",
        "heading": "T",
        "columns": columns,
        "numeric": [not isinstance(value, str) for value in rows[0]],
        "rows": [[_cell(value) for value in row] for row in rows],
    }


def _texts(merged: Merged) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in merged.rows]


def test_rows_and_columns_are_matched() -> None:
    first = _table(["Model", "Task", "Score"], ["a", "x", 1.0], ["a", "y", 2.0], ["c", "x", 5.0])
    second = _table(["Model", "Task", "New", "Score"], ["a", "y", 7.0, 3.5], ["a", "x", None, 1.0])
    merged = merge("t", first, second)
    assert merged.columns == ["Model", "Task", "Score", "New"]
    assert merged.numeric == [False, False, True, True]
    assert _texts(merged) == [
        ["a", "x", "1.0", "–"],
        ["a", "y", "2.0 → 3.5", "– → 7.0"],
        ["c (only in A)", "x → –", "5.0 → –", "–"],
    ]
    changed = merged.rows[1].cells[2]
    assert (changed.value, changed.difference, changed.differs) == (1.5, "+1.5", True)
    assert [row.same for row in merged.rows] == [True, False, False]
    assert (merged.differing, merged.only) == (2, "")


def test_a_row_that_was_made_differently_in_one_run_is_the_same_row() -> None:
    one, other = (_table(["Model", "Score"], ["a", score], ["b", 2.0]) for score in (1.0, 3.0))
    other["rows"][0][0]["text"] = "a‡"
    assert _texts(merge("t", one, other)) == [["a → a‡", "1.0 → 3.0"], ["b", "2.0"]]


def test_headings_that_occur_twice_are_two_columns() -> None:
    one, other = (_table(["S", "Δ", "Δ"], ["a", 1.0, 2.0]) for _ in "ab")
    other["rows"][0][2] = _cell(4.0)
    assert _texts(merge("t", one, other)) == [["a", "1.0", "2.0 → 4.0"]]


def test_a_table_of_one_run_alone() -> None:
    table = _table(["S", "N"], ["a", 1.0])
    assert (merge("t", table, None).only, merge("t", None, table).only) == ("A", "B")
    assert _texts(merge("t", None, table)) == [["a (only in B)", "– → 1.0"]]


def _run(folder: str, score: float, dollars: float | None, **config: Any) -> Path:
    """A results folder with averages and costs of two models."""
    results = Path(folder)
    models = [scored("base", "Base", role="reference"), scored("s", "LaMini-S")]
    inputs = {
        "evals": [
            score_file("base", "rte", 40.0),
            score_file("s", "rte", score),
        ]
    }
    params = {"models": models, "bases": {"s": "base"}, "reference_lines": []}
    outputs: dict[str, str | Path] = {"json": results / "tables/table_averages.json"}
    settings = item_params(params | {"tasks": {"rte": "RTE"}}, reproduction=False)
    make_table("averages", PUBLISHED | inputs, settings, outputs)
    cost = _table(COST, ["All", 2.0, 3.0, 3.0, 4.0, 1.0, dollars]) | {"name": "cost"}
    (results / "tables/table_cost.json").write_text(json.dumps(cost))
    (results / "run_config.yaml").write_text(yaml.safe_dump(config))
    return results


def test_the_page_has_both_results_and_the_settings_that_differ(
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = {"report": {"reproduction": False}}
    first = _run("a/results", 50.0, 1.25, seed=1, tasks=["x"], **common)
    second = _run("b/results", 53.5, None, seed=2, tasks=["x"], more={}, **common)
    assert differing_settings(FinishedRun.read(first), FinishedRun.read(second)) == [
        ("seed", "1", "2"),
        ("more", "–", "{}"),
    ]
    assert main([str(first), str(second), "--page", "out/c.html"]) == 0
    assert f"The comparison: {Path('out/c.html').absolute()}" in capsys.readouterr().out
    page = Path("out/c.html").read_text()
    for tile in (
        "50.0 → 53.5</strong> average of the students<small>difference +3.5<",
        "10.0 → 13.5</strong> gain over their base models<small>difference +3.5<",
        "1.25 → –</strong> US$ paid to the teacher<small>difference –<",
        "4.0 → 4.0</strong> GPU-hours<small>difference +0.0<",
    ):
        assert tile in page
    assert "<code>seed</code></th><td>1</td><td>2</td>" in page
    assert "toys" in page and "†<" not in page.partition("<tbody>")[2]


def test_what_a_run_lacks_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (_run(f"{name}/results", 50.0, 1.0) for name in "ab")
    (second / "tables/table_averages.json").unlink()
    (second / "run_config.yaml").unlink()
    assert main([str(first), str(second)]) == 0
    page = Path("compare.html").read_text()
    assert "50.0 → –</strong> average of the students<small>difference –<" in page
    assert "Not known: B has no <code>run_config.yaml</code>" in page
    assert main(["nowhere", str(second)]) == 1
    assert capsys.readouterr().err == (
        "error: nowhere: no tables; give the results folder of a finished run, such as results\n"
    )
