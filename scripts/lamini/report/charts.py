"""Interactive figures of the report, from the same files as the printed figures.

A chart is plain data: panels with series of points; `charts.js` converts it to ECharts options.
Each function here takes the CSV of its figure (or `projection`) and the report's params.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lamini.catalogue.params.report import ReportParams
from lamini.symbols import pieces
from lamini.tables.footnotes import NOT_COMPARABLE
from lamini.tables.published import number, read_csv

Chart = dict[str, Any]
Series = dict[str, Any]
SHOWN_CHARACTERS = 180
SHOWN_STEPS = 250
"""Maximum number of points of a learning curve; a longer curve is thinned evenly."""


class _Level(NamedTuple):
    """Average score of a reference model, drawn as a line."""

    name: str
    score: float
    published: bool


def projection_chart(projection: Path, params: ReportParams) -> Chart:
    """Figure 3: one dot per instruction, labelled with its text.

    Args:
        projection: Parquet with panel, instruction_source, instruction, x, y.
        params: panels, symbols of the sources, and maximum number of dots per source.
    """
    points = pl.read_parquet(projection)
    panels, thinned = [], False
    for order, sources in enumerate(params.panels):
        series = []
        for source in sources:
            here = points.filter(panel=order, instruction_source=source)
            shown = _evenly(here.rows(named=True), params.shown_points)
            thinned |= len(shown) < here.height
            symbol = params.symbols[source].replace("D", "X", 1)
            series.append(
                {
                    **_named(f"{symbol} {source.replace('_', ' ')}"),
                    "points": [[round(r["x"], 2), round(r["y"], 2)] for r in shown],
                    "labels": [_shorten(r["instruction"]) for r in shown],
                }
            )
        panels.append({"title": f"({'abcdefgh'[order]})", "series": series})
    note = f"At most {params.shown_points:,} dots of each set are shown here. " if thinned else ""
    return {
        "kind": "dots",
        "panels": panels,
        "x": {"name": ""},
        "y": {"name": ""},
        "hint": f"{note}Point at a dot to read its instruction.",
    }


def score_chart(data: Path, params: ReportParams) -> Chart:
    """Figure 5: one named dot per model, small for initializations; reference models as lines.

    The lines of a family have one name. A reference model has one label with its scores.

    Args:
        data: CSV with model, family, architecture, parameters, score, average, drawn, unlike.
        params: not used.
    """
    series: dict[tuple[str, str, str], Series] = {}
    levels: dict[str, list[_Level]] = {}
    unlike = False
    for row in read_csv(data):
        score = number(row["average"])
        if score is None or not row["drawn"]:
            continue
        mark = f" {NOT_COMPARABLE} {row['unlike']}" if row["unlike"] else ""
        unlike |= bool(mark)
        if row["drawn"] == "line":
            name = f"{row['score']} {score:.1f}{mark}"
            level = _Level(name, score, published=row["score"] == "published")
            levels.setdefault(row["model"], []).append(level)
            continue
        initial = row["drawn"] == "base"
        one = series.setdefault(
            (row["family"], row["drawn"], row["score"]),
            {
                **_named(row["family"]),
                "group": row["family"],
                "kind": f"{'base models, ' if initial else ''}{row['score']}",
                "hollow": row["score"] == "published",
                "dashed": row["architecture"] == "decoder-only",
                "small": initial,
                "points": [],
                "labels": [],
            },
        )
        one["points"].append([float(row["parameters"]), score])
        one["labels"].append(row["model"] + mark)
    for one in series.values():
        order = sorted(range(len(one["points"])), key=lambda n: one["points"][n])
        for key in ("points", "labels"):
            one[key] = [one[key][n] for n in order]
    return {
        "kind": "lines",
        "panels": [{"title": "", "series": list(series.values()), "levels": _labelled(levels)}],
        "x": {"name": "parameters", "log": True, "sizes": True},
        "y": {"name": "average score"},
        "hint": "Marks of this run are filled, published ones hollow, base models' small; lines of"
        " decoder-only models are dashed. Point at a mark for its model; press a name to hide its"
        " lines."
        + (f" {NOT_COMPARABLE} says what was not measured as for the others." if unlike else ""),
    }


def _labelled(levels: dict[str, list[_Level]]) -> list[Series]:
    """Lines of the reference models; the highest of each model has the label of all."""
    lines = []
    for index, (model, model_levels) in enumerate(levels.items()):
        model_levels.sort(key=lambda level: level.published)
        label = f"{model}: {', '.join(level.name for level in model_levels)}"
        top = max(model_levels, key=lambda level: level.score)
        lines += [
            {
                "y": one.score,
                "published": one.published,
                "label": label if one is top else "",
                "place": index,
            }
            for one in model_levels
        ]
    return lines


def learning_chart(data: Path, params: ReportParams) -> Chart:
    """Learning curves of all students in one panel; both lines of a student have one name.

    Args:
        data: CSV with model, step, loss, held_out_loss.
        params: keys and names of the students.
    """
    names = dict(zip(params.student_keys, params.students, strict=True))
    curves: dict[str, tuple[list[list[float]], list[list[float]]]] = defaultdict(lambda: ([], []))
    for row in read_csv(data):
        training, held_out = curves[row["model"]]
        for points, column in ((training, "loss"), (held_out, "held_out_loss")):
            loss = number(row[column])
            if loss is not None:
                points.append([int(row["step"]), round(loss, 4)])
    series = []
    for key, (training, held_out) in curves.items():
        name = names.get(key, key)
        series.append(_curve(name, _evenly(training, SHOWN_STEPS)) | {"kind": "training"})
        if held_out:
            series.append(_curve(name, held_out) | {"kind": "held out", "dashed": True})
    return {
        "kind": "lines",
        "panels": [{"title": "", "series": series}],
        "x": {"name": "step"},
        "y": {"name": "loss, nats per token"},
        "hint": "Training losses are solid, held-out losses dashed. Losses compare within a"
        " tokenizer only. Press a name to hide its lines.",
    }


def length_chart(data: Path, params: ReportParams) -> Chart:
    """Lengths of instructions and responses, one panel each.

    Args:
        data: CSV with text, instruction_source, tokens_from, samples, percent.
        params: symbols of the sources.
    """
    panels: dict[str, dict[str, Series]] = {}
    for row in read_csv(data):
        source = row["instruction_source"]
        name = params.symbols.get(source, source)
        one = panels.setdefault(row["text"], {}).setdefault(source, _curve(name, []))
        one["points"].append([int(row["tokens_from"]), round(float(row["percent"]), 2)])
    return {
        "kind": "lines",
        "panels": [
            {"title": f"{text}s", "series": list(series.values())}
            for text, series in panels.items()
        ],
        "x": {"name": "tokens, at least", "categories": True},
        "y": {"name": "texts, %"},
        "hint": "Press a name in the legend to hide a line.",
    }


def _curve(name: str, points: list[list[float]]) -> Series:
    return {**_named(name), "group": name, "points": points, "labels": []}


def _named(name: str) -> Series:
    """The name of a series, and how it is shown: pieces with their subscripts."""
    return {"name": name, "shown": pieces(name)}


def _evenly(rows: Sequence[Any], wanted: int) -> list[Any]:
    """At most `wanted` rows, evenly spaced, including the first and the last."""
    if len(rows) <= wanted:
        return list(rows)
    return [rows[round(n * (len(rows) - 1) / max(wanted - 1, 1))] for n in range(wanted)]


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"
