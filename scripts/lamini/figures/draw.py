"""Drawing the files of a figure, by its name."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from lamini.catalogue import figure_entry
from lamini.catalogue.params import ItemParams
from lamini.figures.style import Drawing, save_drawing


def draw_figure(
    figure: str, inputs: dict[str, Any], settings: ItemParams, outputs: dict[str, str | Path]
) -> None:
    """Draw one figure and write its files.

    Args:
        figure: name of an entry in `lamini.catalogue`.
        inputs: named input files of the rule.
        settings: common params, and the params of the entry's builder.
        outputs: paths by file format: "pdf", "png", "csv".
    """
    builder = resolve_name(figure_entry(figure).builder)
    drawing: Drawing = builder(inputs, settings.of_builder(builder))
    save_drawing(drawing, outputs, settings.reproduction)
