"""Writing the HTML report from tables, figures and summaries.

Every number on the page comes from one of the input files. Images, styles, scripts and the chart
library are embedded, so the page needs no network.
"""

import base64
import json
import re
from importlib import resources
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import jinja2
from markupsafe import Markup, escape

from lamini.catalogue import FIGURES, SECTIONS, TABLES
from lamini.catalogue.paper import PAPER_TEACHER
from lamini.catalogue.params import ReportParams
from lamini.files import atomic_writer, listed, read_json
from lamini.report import overview, stages
from lamini.tables.published import read_csv
from lamini.tables.table import summary_of

Facts = dict[str, Any]
LIBRARY = "vendor/echarts.common.min.js"
"""Apache ECharts 6.1.0, build with lines, dots and bars, unchanged from npm package `echarts`."""
SHOWN_ROWS = 120
"""Maximum number of rows of a figure's data table, which is for readers who cannot see it."""


def write_report(*, inputs: dict[str, Any], settings: ReportParams, page: str | Path) -> None:
    """Write the HTML page.

    Args:
        inputs: `tables` (JSON), `figures` (PNG), `data` (CSV of the figures), `projection`
            (Parquet), `lineage` (JSON), `config` (YAML), `manifest` (JSON of the dataset),
            `summaries` (JSON of the studies), `topics` (JSON of the topic funnel, or none).
        settings: params of the rule.
        page: the HTML file.
    """
    tables = {table["name"]: table for table in map(read_json, listed(inputs["tables"]))}
    lineage = read_json(inputs["lineage"])
    for path in listed(inputs["tables"]):
        name = _name(path)
        tables[name] |= {"anchor": f"table-{name}", "making": stages.making(path, lineage)}
        cells = [cell for row in tables[name]["rows"] for cell in row]
        tables[name]["intervals"] = any(cell["interval_text"] for cell in cells)
        tables[name]["choices"] = _choices(tables[name])
        tables[name]["builder"] = TABLES[name].builder_name
    figures = _figures(inputs, settings, lineage)
    text = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            params=settings,
            paper_teacher=PAPER_TEACHER,
            sections=_sections(tables, figures),
            agreement=overview.agreement(tables["reproduction"]),
            acceptance=summary_of(tables.get("acceptance")),
            improvements=summary_of(tables.get("reproduced_improvement")),
            costs=overview.costs(tables["cost"]),
            asked=overview.asked(tables["generation"]) if "generation" in tables else None,
            manifest=read_json(inputs["manifest"]),
            topics=[read_json(path) for path in listed(inputs["topics"])],
            summaries={
                study: overview.summary_line(read_json(path))
                for study, path in zip(settings.studies, listed(inputs["summaries"]), strict=True)
            },
            marked=sum(bool(product["marks"]) for product in lineage["products"].values()),
            lineage=lineage,
            stages=stages.stages(lineage),
            marks=stages.marks(lineage),
            config=Path(inputs["config"]).read_text(encoding="utf-8"),
            charts=Markup(_script_json({n: f["chart"] for n, f in figures.items() if f["chart"]})),
        )
    )
    with atomic_writer(page) as handle:
        handle.write(text)


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
        for section in SECTIONS
    ]


def _figures(inputs: dict[str, Any], params: ReportParams, lineage: Facts) -> dict[str, Facts]:
    """Figures by name: caption, embedded image, chart, data and provenance."""
    figures = {}
    for path, data in zip(listed(inputs["figures"]), listed(inputs["data"]), strict=True):
        entry = FIGURES[_name(path)]
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


def _script_json(value: Any) -> str:
    """JSON for a script element; escapes `<`, so that no text can close the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _code(text: str) -> Markup:
    """HTML of a note; text between backticks becomes a code element."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _breakable(heading: str) -> Markup:
    """Heading with optional line breaks before capitals inside a word: Open|Book|QA."""
    return Markup("<wbr>").join(re.split(r"(?<=[a-z])(?=[A-Z])", heading))


def _name(path: str) -> str:
    return Path(path).stem.partition("_")[2]


def _text(name: str) -> Markup:
    return Markup(resources.files("lamini.report").joinpath(name).read_text(encoding="utf-8"))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_text),
    )
    environment.globals |= {"include_text": _text, "library": LIBRARY}
    environment.filters |= {
        "settings": stages.shown_settings,
        "breakable": _breakable,
        "code": _code,
    }
    return environment
