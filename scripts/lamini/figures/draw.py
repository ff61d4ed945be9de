"""From a figure's name to its files."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from lamini.catalogue import FIGURES
from lamini.figures.style import Drawing, save_drawing


def draw_figure(
    figure: str, inputs: dict[str, Any], settings: dict[str, Any], outputs: dict[str, str | Path]
) -> None:
    """Draw one figure.

    Args:
        figure: of an entry in `lamini.catalogue`.
        inputs: named input files of the rule.
        settings: `reproduction`, and what the entry's builder takes.
        outputs: paths by form: "pdf", "png", "csv".
    """
    drawing: Drawing = resolve_name(FIGURES[figure].builder)(inputs, settings)
    save_drawing(drawing, outputs, settings["reproduction"])
