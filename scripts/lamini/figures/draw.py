"""Drawing the files of a figure, by its name."""

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name

from lamini.catalogue import figure_entry
from lamini.catalogue.builders import call_builder
from lamini.catalogue.params.common import ItemParams
from lamini.figures.style import Drawing, save_drawing
from lamini.files import Files


def draw_figure(
    figure: str,
    inputs: Mapping[str, Files],
    settings: ItemParams,
    outputs: Mapping[str, str | Path],
) -> None:
    """Draw one figure and write its files.

    Args:
        figure: name of an entry in `lamini.catalogue`.
        inputs: named input files of the rule.
        settings: common params, and the params of the entry's builder.
        outputs: paths by file format: "pdf", "png", "csv".
    """
    builder = resolve_name(figure_entry(figure).builder)
    drawing: Drawing = call_builder(builder, inputs, settings.of_builder(builder))
    save_drawing(drawing, outputs, settings.reproduction)
