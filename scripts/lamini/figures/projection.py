"""Figure 3: t-SNE of instruction embeddings, two sources per panel."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from lamini.catalogue.params.dataset import ProjectionParams
from lamini.figures.style import COLOURS, MARKERS, PAGE_WIDTH, Drawing, subplots, symbol_text

_LEGEND_DOT = 26
"""Area of the dots in the legend, in square points."""


def draw_projection(projection: Path, neighbourhoods: Path, params: ProjectionParams) -> Drawing:
    """Draw the panels side by side.

    Args:
        projection: Parquet with panel, instruction_source, instruction, x, y.
        neighbourhoods: CSV with one row per panel, in the same order.
        params: panels, and symbols of the sources.
    """
    points = pl.read_parquet(projection)
    kept = pl.read_csv(neighbourhoods).to_dicts()
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
        axis.set(xticks=[], yticks=[])
        axis.set_title(_settings(kept[number]), fontsize=7)
        axis.grid(False)
        axis.spines[["top", "right"]].set_visible(True)
        legend = axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2)
        for handle in legend.legend_handles:  # the dots of large panels are too small to see
            handle.set(sizes=[_LEGEND_DOT], alpha=1)
    columns = ["panel", "instruction_source", "x", "y"]
    return Drawing(figure, columns, points.select(columns).rows())


def _settings(kept: Mapping[str, float]) -> str:
    """Letter of a panel, settings of its layout, and what that keeps of the neighbourhood."""
    return (
        f"({kept['panel']})  t-SNE, perplexity {kept['perplexity']:.3g}, cosine distance, PCA start"
        f"\n{kept['kept_percent']:.0f} % of the {kept['neighbours']} nearest neighbours kept"
        f" (by chance {kept['chance_percent']:.0f} %)"
    )


def _instructions(symbol: str) -> str:
    """The paper's symbol of a source's instructions: the source's symbol with X for D."""
    return symbol_text(symbol.replace("D", "X", 1))
