"""Writing the HTML report from tables, figures and summaries.

Every number on the page comes from one of the input files. Images, styles, scripts and the chart
library are embedded, so the page needs no network.
"""

import base64
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from lamini.catalogue import all_sections, figure_entry, table_entry
from lamini.catalogue.entries import Entry
from lamini.catalogue.paper import PAPER_TEACHER
from lamini.catalogue.params import ReportParams
from lamini.dataset.manifest import DatasetManifest
from lamini.files import atomic_writer, listed, read_json
from lamini.human_evaluation.summary import RatingSummary
from lamini.report import overview, stages
from lamini.report.answers import write_answers
from lamini.report.cells import take_marks
from lamini.report.environment import render, script_json
from lamini.report.lineage_file import Lineage
from lamini.report.tasks import from_page, task_anchor, task_parts
from lamini.tables.published import read_csv
from lamini.tables.table import summary_of

Facts = dict[str, Any]
SHOWN_ROWS = 120
"""Maximum number of rows of a figure's data table, which is for readers who cannot see it."""


def write_report(
    *, inputs: dict[str, Any], settings: ReportParams, page: str | Path, answers_page: str | Path
) -> None:
    """Write the HTML pages.

    Args:
        inputs: `tables` (JSON), `figures` (PNG), `data` (CSV of the figures), `projection`
            (Parquet), `lineage` (JSON), `config` (YAML), `manifest` (JSON of the dataset),
            `summaries` (JSON of the studies), `topics` (JSON of the topic funnel, or none),
            `answers` (JSONL of the rated models) and `ratings` (CSV), or none.
        settings: params of the rule.
        page: the HTML file of the report.
        answers_page: the HTML file with the answers side by side, which the report links to.
    """
    lineage = Lineage.read(inputs["lineage"])
    tables = {
        _name(path): _table(path, read_json(path), lineage) for path in listed(inputs["tables"])
    }
    figures = _figures(inputs, settings, lineage)
    by_task = overview.task_rows(tables["by_task"])
    text = render(
        "page.html.jinja",
        params=settings,
        paper_teacher=PAPER_TEACHER,
        sections=_sections(tables, figures),
        result=overview.result(tables["averages"]),
        differing=overview.differing_tasks(by_task),
        anchors={row.task: task_anchor(row.task, settings) for row in by_task},
        compared=any(row.compared for row in by_task),
        tasks=task_parts(tables["by_task"], tables["task_scores"], settings),
        cleaned=tables["clean_scores"]["anchor"] if "clean_scores" in tables else None,
        agreement=overview.agreement(tables["reproduction"]),
        acceptance=summary_of(tables.get("acceptance")),
        improvements=summary_of(tables.get("reproduced_improvement")),
        costs=overview.costs(tables["cost"]),
        asked=overview.asked(tables["generation"]) if "generation" in tables else None,
        manifest=DatasetManifest.read(inputs["manifest"]),
        topics=[read_json(path) for path in listed(inputs["topics"])],
        summaries={
            study: overview.summary_line(RatingSummary.read(path))
            for study, path in zip(settings.studies, listed(inputs["summaries"]), strict=True)
        },
        answered=write_answers(inputs, settings, answers_page),
        answers_page=Path(answers_page).name,
        lineage=lineage,
        stages=stages.stages(lineage),
        settings_names=stages.settings_names(lineage),
        marks=stages.marks(lineage),
        config=Path(inputs["config"]).read_text(encoding="utf-8"),
        charts=script_json({n: f["chart"] for n, f in figures.items() if f["chart"]}),
    )
    with atomic_writer(page) as handle:
        handle.write(text)


def _table(path: str, table: Facts, lineage: Lineage) -> Facts:
    """A table (JSON) with what the page shows of it.

    The mark of the demo stands at the table and at its columns, not at each number.
    """
    name = _name(path)
    entry, marked = table_entry(name), take_marks(table)
    return table | {
        "anchor": f"table-{name}",
        "making": stages.making(path, lineage),
        "intervals": any(cell["interval_text"] for row in table["rows"] for cell in row),
        "marked": marked,
        "choices": _choices(table),
        "builder": entry.builder_name,
        "files": {form: from_page(file) for form, file in _files(entry, "csv", "tex", "md")},
    }


def _files(entry: Entry, *forms: str) -> list[tuple[str, str]]:
    return list(zip(forms, entry.files(*forms), strict=True))


def _sections(tables: Facts, figures: Facts) -> list[Facts]:
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


def _figures(inputs: dict[str, Any], params: ReportParams, lineage: Lineage) -> dict[str, Facts]:
    """Figures by name: caption, embedded image, chart, data and provenance."""
    figures = {}
    for path, data in zip(listed(inputs["figures"]), listed(inputs["data"]), strict=True):
        entry = figure_entry(_name(path))
        chart = resolve_name(entry.chart) if entry.chart else None
        rows = read_csv(data)
        figures[entry.name] = {
            "name": entry.name,
            "anchor": f"figure-{entry.name}",
            "caption": entry.heading(entry.title),
            "image": base64.b64encode(Path(path).read_bytes()).decode("ascii"),
            "chart": chart(inputs | {"data": data}, params) if chart else None,
            "rows": rows if len(rows) <= SHOWN_ROWS else [],
            "count": len(rows),
            "data": data,
            "files": {f: from_page(file) for f, file in _files(entry, "csv", "png", "pdf")},
            "making": stages.making(path, lineage),
        }
    return figures


def _choices(table: Facts) -> list[Facts]:
    """Filters for the rows of a long table: its text columns with few distinct values."""
    found: list[Facts] = []
    if len(table["rows"]) < 12:
        return found
    for place, column in enumerate(table["columns"]):
        values = list(dict.fromkeys(row[place]["text"] for row in table["rows"]))
        repeated = len(values) <= len(table["rows"]) / 2
        if not table["numeric"][place] and repeated and 1 < len(values) <= 40:
            found.append({"place": place, "column": column, "values": values})
    return found


def _name(path: str) -> str:
    return Path(path).stem.partition("_")[2]
