"""Figure 3: t-SNE of instruction embeddings, two sources per panel."""

from typing import Any

import polars as pl

from lamini.catalogue.params import ProjectionParams
from lamini.figures.style import COLOURS, MARKERS, PAGE_WIDTH, Drawing, subplots


def draw_projection(inputs: dict[str, Any], params: ProjectionParams) -> Drawing:
    """Draw the panels side by side.

    Args:
        inputs: `projection` (Parquet: panel, instruction_source, instruction, x, y).
        params: panels, and symbols of the sources.
    """
    points = pl.read_parquet(inputs["projection"])
    panels = params.panels
    figure, axes = subplots(
        1, len(panels), figsize=(PAGE_WIDTH, PAGE_WIDTH / len(panels)), squeeze=False
    )
    for number, (sources, axis) in enumerate(zip(panels, axes[0], strict=True)):
        here = points.filter(pl.col("panel") == number)
        size = 26 if here.height < 500 else max(0.3, 4000 / here.height)
        for order, source in enumerate(sources):
            part = here.filter(pl.col("instruction_source") == source)
            axis.scatter(
                part["x"],
                part["y"],
                s=size,
                c=COLOURS[order],
                marker=MARKERS[order],
                alpha=0.75,
                linewidths=0,
                label=f"{_instructions(params.symbols[source])}  ({part.height:,})",
                rasterized=True,
            )
        axis.set(xticks=[], yticks=[], title=f"({'abcdefgh'[number]})")
        axis.grid(False)
        axis.spines[["top", "right"]].set_visible(True)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, markerscale=1.2)
    columns = ["panel", "instruction_source", "x", "y"]
    return Drawing(figure, columns, points.select(columns).rows())


def _instructions(symbol: str) -> str:
    """The paper's symbol of a source's instructions: the source's symbol with X for D."""
    return symbol.replace("D", "X", 1)
