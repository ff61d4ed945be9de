"""Table rows as dataclasses, so that other code reads them by field and not by heading."""

import math
from collections.abc import Iterable
from dataclasses import field, fields
from typing import Any, TypeVar

from lamini.tables.table import Cell
from lamini.tables.table_file import FileCell

RowModel = TypeVar("RowModel")


def column(heading: str, ours: bool = True, digits: int = 0, signed: bool = False) -> Any:
    """Field of a row's dataclass: heading of the column, and format of its cells."""
    shown = {"ours": ours, "digits": digits, "signed": signed}
    return field(metadata={"heading": heading, "shown": shown})


def headings(row: type) -> list[str]:
    """Headings of the columns of a row's dataclass."""
    return [each.metadata["heading"] for each in fields(row)]


def cells(row: Any, **suffixes: str) -> list[Cell]:
    """Cells of a row; `suffixes` maps a field's name to the text after its number."""
    return [
        Cell(getattr(row, f.name), suffix=suffixes.get(f.name, ""), **f.metadata["shown"])
        for f in fields(row)
    ]


def known_sum(values: Iterable[float | None]) -> float | None:
    """Sum of the known values; None if none is known."""
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def read_rows(row: type[RowModel], lines: Iterable[Iterable[FileCell]]) -> list[RowModel]:
    """Rows of a table that was built with `headings` and `cells`.

    Args:
        row: the row's dataclass.
        lines: rows of the table's file.
    """
    return [row(*(cell["value"] for cell in line)) for line in lines]
