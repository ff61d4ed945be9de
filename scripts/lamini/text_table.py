"""Plain-text tables for the terminal."""

from collections.abc import Sequence


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """Format a table for a fixed-width font; each column is as wide as its longest cell.

    Args:
        header: names of the columns.
        rows: cells; None is an empty cell.
        left: number of first columns that are aligned left; the others are aligned right.
    """
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def short_count(number: float) -> str:
    """Format a large number with a unit prefix: `950`, `12.3k`, `4.56M`, `1.099G`."""
    for size, unit, digits in ((1e9, "G", 3), (1e6, "M", 2), (1e3, "k", 1)):
        if number >= size:
            return f"{number / size:,.{digits}f}{unit}"
    return f"{number:,.0f}"


def _cell(value: object) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
