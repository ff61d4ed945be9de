"""Common style of all figures, and reproducible figure files (same bytes in each run)."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from lamini.files import atomic_writer

PAGE_WIDTH = 6.9
"""Width of a two-column page, in inches."""

# Distinguishable in colour and, by lightness, in greyscale print (after Okabe and Ito).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKERS = ("o", "^", "s", "D", "v", "P")
RATING_COLOURS = {"A": "#1B5E8C", "B": "#6FA8CF", "C": "#F2C9A1", "D": "#C1693C"}
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
        "legend.fontsize": 7,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
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


def save_drawing(drawing: Drawing, outputs: dict[str, str | Path], reproduction: bool) -> None:
    """Write a figure and its data.

    Args:
        drawing: the figure and its data.
        outputs: paths by file format: "pdf", "png", "csv".
        reproduction: if False, a line states that the numbers are from the demo.
    """
    figure = drawing.figure
    if not reproduction:
        figure.supxlabel(DEMO_LINE, fontsize=6.5, color="#B00020", style="italic")
    with atomic_writer(outputs["pdf"], "wb") as handle:
        figure.savefig(handle, format="pdf", metadata={"CreationDate": None, "Producer": None})
    with atomic_writer(outputs["png"], "wb") as handle:
        figure.savefig(handle, format="png", dpi=200, metadata={"Software": None})
    plt.close(figure)
    with atomic_writer(outputs["csv"]) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(drawing.columns)
        writer.writerows(drawing.rows)
