"""A table or figure is declared once; an incomplete declaration fails at import."""

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path

import pytest
from pydantic import ValidationError

import lamini
import lamini.catalogue
from lamini.catalogue import FIGURES, SECTIONS, TABLES, Catalogue, CatalogueItem
from lamini.catalogue.entries import Entry, Section, TableEntry, by_name
from lamini.catalogue.paper import PUBLISHED_FAMILIES
from lamini.catalogue.params.common import ItemParams, NoParams
from lamini.command import read_config
from lamini.errors import LaminiError
from lamini.report import write
from lamini.workflow import Workflow

PACKAGE = Path(lamini.__file__).parent
ROOT = Path(__file__).parents[2]
FIGURE = FIGURES["learning_curves"]
Edit = Callable[[str], str]


@pytest.fixture(autouse=True)
def _in_the_projects_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def _entries() -> list[Entry]:
    return [*TABLES.values(), *FIGURES.values()]


def _catalogue(*overlays: str) -> Catalogue:
    return Catalogue(Workflow(read_config([Path(overlay) for overlay in overlays], [])))


def _read_edited(folder: Path, module: str, edit: Edit) -> str:
    """Import the catalogue with one edited module; returns Python's error output."""
    package = folder / "lamini"
    package.mkdir()
    for item in PACKAGE.iterdir():
        if item.name != "catalogue":
            (package / item.name).symlink_to(item)
    shutil.copytree(PACKAGE / "catalogue", package / "catalogue")
    path = package / "catalogue" / f"{module}.py"
    text = path.read_text()
    path.write_text(edit(text))
    assert path.read_text() != text
    done = subprocess.run(
        [sys.executable, "-c", "import lamini.catalogue"],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done
    return done.stderr.splitlines()[-1]


def _without(piece: str) -> Edit:
    """Remove one line from the declaration of the learning curves."""
    line = re.compile(rf'("learning_curves",.*?)\n +{piece}=[^\n]*', re.DOTALL)
    return lambda text: line.sub(r"\1", text)


@pytest.mark.parametrize("piece", ["title", "builder", "inputs"])
def test_a_declaration_without_a_piece_is_refused(tmp_path: Path, piece: str) -> None:
    said = _read_edited(tmp_path, "models", _without(piece))
    assert "missing 1 required positional argument" in said and f"'{piece}'" in said


def test_a_builder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    wrong = "lamini.figures.learning_curves:draw_curves"
    said = _read_edited(tmp_path, "models", lambda text: text.replace(FIGURE.builder, wrong))
    assert said == (
        f"lamini.errors.LaminiError: figure 'learning_curves': there is no function {wrong}"
    )


def test_the_snakefile_reads_the_catalogue_before_any_rule() -> None:
    lines = (ROOT / "Snakefile").read_text().splitlines()
    rule = next(n for n, line in enumerate(lines) if line.startswith("include:"))
    assert lines.index("catalogue = Catalogue(flow)") < rule


@pytest.mark.parametrize("piece", ["name", "title", "builder"])
def test_an_empty_piece_is_refused(piece: str) -> None:
    with pytest.raises(LaminiError, match=r"^figure '.*': (no name or title|there is no function)"):
        replace(FIGURE, **{piece: ""})


@pytest.mark.parametrize("reference", ["lamini.nowhere:draw", "nowhere:draw", "draw", ":draw"])
def test_a_builder_in_no_module_is_refused(reference: str) -> None:
    for piece in ("builder", "chart"):
        with pytest.raises(LaminiError, match=f"there is no function {reference}$"):
            replace(FIGURE, **{piece: reference})


def test_a_name_is_declared_once() -> None:
    with pytest.raises(LaminiError, match="table '04': declared twice"):
        by_name([TABLES["04"], TABLES["05"], TABLES["04"]])
    assert [*by_name([TABLES["05"], TABLES["04"]])] == ["04", "05"]


def test_every_section_is_part_of_the_report() -> None:
    modules = [
        importlib.import_module(f"lamini.catalogue.{module.name}")
        for module in pkgutil.iter_modules(lamini.catalogue.__path__)
    ]
    declared = [v for m in modules for v in vars(m).values() if isinstance(v, Section)]
    assert sorted(s.identifier for s in declared) == sorted(s.identifier for s in SECTIONS)


@pytest.mark.parametrize("entry", _entries(), ids=lambda e: f"{e.kind}_{e.name}")
def test_every_builder_takes_params(entry: Entry) -> None:
    for reference in filter(None, (entry.builder, entry.chart)):
        assert "params" in signature(pkgutil.resolve_name(reference)).parameters


def test_a_builder_has_a_parameter_for_each_input() -> None:
    kinds = {Path: str, Path | None: str, list[Path]: list, Sequence[Path]: list}
    for item in _items():
        parameters = signature(pkgutil.resolve_name(item.entry.builder)).parameters
        wanted = {n for n, p in parameters.items() if p.default is p.empty} - {"params"}
        inputs = {name: files for name, files in item.inputs.items() if name != "made"}
        assert wanted <= inputs.keys() <= parameters.keys(), item.entry.name
        for name, files in inputs.items():
            assert isinstance(files, kinds[parameters[name].annotation]), (item.entry.name, name)


def _items() -> list[CatalogueItem]:
    """Tables and figures of four configurations, which together have nearly all entries."""
    settings = read_config([Path("config/demo.yaml")], ["exports={models: [lamini-demo-t5]}"])
    published = _catalogue("config/overlays/published.yaml")
    exporting = Catalogue(Workflow(settings))
    runs = [_catalogue(), _catalogue("config/demo.yaml"), published, exporting]
    return [item for run in runs for item in (*run.tables.values(), *run.figures.values())]


def test_an_entry_hands_over_the_class_that_its_builder_takes() -> None:
    items = _items()
    for item in items:
        builder, own = pkgutil.resolve_name(item.entry.builder), item.entry.params(item.catalogue)
        assert signature(builder).parameters["params"].annotation is type(own), item.entry
        assert ItemParams.model_validate(item.params).of_builder(builder) == own
    assert {*_entries()} - {item.entry for item in items} == {TABLES["rating_agreement"]}
    assert isinstance(TABLES["rating_agreement"].params(_catalogue()), NoParams)


def test_a_param_that_the_builder_does_not_know_is_refused() -> None:
    item = _catalogue().tables["07"]
    settings = ItemParams.model_validate(item.params | {"other": 1})
    with pytest.raises(ValidationError, match="other"):
        settings.of_builder(pkgutil.resolve_name(item.entry.builder))


def test_each_title_is_listed_once() -> None:
    code = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    families = [f"the {family} models" for family in PUBLISHED_FAMILIES]
    titles = [t for t in (e.title for e in _entries()) if not any(f in t for f in families)]
    assert len(titles) == len(TABLES) + len(FIGURES) - len(PUBLISHED_FAMILIES)
    assert {title: code.count(f'"{title}"') for title in titles} == dict.fromkeys(titles, 1)


def test_numbers_and_titles_with_values_of_the_data() -> None:
    assert (TABLES["04"].number, FIGURES["5"].number) == ("Table 4", "Figure 5")
    assert TABLES["near_duplicates"].number == "Near duplicates"
    assert TABLES["05"].label == "Answers to “…”, where the students are furthest ahead."
    assert TABLES["05"].heading("T") == "Table 5. T"
    assert TABLES["funnel"].heading("T") == "T"


def test_params_name_the_builder_first() -> None:
    tables = _catalogue().tables
    assert [*tables["01"].params] == [
        "kind",
        "mixture",
        "symbols",
        "tokenizer",
        "reproduction",
        "published_files",
        "version",
    ]
    kinds = {name: table.params["kind"] for name, table in tables.items()}
    assert (kinds["01"], kinds["07"], kinds["13"]) == ("statistics", "levels", "scores")
    assert kinds["funnel"] == "plain"


def test_the_costs_wait_for_all_others() -> None:
    catalogue = _catalogue()
    every = [*catalogue.table_files("csv"), *catalogue.figure_files("csv")]
    last = {f"results/tables/table_{n}.csv" for n in ("cost", "cost_by_model", "cost_by_source")}
    for name in ("cost", "cost_by_model", "cost_by_source"):
        made = catalogue.tables[name].inputs["made"]
        assert made == [path for path in every if path not in last], "none waits for another"


def test_a_run_has_the_tables_of_its_parts() -> None:
    demo, herd = (_catalogue(f"config/{name}.yaml") for name in ("demo", "examples/herd"))
    assert {*TABLES} - {*demo.tables} == {
        "acceptance",
        "exports",
        "mattr_readings",
        "rating_agreement",
        "reproduced_improvement",
    }
    assert {*demo.tables} - {*herd.tables} == {
        "judged_quality",
        "rating_comparisons",
        "rating_shares",
        "topic_coverage",
    }
    assert {*demo.figures} == {*FIGURES}


def test_a_table_and_a_figure_of_one_name_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    table = TableEntry("verbs", "T", TABLES["funnel"].builder, inputs=lambda run: {})
    assert table.files("csv") == ["results/tables/table_verbs.csv"]
    assert FIGURES["verbs"].files("csv") == ["results/figures/figure_verbs.csv"]
    sections = [replace(SECTIONS[0], tables=(table,)), *SECTIONS[1:]]
    monkeypatch.setattr(write, "all_sections", lambda tables: sections)
    shown = write._sections({"verbs": {"is": "table"}}, {"verbs": {"is": "figure"}})
    assert [(s["tables"], s["figures"]) for s in shown if s["tables"] or s["figures"]] == [
        ([{"is": "table"}], [{"is": "figure"}])
    ]
