"""Writing the HTML report from tables, figures and summaries.

Every number on the page comes from one of the input files. Images, styles, scripts and the chart
library are embedded, so the page needs no network.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import TypedDict

from lamini.catalogue import all_sections, figure_entry, table_entry
from lamini.catalogue.builders import call_builder
from lamini.catalogue.entries import Entry
from lamini.catalogue.paper import PAPER_TEACHER
from lamini.catalogue.params.report import ReportParams
from lamini.dataset.manifest import DatasetManifest
from lamini.files import Files, atomic_writer, read_json
from lamini.human_evaluation.summary import RatingSummary
from lamini.report import overview, stages
from lamini.report.answers import write_answers
from lamini.report.cells import ColumnFilter, ShownTable, take_marks
from lamini.report.charts import Chart
from lamini.report.environment import render, script_json
from lamini.report.lineage_file import Lineage
from lamini.report.tasks import from_page, task_anchor, task_parts
from lamini.tables.published import read_csv
from lamini.tables.table_file import TableFile, summary_of

SHOWN_ROWS = 120
"""Maximum number of rows of a figure's data table, which is for readers who cannot see it."""


class ShownFigure(TypedDict):
    """A figure with what the page shows of it."""

    name: str
    anchor: str
    caption: str
    image: str
    """PNG in base64."""
    chart: Chart | None
    rows: list[dict[str, str]]
    count: int
    """Number of rows of its data."""
    data: str
    files: dict[str, str]
    """Its files by format, relative to the page."""
    making: stages.Making


class ShownSection(TypedDict):
    """A section of the page, with the tables and figures of the run."""

    id: str
    heading: str
    lead: str
    tables: list[ShownTable]
    figures: list[ShownFigure]


def write_report(
    *,
    tables: list[Path],
    figures: list[Path],
    data: list[Path],
    projection: list[Path],
    lineage: Path,
    config: Path,
    manifest: Path,
    summaries: list[Path],
    topics: list[Path],
    answers: list[Path],
    ratings: list[Path],
    settings: ReportParams,
    page: str | Path,
    answers_page: str | Path,
) -> None:
    """Write the HTML pages.

    Args:
        tables: JSON files of the tables.
        figures: PNG files of the figures.
        data: CSV files of the figures, in the same order.
        projection: Parquet of Figure 3, or none.
        lineage: JSON of the lineage.
        config: YAML of the resolved configuration.
        manifest: JSON of the dataset.
        summaries: JSON of each study, in the order of `settings.studies`.
        topics: JSON of the topic funnel, or none.
        answers: JSONL of each rated model, in the order of `settings.rated`.
        ratings: CSV of the study of models, or none.
        settings: the rule's params.
        page: the HTML file of the report.
        answers_page: the HTML file with the answers side by side, which the report links to.
    """
    making = Lineage.read(lineage)
    shown = {_name(path): _table(path, making) for path in tables}
    drawn = [
        _figure(*files, projection, settings, making) for files in zip(figures, data, strict=True)
    ]
    answered = write_answers(answers, next(iter(ratings), None), settings, answers_page)
    text = render(
        "page.html.jinja",
        params=settings,
        paper_teacher=PAPER_TEACHER,
        sections=_sections(shown, {figure["name"]: figure for figure in drawn}),
        **_first_screen(shown, settings),
        tasks=task_parts(shown["by_task"], shown["task_scores"], settings),
        cleaned=shown["clean_scores"]["anchor"] if "clean_scores" in shown else None,
        manifest=DatasetManifest.read(manifest),
        topics=[read_json(path) for path in topics],
        summaries={
            study: overview.summary_line(RatingSummary.read(path))
            for study, path in zip(settings.studies, summaries, strict=True)
        },
        answered=answered,
        answers_page=Path(answers_page).name,
        lineage=making,
        stages=stages.stages(making),
        settings_names=stages.settings_names(making),
        marks=stages.marks(making),
        config=config.read_text(encoding="utf-8"),
        charts=script_json({f["name"]: f["chart"] for f in drawn if f["chart"]}),
    )
    with atomic_writer(page) as handle:
        handle.write(text)


