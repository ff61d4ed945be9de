"""Figures 4 and 6: ratings A to D as stacked bars, for the dataset and for the models."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from lamini.catalogue.params.human_evaluation import DatasetRatingsParams, RatingsParams
from lamini.figures.style import (
    PAGE_WIDTH,
    RATING_COLOURS,
    SMALL_TYPE,
    Drawing,
    subplots,
    symbol_text,
    text_colour,
)
from lamini.human_evaluation.rating_protocols import LEVELS
from lamini.human_evaluation.shown import read_shown
from lamini.tables.published import read_csv

Bars = dict[str, Counter[str]]
_EDGE: dict[str, Any] = {"edgecolor": "#555555", "linewidth": 0.4}
"""An edge, as the lightest level is nearly white."""


def draw_dataset_ratings(ratings: Path, params: DatasetRatingsParams) -> Drawing:
    """Figure 4: instructions and responses of each subset, in two panels.

    Args:
        ratings: CSV with part, subject, rater, rating ...
        params: symbols of the sources.
    """
    shown = read_shown(ratings)
    figure, axes = subplots(1, 2, figsize=(PAGE_WIDTH, 2.9))
    data = []
    for axis, part in zip(axes, ("instruction", "response"), strict=True):
        letter = "X" if part == "instruction" else "Y"
        bars = {
            symbol.replace("D", letter, 1): _count(shown.rows, subject=source, part=part)
            for source, symbol in params.symbols.items()
        }
        _stack(axis, bars)
        axis.set_yticks(range(len(bars)), [symbol_text(symbol) for symbol in bars])
        axis.set_title(f"{part}s,\n{shown.label}")
        axis.invert_yaxis()
        data += [[part, name, *(bar[level] for level in LEVELS)] for name, bar in bars.items()]
    _legend(figure)
    return Drawing(figure, ["part", "subset", *_columns()], data)


def draw_model_ratings(ratings: Path, published: Path, params: RatingsParams) -> Drawing:
    """Figure 6: models sorted by their ratings, ours beside the published, one model per row.

    Between the panels are the ranks of each model in both, among the models that both have.

    Args:
        ratings: CSV of the study.
        published: CSV with model, rate_a ... rate_d.
        params: display names of the models.
    """
    shown = read_shown(ratings)
    ours = _sorted({name: _count(shown.rows, subject=key) for key, name in params.names.items()})
    theirs = _sorted(
        {
            row["model"]: Counter({level: int(row[f"rate_{level.lower()}"]) for level in LEVELS})
            for row in read_csv(published)
        }
    )
    names = list(dict.fromkeys([*ours, *theirs]))
    common = [name for name in ours if ours[name].total() and name in theirs]
    ranks = [_ranks(bars, common) for bars in (ours, theirs)]
    figure, axes = subplots(1, 2, figsize=(PAGE_WIDTH, 1.1 + 0.2 * len(names)), sharey=True)
    for axis, bars, title in (
        (axes[0], ours, f"this run,\n{shown.label}"),
        (axes[1], theirs, "published,\nrated by people"),
    ):
        _stack(axis, {name: bars.get(name, Counter()) for name in names})
        axis.set_title(title)
    axes[0].invert_yaxis()  # of both
    _write_ranks(axes[1], names, *ranks)
    _legend(figure)
    data = [
        [score, name, *(bar[level] for level in LEVELS), rank.get(name, "")]
        for score, bars, rank in zip(("ours", "published"), (ours, theirs), ranks, strict=True)
        for name, bar in bars.items()
    ]
    return Drawing(figure, ["score", "model", *_columns(), "rank"], data)


def _count(rows: list[dict[str, str]], subject: str, part: str | None = None) -> Counter[str]:
    wanted = [row for row in rows if row["subject"] == subject and part in (None, row["part"])]
    return Counter(row["rating"] for row in wanted)


def _sorted(bars: Bars) -> Bars:
    """Sort by the share of A, then of A and B, then of A to C; highest first."""
    return {name: bars[name] for name in sorted(bars, key=lambda name: _order(bars[name]))}


def _order(counts: Counter[str]) -> tuple[float, ...]:
    """Key of a model's rank: the negative shares of A, of A and B, and of A to C."""
    total = max(counts.total(), 1)
    return tuple(-sum(counts[level] for level in LEVELS[: n + 1]) / total for n in range(3))


def _ranks(bars: Bars, names: Sequence[str]) -> dict[str, int]:
    """Rank of each of some models among them, from 1; models with equal shares have one rank."""
    orders = sorted(_order(bars[name]) for name in names)
    return {name: orders.index(_order(bars[name])) + 1 for name in names}


def _write_ranks(
    axis: Axes, names: Sequence[str], ours: Mapping[str, int], published: Mapping[str, int]
) -> None:
    """Write the ranks of this run and the published ones, left of a panel: "2 → 5"."""
    style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": SMALL_TYPE}
    style["transform"] = axis.get_yaxis_transform()
    for position, name in enumerate(names):
        if name in ours:
            equal = ours[name] == published[name]
            text = f"{ours[name]} → {published[name]}"
            axis.text(-0.03, position, text, color="#777777" if equal else "black", **style)
    if ours:
        axis.text(-0.03, -1, "rank", color="#777777", **style)


def _stack(axis: Axes, bars: Bars) -> None:
    """Draw stacked horizontal bars of shares in percent, labelled with the counts."""
    for position, counts in enumerate(bars.values()):
        left, total = 0.0, counts.total()
        if not total and len(bars) > 1:
            axis.text(2, position, "–", color="#777777", va="center", fontsize=SMALL_TYPE)
        for level in LEVELS:
            if not counts[level]:
                continue
            width = 100 * counts[level] / total
            axis.barh(position, width, 0.8, left, color=RATING_COLOURS[level], **_EDGE)
            if width >= 7:
                middle = left + width / 2
                axis.text(
                    middle,
                    position,
                    str(counts[level]),
                    color=text_colour(RATING_COLOURS[level]),
                    ha="center",
                    va="center",
                    fontsize=SMALL_TYPE,
                )
            left += width
    axis.set_yticks(range(len(bars)), list(bars))
    axis.set(xlim=(0, 100), xlabel="share of ratings, %")
    axis.grid(False)
    if not any(counts.total() for counts in bars.values()):
        axis.text(50, (len(bars) - 1) / 2, "no ratings yet", ha="center", color="#777777")


def _legend(figure: Any) -> None:
    handles = [Rectangle((0, 0), 1, 1, facecolor=RATING_COLOURS[lev], **_EDGE) for lev in LEVELS]
    labels = [f"Rate-{level}" for level in LEVELS]
    figure.legend(handles, labels, loc="outside upper center", ncols=4)


def _columns() -> list[str]:
    return [f"rate_{level.lower()}" for level in LEVELS]
