"""Length distributions of instructions and responses in tokens, per source."""

from collections import defaultdict
from pathlib import Path

from lamini.catalogue.params.dataset import LengthsParams
from lamini.figures.style import COLOURS, MARKERS, PAGE_WIDTH, Drawing, subplots, symbol_text
from lamini.tables.published import read_csv

_TEXTS = ("instruction", "response")


def draw_lengths(lengths: Path, params: LengthsParams) -> Drawing:
    """One panel for instructions and one for responses; one line per source.

    Args:
        lengths: CSV of `measure_dataset`.
        params: symbols of the sources.
    """
    curves: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for row in read_csv(lengths):
        key = (row["text"], row["instruction_source"])
        curves[key].append((int(row["tokens_from"]), int(row["samples"])))
    figure, axes = subplots(1, len(_TEXTS), figsize=(PAGE_WIDTH, 2.6), sharey=True, squeeze=False)
    data = []
    for text, axis in zip(_TEXTS, axes[0], strict=True):
        sources = [source for of_text, source in curves if of_text == text]
        for order, source in enumerate(sources):
            points = curves[text, source]
            total = sum(count for _, count in points)
            shares = [100 * count / total for _, count in points]
            style = {
                "color": COLOURS[order % len(COLOURS)],
                "marker": MARKERS[order % len(MARKERS)],
                "linestyle": "-" if order < len(COLOURS) else "--",
            }
            axis.plot(
                [first for first, _ in points],
                shares,
                markersize=2.5,
                linewidth=0.9,
                label=symbol_text(params.symbols[source]),
                **style,
            )
            data += [
                [text, source, first, count, share]
                for (first, count), share in zip(points, shares, strict=True)
            ]
        axis.set_xscale("symlog", base=2, linthresh=1)
        axis.set(title=f"{text}s", xlabel="tokens, at least")
    axes[0][0].set_ylabel("texts, %")
    axes[0][-1].legend(ncols=2)
    columns = ["text", "instruction_source", "tokens_from", "samples", "percent"]
    return Drawing(figure, columns, data)
