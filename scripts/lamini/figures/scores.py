"""Figure 5: average score against model size, of students, initializations and references."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from lamini.catalogue.params.common import ScoredModel
from lamini.catalogue.params.evaluation import FigureOfScoresParams
from lamini.evaluation.conditions import (
    Conditions,
    conditions_of,
    differing_names,
    published_conditions,
    usual_conditions,
)
from lamini.figures.style import COLOURS, COLUMN_WIDTH, MARKERS, SMALL_TYPE, Drawing, subplots
from lamini.tables.evaluation_tables import Scores, average, read_scores
from lamini.tables.footnotes import NOT_COMPARABLE
from lamini.tables.published import published_models, published_scores

DECODER_ONLY = "decoder-only"
ENCODER_DECODER = ("T5", "Flan-T5")
PUBLISHED_LINES = ("LLaMA-7B", "Alpaca-7B")
_MOST_TICKS = 6
_GREY, _LIGHT_GREY = "#444444", "#999999"
_LEVEL = (0, (1, 1))


class ScoreRow(TypedDict):
    """A row of the figure's data."""

    model: str
    family: str
    architecture: str
    parameters: float
    score: str
    """`ours` or `published`."""
    average: float | None
    """Average score; None if a score is missing."""
    drawn: str
    """`dot`, `base`, `line` or empty, see `draw_scores`."""
    unlike: str
    """Conditions in which the measurement differs from the others, with commas."""


def draw_scores(published: Path, evals: list[Path], params: FigureOfScoresParams) -> Drawing:
    """Plot our scores (filled) and the published ones (hollow); reference models as lines.

    Small marks and dotted lines are initializations: of this run, or the published if it has none
    of the same name. The data's column `drawn` says how each row is drawn, here and on the page:
    `dot` (students), `base` (initializations), `line` (references), or not at all.

    Args:
        published: CSV of published scores.
        evals: evaluation results.
        params: models, reference lines and tasks.
    """
    rows = [*_published(published), *_ours(evals, params)]
    measured = {row["model"] for row in rows if row["score"] == "ours"}
    for row in rows:
        if (row["drawn"], row["score"]) == ("base", "published") and row["model"] in measured:
            row["drawn"] = ""
    shown = [row for row in rows if row["drawn"] and row["average"] is not None]
    figure, axis = subplots(figsize=(COLUMN_WIDTH, 4.1))
    axis.set_xscale("log")
    handles = _points(axis, [row for row in shown if row["drawn"] != "line"])
    axis.set_xticks(size_ticks(*axis.get_xlim()))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda n, _: _size(n)))
    axis.minorticks_off()
    unlike = sorted({fact for row in rows for fact in row["unlike"].split(", ") if fact})
    note = f"\n{NOT_COMPARABLE} not measured as the others: {', '.join(unlike)}" if unlike else ""
    axis.set(xlabel=f"parameters{note}", ylabel="average score of the tasks")
    figure.legend(handles=handles, loc="outside upper center", ncols=2, handlelength=2.6)
    _lines(axis, [row for row in shown if row["drawn"] == "line"])
    columns, records = [*ScoreRow.__annotations__], cast("list[Mapping[str, object]]", rows)
    return Drawing(figure, columns, [[record[c] for c in columns] for record in records])


def _published(path: Path) -> list[ScoreRow]:
    """Rows of the published students, initializations and 7B models."""
    scores = published_scores(path)
    units = {"M": 1e6, "B": 1e9}
    models = published_models(path)
    families = {model["family"] for model in models if model["kind"] == "lamini"}
    rows: list[ScoreRow] = []
    for model in models:
        line, student = model["model"] in PUBLISHED_LINES, model["kind"] == "lamini"
        if line or model["family"] in families:
            row: ScoreRow = {
                "model": model["model"],
                "family": model["family"],
                "architecture": "encoder-decoder"
                if model["family"] in ENCODER_DECODER
                else DECODER_ONLY,
                "parameters": float(model["params"][:-1]) * units[model["params"][-1]],
                "score": "published",
                "average": scores[model["model"]]["Average"],
                "drawn": "line" if line else "dot" if student else "base",
                "unlike": "",
            }
            rows.append(row)
    return rows


def _ours(paths: Any, params: FigureOfScoresParams) -> list[ScoreRow]:
    """Rows of this run's models; average None if a score is missing."""
    results = read_scores([paths] if isinstance(paths, str) else paths)
    drawn = {model.key: _drawn(model, params) for model in params.models}
    usual = {
        task: usual_conditions(
            results[model.key][task] for model in params.models if drawn[model.key] != "base"
        )
        for task in params.tasks
        if set(drawn.values()) - {"base"}
    }
    rows: list[ScoreRow] = []
    for model in params.models:
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
                "drawn": drawn[model.key],
                "unlike": ", ".join(_unlike(scores, usual)),
            }
        )
    return rows


def _drawn(model: ScoredModel, params: FigureOfScoresParams) -> str:
    if model.role == "student":
        return "dot"
    return "line" if model.key in params.reference_lines else "base"


def _unlike(scores: Scores, usual: dict[str, Conditions]) -> list[str]:
    """Conditions in which a model's measurement differs from the other models' or the published."""
    names = {
        name
        for task, conditions in usual.items()
        for reference in (conditions, published_conditions(scores[task]))
        for name in differing_names(reference, conditions_of(scores[task]))
    }
    return sorted(names)