def _first_screen(tables: Mapping[str, ShownTable], params: ReportParams) -> dict[str, object]:
    """Values of the first screen: the result, its agreement with the paper, and the costs."""
    by_task = overview.task_rows(tables["by_task"])
    return {
        "result": overview.result(tables["averages"]),
        "differing": overview.differing_tasks(by_task),
        "anchors": {row.task: task_anchor(row.task, params) for row in by_task},
        "compared": any(row.compared for row in by_task),
        "agreement": overview.agreement(tables["reproduction"]),
        "acceptance": summary_of(tables.get("acceptance")),
        "improvements": summary_of(tables.get("reproduced_improvement")),
        "costs": overview.costs(tables["cost"]),
        "asked": overview.asked(tables["generation"]) if "generation" in tables else None,
    }


def _table(path: Path, lineage: Lineage) -> ShownTable:
    """A table (JSON) with what the page shows of it.

    The demo is marked once at the table and at its columns, not at each number.
    """
    table: TableFile = read_json(path)
    name = _name(path)
    entry, marked = table_entry(name), take_marks(table)
    return {
        **table,
        "anchor": f"table-{name}",
        "making": stages.making(str(path), lineage),
        "intervals": any(cell["interval_text"] for row in table["rows"] for cell in row),
        "marked": marked,
        "choices": _choices(table),
        "builder": entry.builder_name,
        "files": {form: from_page(file) for form, file in _files(entry, "csv", "tex", "md")},
    }


def _files(entry: Entry, *forms: str) -> list[tuple[str, str]]:
    return list(zip(forms, entry.files(*forms), strict=True))


def _sections(
    tables: Mapping[str, ShownTable], figures: Mapping[str, ShownFigure]
) -> list[ShownSection]:
    """Sections of the page, with the tables and figures of this run."""
    return [
        {
            "id": section.identifier,
            "heading": section.heading,
            "lead": section.lead,
            "tables": [tables[entry.name] for entry in section.tables if entry.name in tables],
            "figures": [figures[entry.name] for entry in section.figures if entry.name in figures],
        }
        for section in all_sections(tables)
    ]


def _figure(
    image: Path, data: Path, projection: list[Path], params: ReportParams, lineage: Lineage
) -> ShownFigure:
    entry = figure_entry(_name(image))
    chart = None
    if entry.chart:
        files: dict[str, Files] = {"data": data}
        if projection:
            files["projection"] = projection[0]
        chart = call_builder(resolve_name(entry.chart), files, params)
    rows = read_csv(data)
    return {
        "name": entry.name,
        "anchor": f"figure-{entry.name}",
        "caption": entry.heading(entry.title),
        "image": base64.b64encode(image.read_bytes()).decode("ascii"),
        "chart": chart,
        "rows": rows if len(rows) <= SHOWN_ROWS else [],
        "count": len(rows),
        "data": str(data),
        "files": {form: from_page(file) for form, file in _files(entry, "csv", "png", "pdf")},
        "making": stages.making(str(image), lineage),
    }


def _choices(table: TableFile) -> list[ColumnFilter]:
    """Filters for the rows of a long table: its text columns with few distinct values."""
    filters: list[ColumnFilter] = []
    if len(table["rows"]) < 12:
        return filters
    for index, column in enumerate(table["columns"]):
        values = list(dict.fromkeys(row[index]["text"] for row in table["rows"]))
        repeated = len(values) <= len(table["rows"]) / 2
        if not table["numeric"][index] and repeated and 1 < len(values) <= 40:
            filters.append({"index": index, "column": column, "values": values})
    return filters


def _name(path: Path) -> str:
    return path.stem.partition("_")[2]
