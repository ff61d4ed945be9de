"""Common style of all figures, and reproducible figure files (same bytes in each run)."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from lamini.files import atomic_writer
from lamini.symbols import symbol_parts

PAGE_WIDTH = 6.9
"""Width of a two-column page, in inches."""
COLUMN_WIDTH = 3.3
"""Width of one of its columns, in inches."""
SMALL_TYPE = 7
"""Smallest size of type in a figure, in points at its final width."""

# Matplotlib's colour map `plasma` (perceptually uniform, safe for colour-blind readers) from 0 to
# 0.8, in an order in which neighbours also differ in lightness, for greyscale print.
COLOURS = ("#0D0887", "#EB7852", "#9A179B", "#FBB32F", "#5B02A3", "#CB4678")
MARKERS = ("o", "^", "s", "D", "v", "P")
RATING_COLOURS = {"A": "#0B3C6F", "B": "#4C8DBF", "C": "#F0B27A", "D": "#FBE3D0"}
"""From dark to light, so that the order of the levels is also seen in greyscale."""
DEMO_LINE = "embedded demo: not a reproduction of the paper"

plt.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.labelsize": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "legend.fontsize": SMALL_TYPE,
        "xtick.labelsize": SMALL_TYPE,
        "ytick.labelsize": SMALL_TYPE,
        "figure.constrained_layout.use": True,
        "pdf.fonttype": 42,
        "svg.hashsalt": "lamini",
    }
)


subplots = plt.subplots
"""`matplotlib.pyplot.subplots`, with the style of this module."""


@dataclass(frozen=True)
class Drawing:
    """A figure, and the data that it shows."""

    figure: Figure
    columns: Sequence[str]
    """Column names of the data."""
    rows: Sequence[Sequence[Any]]


def symbol_text(symbol: str) -> str:
    """A source's symbol, such as `X\u0302_SI`, as a formula of Matplotlib: with hat and index.

    Any other name, such as `Cooking`, is shown as it is.
    """
    if not (parts := symbol_parts(symbol)):
        return symbol.replace("$", r"\$")
    letter, hat, index = parts
    base = rf"\hat{{{letter}}}" if hat else letter
    return rf"${base}_{{\mathrm{{{index}}}}}$"


def text_colour(background: str | tuple[float, float, float]) -> str:
    """Black or white, whichever has the higher contrast on a colour (WCAG's relative luminance)."""
    linear = [p / 12.92 if p <= 0.04 else ((p + 0.055) / 1.055) ** 2.4 for p in to_rgb(background)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


def save_drawing(drawing: Drawing, outputs: Mapping[str, str | Path], reproduction: bool) -> None:
    """Write a figure and its data.

    Args:
        drawing: the figure and its data.
        outputs: paths by file format: "pdf", "png", "csv".
        reproduction: if False, a line states that the numbers are from the demo.
    """
    figure = drawing.figure
    if not reproduction:
        figure.supxlabel(DEMO_LINE, fontsize=SMALL_TYPE, color="#B00020", style="italic")
    with atomic_writer(outputs["pdf"], "wb") as handle:
        figure.savefig(handle, format="pdf", metadata={"CreationDate": None, "Producer": None})
    with atomic_writer(outputs["png"], "wb") as handle:
        figure.savefig(handle, format="png", dpi=200, metadata={"Software": None})
    plt.close(figure)
    with atomic_writer(outputs["csv"]) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(drawing.columns)
        writer.writerows(drawing.rows)