def _average(row: ScoreRow) -> float:
    """Average score of a row that is drawn."""
    assert row["average"] is not None
    return row["average"]


def _points(axis: Axes, rows: list[ScoreRow]) -> list[Line2D]:
    """Plot a line per family, kind and score; returns the entries of the legend."""
    handles = []
    for number, family in enumerate(dict.fromkeys(row["family"] for row in rows)):
        of_family = [row for row in rows if row["family"] == family]
        decoder = of_family[0]["architecture"] == DECODER_ONLY
        style: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKERS[number % len(MARKERS)],
            "linewidth": 1.0,
        }
        for drawn in ("base", "dot"):
            for score in ("published", "ours"):
                part = [r for r in of_family if (r["drawn"], r["score"]) == (drawn, score)]
                part.sort(key=lambda row: (row["parameters"], _average(row)))
                looks: dict[str, Any] = {"markerfacecolor": "white"} if score == "published" else {}
                axis.plot(
                    [row["parameters"] for row in part],
                    [_average(row) for row in part],
                    linestyle=":" if drawn == "base" else "--" if decoder else "-",
                    markersize=3.2 if drawn == "base" else 5.5,
                    **style,
                    **looks,
                )
        label = f"{family}{_mark(of_family)}"
        handles.append(Line2D([], [], linestyle="--" if decoder else "-", label=label, **style))
    return [*handles, *_keys(rows)]


def _keys(rows: list[ScoreRow]) -> list[Line2D]:
    """Entries of the legend for filled, hollow and small marks, dashed and level lines."""
    shown = {
        "this run": any(row["score"] == "ours" for row in rows),
        "published": any(row["score"] == "published" for row in rows),
        "base model": any(row["drawn"] == "base" for row in rows),
        "decoder-only": any(row["architecture"] == DECODER_ONLY for row in rows),
        "reference": True,
    }
    looks: dict[str, dict[str, Any]] = {
        "this run": {"marker": "o", "linestyle": "", "markersize": 5.5},
        "published": {"marker": "o", "linestyle": "", "markersize": 5.5, "markerfacecolor": "w"},
        "base model": {"marker": "o", "linestyle": ":", "markersize": 3.2},
        "decoder-only": {"linestyle": "--"},
        "reference": {"linestyle": _LEVEL},
    }
    return [
        Line2D([], [], color=_GREY, linewidth=1.0, label=label, **looks[label])
        for label, there in shown.items()
        if there
    ]


def _mark(rows: list[ScoreRow]) -> str:
    return NOT_COMPARABLE if any(row["unlike"] for row in rows) else ""


def _lines(axis: Axes, rows: list[ScoreRow]) -> None:
    """Draw horizontal lines, the published ones lighter; one label per model."""
    labels: dict[str, list[ScoreRow]] = {}
    for row in rows:
        grey = _GREY if row["score"] == "ours" else _LIGHT_GREY
        axis.axhline(_average(row), color=grey, linewidth=0.8, linestyle=_LEVEL, zorder=1)
        labels.setdefault(row["model"], []).append(row)
    means = [sum(map(_average, of_model)) / len(of_model) for of_model in labels.values()]
    positions = spread(means, _text_height(axis))
    for (model, of_model), position in zip(labels.items(), positions, strict=True):
        axis.text(
            0.01,
            position,
            model + _mark(of_model),
            fontsize=SMALL_TYPE,
            color=_GREY,
            va="center",
            transform=axis.get_yaxis_transform(),
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )


def _text_height(axis: Axes) -> float:
    """Height of a line of small type, in units of the y axis."""
    figure = axis.get_figure()
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # places the axes
    low, high = axis.get_ylim()
    points = axis.get_window_extent().height * 72 / figure.dpi
    return 1.35 * SMALL_TYPE * (high - low) / points


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Positions near some values, in their order, that are at least `gap` apart."""
    order = sorted(range(len(values)), key=lambda n: values[n])
    groups: list[list[int]] = []  # values whose labels touch, centred on their mean
    for number in order:
        groups.append([number])
        while len(groups) > 1 and _start(groups[-1], values, gap) < gap + (
            _start(groups[-2], values, gap) + (len(groups[-2]) - 1) * gap
        ):
            last = groups.pop()
            groups[-1] += last
    positions = [0.0] * len(values)
    for group in groups:
        for rank, number in enumerate(group):
            positions[number] = _start(group, values, gap) + rank * gap
    return positions


def _start(group: Sequence[int], values: Sequence[float], gap: float) -> float:
    """Lowest position of a group of touching labels."""
    return sum(values[n] for n in group) / len(group) - (len(group) - 1) * gap / 2


def size_ticks(low: float, high: float) -> list[float]:
    """Round numbers of parameters between two, as many as there is room for."""
    powers = [10.0**power for power in range(4, 14)]
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * power for power in powers for step in steps]
        ticks = [size for size in ticks if low <= size <= high]
        if len(ticks) <= _MOST_TICKS:
            break
    return ticks


def _size(parameters: float) -> str:
    return f"{parameters / 1e9:g}B" if parameters >= 1e9 else f"{parameters / 1e6:g}M"
