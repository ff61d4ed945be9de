"""Figure 5: average score against model size, for encoder-decoder and decoder-only models."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from lamini.catalogue.params import FigureOfScoresParams
from lamini.evaluation.facts import (
    Facts,
    differing_names,
    measured_facts,
    published_facts,
    usual_facts,
)
from lamini.figures.style import COLOURS, MARKERS, PAGE_WIDTH, Drawing, subplots
from lamini.tables.evaluation_tables import Scores, average, read_scores
from lamini.tables.footnotes import NOT_COMPARABLE
from lamini.tables.published import published_models, published_scores

KINDS = {"encoder-decoder": 0, "decoder-only": 1}
ENCODER_DECODER = ("T5", "Flan-T5")
PUBLISHED_LINES = ("LLaMA-7B", "Alpaca-7B")


def draw_scores(inputs: dict[str, Any], params: FigureOfScoresParams) -> Drawing:
    """Plot our scores (filled) and the published ones (hollow); reference models as lines.

    Args:
        inputs: `evals` (JSON files), `published` (CSV).
        params: models, reference lines and tasks.
    """
    rows = [*_published(inputs["published"]), *_ours(inputs["evals"], params)]
    lines = {model.name for model in params.models if model.key in params.reference_lines}
    for row in rows:
        row["drawn"] = "line" if row["model"] in {*lines, *PUBLISHED_LINES} else "dot"
    figure, axis = subplots(figsize=(PAGE_WIDTH, 3.6))
    _points(axis, [row for row in rows if row["drawn"] == "dot"])
    _lines(axis, [row for row in rows if row["drawn"] == "line"])
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda n, _: _size(n)))
    axis.xaxis.set_minor_formatter(NullFormatter())
    unlike = sorted({fact for row in rows for fact in row["unlike"].split(", ") if fact})
    note = f"\n{NOT_COMPARABLE} not measured as the others: {', '.join(unlike)}" if unlike else ""
    axis.set(xlabel=f"parameters{note}", ylabel="average score of the tasks")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    columns = ["model", "family", "architecture", "parameters", "score", "average", "drawn"]
    columns += ["unlike"]
    return Drawing(figure, columns, [[row[c] for c in columns] for row in rows])


def _published(path: str) -> list[dict[str, Any]]:
    """Rows of the published students and 7B models."""
    scores = published_scores(path)
    units = {"M": 1e6, "B": 1e9}
    return [
        {
            "model": model["model"],
            "family": model["family"],
            "architecture": KIND_NAMES[model["family"] not in ENCODER_DECODER],
            "parameters": float(model["params"][:-1]) * units[model["params"][-1]],
            "score": "published",
            "average": scores[model["model"]]["Average"],
            "unlike": "",
        }
        for model in published_models(path)
        if model["kind"] == "lamini" or model["model"] in PUBLISHED_LINES
    ]


KIND_NAMES = tuple(KINDS)


def _ours(paths: Any, params: FigureOfScoresParams) -> list[dict[str, Any]]:
    """Rows of this run's students and reference lines; average None if a score is missing."""
    results = read_scores([paths] if isinstance(paths, str) else paths)
    drawn = [
        model
        for model in params.models
        if model.role == "student" or model.key in params.reference_lines
    ]
    usual = {
        task: usual_facts(results[model.key][task] for model in drawn)
        for task in params.tasks
        if drawn
    }
    rows = []
    for model in drawn:
        scores = results[model.key]
        mean = average(scores[task].score for task in params.tasks)
        rows.append(
            {
                "model": model.name,
                "family": model.family,
                "architecture": model.architecture,
                "parameters": float(model.parameters),
                "score": "ours",
                "average": None if mean is None else round(mean, 4),
                "unlike": ", ".join(_unlike(scores, usual)),
            }
        )
    return rows


def _unlike(scores: Scores, usual: dict[str, Facts]) -> list[str]:
    """Facts in which a model's measurement differs from the other models' or the published."""
    found = {
        name
        for task, facts in usual.items()
        for reference in (facts, published_facts(scores[task]))
        for name in differing_names(reference, measured_facts(scores[task]))
    }
    return sorted(found)


def _points(axis: Axes, rows: list[dict[str, Any]]) -> None:
    families = list(dict.fromkeys(row["family"] for row in rows))
    for number, family in enumerate(families):
        for score in ("published", "ours"):
            part = [r for r in rows if (r["family"], r["score"]) == (family, score)]
            part = sorted((r for r in part if r["average"] is not None), key=_parameters)
            if not part:
                continue
            colour = COLOURS[number % len(COLOURS)]
            decoder = part[0]["architecture"] == "decoder-only"
            axis.plot(
                [row["parameters"] for row in part],
                [row["average"] for row in part],
                color=colour,
                linestyle="--" if decoder else "-",
                linewidth=1.0,
                marker=MARKERS[number % len(MARKERS)],
                markersize=5.5,
                markerfacecolor=colour if score == "ours" else "white",
                label=f"{family}, {score}{_mark(part)} ({'dec' if decoder else 'enc-dec'})",
            )


def _mark(rows: list[dict[str, Any]]) -> str:
    return NOT_COMPARABLE if any(row["unlike"] for row in rows) else ""


def _parameters(row: dict[str, Any]) -> float:
    return float(row["parameters"])


def _lines(axis: Axes, rows: list[dict[str, Any]]) -> None:
    """Draw horizontal lines with their names, because dashes alone are hard to distinguish."""
    for row in rows:
        if row["average"] is None:
            continue
        axis.axhline(row["average"], color="#555555", linewidth=0.9, linestyle=(0, (5, 3)))
        axis.text(
            0.01,
            row["average"],
            f"{row['model']}, {row['score']}{_mark([row])}",
            fontsize=6,
            color="#555555",
            va="bottom",
            transform=axis.get_yaxis_transform(),
        )


def _size(parameters: float) -> str:
    return f"{parameters / 1e9:g}B" if parameters >= 1e9 else f"{parameters / 1e6:g}M"
