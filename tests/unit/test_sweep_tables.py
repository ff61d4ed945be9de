"""The facts of a sweep, its tables and its figures."""

import csv
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from sweep_cases import SIZES, Files, Simulated, write_files

from lamini.catalogue import (
    EVALUATION,
    FIGURES,
    SECTIONS,
    TABLES,
    Catalogue,
    all_sections,
    figure_entry,
    table_entry,
)
from lamini.catalogue.params.sweeps import SweepFigureParams, SweepTableParams
from lamini.command import read_config
from lamini.errors import LaminiError
from lamini.evaluation.results import EvaluationResult
from lamini.figures.sweeps import draw_sweep
from lamini.report import write
from lamini.sweeps.results import SweepResult
from lamini.tables.sweep_tables import compared_table, law_table, sweep_table
from lamini.tables.table import Table
from lamini.workflow import Workflow

NAMES = {"small": "Small", "large": "Large", "twin": "Twin"}
DRAWN = {
    ("small", "all"): Simulated(a=0.50),
    ("large", "all"): Simulated(a=0.62),
    ("twin", "all"): Simulated(a=0.50),
    ("small", "clean"): Simulated(a=0.50),
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.chdir(tmp_path)
    return write_files(DRAWN)


def _params(several: bool = True) -> SweepTableParams:
    return SweepTableParams(students=NAMES, several_mixtures=several)


def _column(table: Table, name: str) -> list[object]:
    return [row[table.columns.index(name)].value for row in table.rows]


def test_sizes_have_the_means_of_their_seeds(files: Files) -> None:
    facts = SweepResult.read(files.fit())
    assert (len(facts.trained), len(facts.sizes)) == (4 * 5 * 3, 4 * 5)
    for size in facts.sizes:
        seeds = [
            t
            for t in facts.trained
            if (t.student, t.mixture, t.samples) == (size.student, size.mixture, size.samples)
        ]
        assert (size.seeds, size.pairs) == (3, seeds[0].pairs)
        assert size.score == pytest.approx(fmean(t.score or 0 for t in seeds), abs=1e-3)
        losses = [t.held_out_loss or 0 for t in seeds]
        assert size.held_out_loss == pytest.approx(fmean(losses))
        assert size.loss_deviation == pytest.approx(stdev(losses))
        assert size.interval is not None and size.interval[0] < size.score < size.interval[1]
    one = next(t for t in facts.trained if t.student == "large")
    own = [
        100 * fmean(EvaluationResult.read(path).values)
        for path in files.evals
        if path.startswith("evals/large.all.samples0.01.seed0/")
    ]
    assert len(own) == 3 and one.score == pytest.approx(fmean(own), abs=1e-3)


def test_students_of_one_mixture_and_mixtures_of_one_student_are_compared(files: Files) -> None:
    facts = SweepResult.read(files.fit())
    found = {(pair.first, pair.second): pair for pair in facts.compared}
    small, large, twin, clean = DRAWN
    assert {frozenset(pair) for pair in found} == {
        frozenset(pair) for pair in ((small, large), (small, twin), (large, twin), (small, clean))
    }
    for pair in facts.compared:
        assert pair.difference is not None and pair.difference >= 0
        assert pair.p_value is not None and pair.p_holm is not None
        assert pair.p_holm >= pair.p_value
    assert found[large, small].p_holm < 0.05 and found[large, twin].p_holm < 0.05
    means = {(s.student, s.mixture): s.score for s in facts.sizes if s.samples == 1}
    assert found[large, small].difference == pytest.approx(means[large] - means[small])


def test_tables_show_the_facts(files: Files) -> None:
    path = files.fit()
    facts = SweepResult.read(path)
    scores = sweep_table(path, _params())
    assert _column(scores, "Student")[:1] == ["Small, all"]
    assert _column(scores, "Score") == [size.score for size in facts.sizes]
    low, high = facts.sizes[0].interval or (0, 0)
    assert _column(scores, "95 % interval")[0] == f"{low:.1f} to {high:.1f}"
    assert [row[1].text() for row in scores.rows[:5]] == ["1 %", "4 %", "10 %", "30 %", "100 %"]
    laws = law_table(path, _params())
    assert _column(laws, "Measure") == ["score", "held-out loss"] * 4
    inside = _column(laws, "Within").count("yes")
    assert laws.summary == (
        "The largest size lies within the interval that the smaller ones predict in"
        f" {inside} of 8 laws."
    )
    compared = compared_table(path, _params())
    bold = [row[2].bold for row in compared.rows]
    assert bold == [(pair.p_holm or 1) < 0.05 for pair in facts.compared]
    assert compared.summary == (
        f"At the largest size (100 %), the first beats the second in {sum(bold)} of 4 comparisons."
    )


def test_without_tasks_the_loss_alone_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_files({("small", "all"): Simulated()}, tasks=False).fit()
    facts = SweepResult.read(path)
    assert ([law.measure for law in facts.laws], facts.compared) == (["held_out_loss"], [])
    a, b, c = facts.laws[0].a, facts.laws[0].b, facts.laws[0].c
    assert (a + b * 25_000**-c) == pytest.approx(1.9 + 9 * 25_000**-0.25, abs=0.02)
    scores = sweep_table(path, _params(several=False))
    assert [cell.text() for cell in scores.rows[0]][:8] == ["Small", "1 %", "2,500", "3", *"––––"]


def test_one_seed_and_two_sizes_show_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = {group: Simulated(seeds=1) for group in list(DRAWN)[:2]}
    path = write_files(one).fit()
    compared = compared_table(path, _params())
    assert compared.summary == "One seed says nothing of chance: no comparison is tested."
    assert _column(compared, "p") == [None]
    laws = law_table(path, _params())
    assert set(_column(laws, "Within")) <= {"yes", "no"}
    few = write_files(one)
    kept = [n for n, point in enumerate(few.settings.points) if point.samples in (0.1, 1.0)]
    points = [few.settings.points[n] for n in kept]
    two = Files(
        [few.manifests[n] for n in kept],
        few.evals,
        few.settings.model_copy(update={"points": points}),
    )
    laws = law_table(two.fit(), _params())
    assert (laws.rows, laws.summary) == (
        [],
        "The sweep has too few sizes to predict one from the others.",
    )


def test_other_examples_are_refused_and_other_conditions_are_marked(files: Files) -> None:
    changed = Path(files.evals[0])
    result = EvaluationResult.read(changed)
    for path in (p for p in files.evals if p.startswith("evals/large")):
        EvaluationResult.read(path).model_copy(update={"precision": "bf16"}).write(path)
    compared = compared_table(files.fit(), _params())
    differences = [row[2].suffix for row in compared.rows]
    assert differences.count("≠") == 2
    assert "precision fp32 against bf16 (Large, all against Small, all" in compared.notes[-1]
    data = replace(result.data, sha256="bb" * 32)
    result.model_copy(update={"data": data}).write(changed)
    with pytest.raises(LaminiError, match=r"seed1/task0.json: other examples than those of small"):
        files.fit()


@pytest.mark.parametrize("measure", ["score", "held_out_loss"])
def test_the_figure_draws_every_training_and_every_law(files: Files, measure: str) -> None:
    path = files.fit()
    params = SweepFigureParams(students=NAMES, several_mixtures=True, measure=measure)
    drawing = draw_sweep(path, params)
    facts = SweepResult.read(path)
    rows = [dict(zip(drawing.columns, row, strict=True)) for row in drawing.rows]
    trained = [row for row in rows if row["kind"] == "training"]
    expected = sorted(getattr(t, measure) for t in facts.trained)
    assert sorted(row["value"] for row in trained) == expected
    assert sum(row["kind"] == "predicted" for row in rows) == 4
    panels = [axis for axis in drawing.figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == ["Small", "Large", "Twin"]
    dots = [line for axis in panels for line in axis.lines if line.get_linestyle() == "None"]
    drawn = np.concatenate([line.get_ydata() for line in dots if len(line.get_xdata()) == 15])
    assert sorted(drawn) == pytest.approx(expected)
    assert [len(axis.collections) for axis in panels] == [4, 2, 2]  # a band, and an error bar
    laws = [row for row in rows if row["kind"] == "law"]
    assert len(laws) == 4 * 60
    assert all(row["low"] <= row["value"] <= row["high"] for row in laws)


def test_a_sweep_has_its_own_tables_and_figures_and_no_other_changes(
    empty_project: None,
) -> None:
    config = read_config([Path("config/demo.yaml")], [])
    sweep = {"students": ["lamini-demo-t5"], "samples": [0.3, 1.0], "seeds": [1, 2]}
    sweeps = {"sizes": sweep, "losses": sweep | {"tasks": []}}
    before, after = (Catalogue(Workflow(c)) for c in (config, config | {"sweeps": sweeps}))
    assert {*after.tables} - {*before.tables} == {
        "sweep_sizes",
        "law_sizes",
        "sweep_losses",
        "law_losses",
    }
    assert {*after.figures} - {*before.figures} == {"sweep_sizes", "loss_sizes", "loss_losses"}
    with_seeds = {"averages", "improvement", "clean_scores"}
    for name, item in before.tables.items():
        same = {**after.tables[name].inputs, "made": None}
        assert (same == {**item.inputs, "made": None}) == (name not in with_seeds)
        assert (after.tables[name].params == item.params) == (name not in with_seeds)
    student = "lamini-demo-t5"
    swept = [[f"{student}.samples{share}.seed{seed}" for seed in (1, 2)] for share in ("1", "0.3")]
    found = after.tables["improvement"]
    (pair,) = (p for p in found.params["pairs"] if p["student"]["key"] == student)
    assert [[key for key, _ in size] for size in pair["seeds"]] == [[student, *swept[0]], swept[1]]
    assert {baseline for size in pair["seeds"] for _, baseline in size} == {"demo-t5"}
    assert after.tables["averages"].params["seeds"] == {student: pair["seeds"]}
    for name in with_seeds:
        more = {*after.tables[name].inputs["evals"]} - {*before.tables[name].inputs["evals"]}
        assert {path.split("/")[2] for path in more} == {key for size in swept for key in size}
    others = [p for p in found.params["pairs"] if p["student"]["key"] != student]
    assert others and not any("seeds" in other for other in others)
    item = after.tables["sweep_sizes"]
    assert item.inputs == {"fitted": "results/sweeps/sizes.json"}
    assert item.params["kind"] == "sweep"
    for name in ("sweep_sizes", "law_losses", "compared_x"):
        assert table_entry(name).name == name
    assert figure_entry("loss_sizes").files("png") == ["results/figures/figure_loss_sizes.png"]
    assert {table_entry(name) for name in TABLES} == {*TABLES.values()}
    assert {figure_entry(name) for name in FIGURES} == {*FIGURES.values()}
    with pytest.raises(LaminiError, match="table 'other': not in"):
        table_entry("other")
    shown = write._sections({"sweep_x": "scores", "law_x": "laws"}, {"loss_x": "losses"})
    (of_sweeps,) = [section for section in shown if section["tables"]]
    assert (of_sweeps["heading"], of_sweeps["tables"], of_sweeps["figures"]) == (
        "Sweeps",
        ["scores", "laws"],
        ["losses"],
    )
    places = [section.identifier for section in all_sections(after.tables)]
    assert places.index("sweeps") == places.index(EVALUATION.identifier) + 1
    assert all_sections(before.tables) == [*SECTIONS]


def test_the_figures_data_can_be_read(files: Files, tmp_path: Path) -> None:
    from lamini.figures.style import save_drawing

    params = SweepFigureParams(students=NAMES, several_mixtures=True, measure="score")
    outputs = {form: tmp_path / f"f.{form}" for form in ("pdf", "png", "csv")}
    save_drawing(draw_sweep(files.fit(), params), outputs, reproduction=True)
    rows = list(csv.DictReader((tmp_path / "f.csv").open()))
    assert {row["kind"] for row in rows} == {"training", "law", "predicted"}
    assert len([row for row in rows if row["kind"] == "training"]) == 4 * len(SIZES) * 3
