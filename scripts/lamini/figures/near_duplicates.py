"""Share of near-duplicate instructions at each threshold of similarity, per source."""

from pathlib import Path

import numpy as np
import polars as pl

from lamini.catalogue.params.dataset import NearDuplicateCurveParams
from lamini.figures.style import COLOURS, MARKERS, PAGE_WIDTH, Drawing, subplots, symbol_text

_STEP = 0.02
_ROUNDING = 1e-6
"""Similarities are stored as float32."""


def draw_near_duplicates(
    near_duplicates: Path, counts: Path, params: NearDuplicateCurveParams
) -> Drawing:
    """One line per source, from the run's threshold to 1 (all shingles equal).

    The originals are those of the run's threshold: a text that is a near-duplicate there is no
    original for a higher threshold, so that the shares of higher thresholds are lower bounds.

    Args:
        near_duplicates: Parquet with similarities.
        counts: CSV of the instructions per source.
        params: threshold of the run, name of the mixture, symbols of the sources.
    """
    similar = pl.read_parquet(near_duplicates, columns=["instruction_source", "similarity"])
    per_source = pl.read_csv(counts).select("instruction_source", "instructions")
    totals = dict(per_source.iter_rows())
    thresholds = [*np.arange(params.threshold, 1 - _STEP / 2, _STEP).round(4).tolist(), 1.0]
    figure, axes = subplots(1, 1, figsize=(PAGE_WIDTH, 2.6), squeeze=False)
    axis, data = axes[0][0], []
    for order, (source, total) in enumerate(totals.items()):
        of_source = similar.filter(pl.col("instruction_source") == source)
        own = (similar if source == params.mixture else of_source)["similarity"].to_numpy()
        numbers = [int((own >= threshold - _ROUNDING).sum()) for threshold in thresholds]
        shares = [100 * count / total for count in numbers]
        axis.plot(
            thresholds,
            shares,
            color=COLOURS[order % len(COLOURS)],
            marker=MARKERS[order % len(MARKERS)],
            linestyle="-" if order < len(COLOURS) else "--",
            markersize=2.5,
            linewidth=0.9,
            label=symbol_text(params.symbols.get(source, "D_ALL")),
        )
        data += [
            [source, threshold, count, share]
            for threshold, count, share in zip(thresholds, numbers, shares, strict=True)
        ]
    axis.set(
        xlabel="Jaccard similarity to the original, at least",
        ylabel="near-duplicate instructions, %",
    )
    axis.set_ylim(bottom=0)
    axis.legend(ncols=2)
    columns = ["instruction_source", "similarity_from", "near_duplicates", "percent"]
    return Drawing(figure, columns, data)
