"""Score or held-out loss against the size of the data: a panel per student, a dot per seed."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lamini.catalogue.params.sweeps import SweepFigureParams
from lamini.figures.style import COLOURS, MARKERS, PAGE_WIDTH, Drawing, subplots
from lamini.sweeps.results import FittedLaw, SweepResult
from lamini.text_table import short_count

_AXES = {"score": "score, mean of tasks", "held_out_loss": "held-out loss, nats per token"}
_MOST_TICKS = 6
_LABELS = ("fitted law", "its 95 % interval", "largest size, predicted by the smaller ones")
_COLUMNS = ["student", "mixture", "kind", "samples", "seed", "pairs", "value", "low", "high"]


def draw_sweep(fitted: Path, params: SweepFigureParams) -> Drawing:
    """Draw the trainings, the fitted laws with their bands, and the predicted largest sizes.

    Args:
        fitted: JSON of the sweep.
        params: names of the students and of the mixtures, and the measure.
    """
    sweep = SweepResult.read(fitted)
    students = list(params.students)
    columns = min(3, len(students))
    lines = math.ceil(len(students) / columns)
    figure, axes = subplots(
        lines,
        columns,
        figsize=(PAGE_WIDTH, 0.5 + 1.9 * lines),
        squeeze=False,
        sharex=True,
        # Losses compare within a tokenizer only.
        sharey=params.measure == "score",
    )
    data: list[list[Any]] = []
    for axis, student in zip(axes.flat, students, strict=False):
        mixtures = dict.fromkeys(t.mixture for t in sweep.trained if t.student == student)
        for number, mixture in enumerate(mixtures):
            data += _draw_one(axis, sweep, params, (student, mixture), number)
        axis.set(title=params.students[student], xscale="log")
    # One tick of each size, whose pairs may differ a little between tokenizers.
    sizes = sorted({t.samples: t.pairs for t in sweep.trained}.values())
    ticks = sizes[:: math.ceil(len(sizes) / _MOST_TICKS)]
    axes[0, 0].set_xticks(ticks, map(short_count, ticks))  # of all panels, which share the axis
    axes[0, 0].set_xticks([], minor=True)
    for axis in axes[:, 0]:
        axis.set_ylabel(_AXES[params.measure])
    shown = axes.flat[: len(students)]
    for axis in axes.flat[len(students) :]:
        axis.set_visible(False)
    for column in range(columns):
        lowest = max(line for line in range(lines) if line * columns + column < len(students))
        axes[lowest, column].set_xlabel("training pairs")
        axes[lowest, column].xaxis.set_tick_params(labelbottom=True)
    _legend(figure, shown)
    return Drawing(figure, _COLUMNS, data)


def _draw_one(
    axis: Any, sweep: SweepResult, params: SweepFigureParams, group: tuple[str, str], number: int
) -> list[list[Any]]:
    """Draw one student on one mixture; returns the rows of the data."""
    colour = COLOURS[number % len(COLOURS)]
    trained = [
        (t, value)
        for t in sweep.trained
        if (t.student, t.mixture) == group and (value := getattr(t, params.measure)) is not None
    ]
    axis.plot(
        [t.pairs for t, _ in trained],
        [value for _, value in trained],
        linestyle="",
        marker=MARKERS[number % len(MARKERS)],
        markersize=3.5,
        color=colour,
        alpha=0.8,
        markeredgewidth=0,
        label=f"{group[1]}, a seed" if params.several_mixtures else "a seed",
    )
    rows = [
        [*group, "training", t.samples, t.seed, t.pairs, value, None, None] for t, value in trained
    ]
    for law in sweep.laws:
        if ((law.student, law.mixture), law.measure) == (group, params.measure):
            rows += _draw_law(axis, law, number)
    return rows


def _draw_law(axis: Any, law: FittedLaw, number: int) -> list[list[Any]]:
    """Draw the law of one mixture, the `number`-th of its panel; returns the rows of the data."""
    colour = COLOURS[number % len(COLOURS)]
    # The legend explains lines and bars once; the labels of the dots name the mixtures.
    line, band, bar = _LABELS if number == 0 else (None,) * 3
    pairs, values, lows, highs = zip(*law.curve, strict=True)
    axis.plot(pairs, values, color=colour, linewidth=1, label=line)
    axis.fill_between(pairs, lows, highs, color=colour, alpha=0.18, linewidth=0, label=band)
    group = [law.student, law.mixture]
    rows: list[list[Any]] = [[*group, "law", None, None, *point] for point in law.curve]
    if (back := law.held_back) is not None:
        low, high = back.interval
        # Beside the dots, which it would hide, and beside other mixtures.
        axis.errorbar(
            [back.pairs * 1.12 ** (number + 1)],
            [back.predicted],
            yerr=[[back.predicted - low], [high - back.predicted]],
            fmt="_",
            color=colour,
            linewidth=0.9,
            capsize=2,
            markersize=5,
            label=bar,
        )
        rows.append(
            [*group, "predicted", back.samples, None, back.pairs, back.predicted, low, high]
        )
    return rows


def _legend(figure: Any, axes: Iterable[Any]) -> None:
    """One legend above all panels, with each label once."""
    handles = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    seeds = {label: handle for label, handle in handles.items() if label not in _LABELS}
    ordered = seeds | {label: handles[label] for label in _LABELS if label in handles}
    figure.legend(
        ordered.values(),
        ordered.keys(),
        loc="outside upper center",
        ncols=4 if len(ordered) <= 4 else 3,
    )
