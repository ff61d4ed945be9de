"""From a figure's name to its files."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from lamini.catalogue import FIGURES
from lamini.figures.style import Drawing, save_drawing
from lamini.files import listed
from lamini.provenance import record_provenance


def draw_figure(
    name: str, inputs: dict[str, Any], params: dict[str, Any], outputs: dict[str, str | Path]
) -> None:
    """Draw one figure.

    Args:
        name: of an entry in `lamini.catalogue`.
        inputs: named input files of the rule.
        params: `reproduction`, and what the entry's builder takes.
        outputs: paths by form: "pdf", "png", "csv".
    """
    drawing: Drawing = resolve_name(FIGURES[name].builder)(inputs, params)
    save_drawing(drawing, outputs, params["reproduction"])
    files = [path for value in inputs.values() for path in listed(value)]
    first, *beside = outputs.values()
    record_provenance(first, rule="draw_figure", settings=params, inputs=files, beside=beside)
