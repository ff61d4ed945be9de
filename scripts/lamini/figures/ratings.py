"""Figures 4 and 6: ratings A to D as stacked bars, for the dataset and for the models."""

from collections import Counter
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from lamini.catalogue.params import DatasetRatingsParams, RatingsParams
from lamini.figures.style import PAGE_WIDTH, RATING_COLOURS, Drawing, subplots
from lamini.human_evaluation.protocol import LEVELS
from lamini.human_evaluation.shown import read_shown
from lamini.tables.published import read_csv

Bars = dict[str, Counter[str]]


def draw_dataset_ratings(inputs: dict[str, Any], params: DatasetRatingsParams) -> Drawing:
    """Figure 4: instructions and responses of each subset, in two panels.

    Args:
        inputs: `ratings` (CSV: part, subject, rater, rating ...).
        params: symbols of the sources.
    """
    shown = read_shown(inputs["ratings"])
    figure, axes = subplots(1, 2, figsize=(PAGE_WIDTH, 2.9))
    data = []
    for axis, part in zip(axes, ("instruction", "response"), strict=True):
        letter = "X" if part == "instruction" else "Y"
        bars = {
            symbol.replace("D", letter, 1): _count(shown.rows, subject=source, part=part)
            for source, symbol in params.symbols.items()
        }
        _stack(axis, bars)
        axis.set_title(f"{part}s,\n{shown.label}")
        axis.invert_yaxis()
        data += [[part, name, *(bar[level] for level in LEVELS)] for name, bar in bars.items()]
    _legend(figure)
    return Drawing(figure, ["part", "subset", *_columns()], data)


def draw_model_ratings(inputs: dict[str, Any], params: RatingsParams) -> Drawing:
    """Figure 6: models sorted by their ratings, ours beside the published.

    Args:
        inputs: `ratings` (CSV), `published` (CSV: model, rate_a ... rate_d).
        params: display names of the models.
    """
    shown = read_shown(inputs["ratings"])
    ours = _sorted({name: _count(shown.rows, subject=key) for key, name in params.names.items()})
    published = _sorted(
        {
            row["model"]: Counter({level: int(row[f"rate_{level.lower()}"]) for level in LEVELS})
            for row in read_csv(inputs["published"])
        }
    )
    height = 0.8 + 0.2 * max(len(ours), len(published))
    figure, axes = subplots(1, 2, figsize=(PAGE_WIDTH, height))
    for axis, bars, title in (
        (axes[0], ours, f"this run,\n{shown.label}"),
        (axes[1], published, "published,\nrated by people"),
    ):
        _stack(axis, bars, bar_height=min(0.8, 0.8 * len(bars) / 8))
        axis.set_title(title)
        axis.invert_yaxis()
    _legend(figure)
    data = [["ours", n, *(b[level] for level in LEVELS)] for n, b in ours.items()]
    data += [["published", n, *(b[level] for level in LEVELS)] for n, b in published.items()]
    return Drawing(figure, ["score", "model", *_columns()], data)


def _count(rows: list[dict[str, str]], subject: str, part: str | None = None) -> Counter[str]:
    wanted = [row for row in rows if row["subject"] == subject and part in (None, row["part"])]
    return Counter(row["rating"] for row in wanted)


def _sorted(bars: Bars) -> Bars:
    """Sort by the share of A, then of A and B, then of A to C; highest first."""

    def key(name: str) -> tuple[float, ...]:
        total = max(bars[name].total(), 1)
        return tuple(-sum(bars[name][level] for level in LEVELS[: n + 1]) / total for n in range(3))

    return {name: bars[name] for name in sorted(bars, key=key)}


def _stack(axis: Axes, bars: Bars, bar_height: float = 0.8) -> None:
    """Draw stacked horizontal bars of shares in percent, labelled with the counts."""
    for position, counts in enumerate(bars.values()):
        left, total = 0.0, counts.total()
        for level in LEVELS:
            if not counts[level]:
                continue
            width = 100 * counts[level] / total
            axis.barh(position, width, bar_height, left, color=RATING_COLOURS[level])
            if width >= 5:
                colour = "white" if level in "AD" else "black"
                middle = left + width / 2
                axis.text(
                    middle,
                    position,
                    str(counts[level]),
                    color=colour,
                    ha="center",
                    va="center",
                    fontsize=6,
                )
            left += width
    axis.set_yticks(range(len(bars)), list(bars))
    axis.set(xlim=(0, 100), xlabel="share of ratings, %")
    axis.grid(False)
    if not any(counts.total() for counts in bars.values()):
        axis.text(50, (len(bars) - 1) / 2, "no ratings yet", ha="center", color="#777777")


def _legend(figure: Any) -> None:
    handles = [Rectangle((0, 0), 1, 1, color=RATING_COLOURS[level]) for level in LEVELS]
    labels = [f"Rate-{level}" for level in LEVELS]
    figure.legend(handles, labels, loc="outside upper center", ncols=4)


def _columns() -> list[str]:
    return [f"rate_{level.lower()}" for level in LEVELS]
