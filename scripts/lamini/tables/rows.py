"""Tables that other code reads: a row is a dataclass, and its fields are not named by headings."""

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, TypeVar

from lamini.tables.table import Cell

Row = TypeVar("Row")


def column(heading: str, ours: bool = True, digits: int = 0, signed: bool = False) -> Any:
    """A field of a row's dataclass: the heading of its column, and how its cells are shown."""
    shown = {"ours": ours, "digits": digits, "signed": signed}
    return field(metadata={"heading": heading, "shown": shown})


def headings(row: type) -> list[str]:
    """The headings of a row's columns."""
    return [each.metadata["heading"] for each in fields(row)]


def cells(row: Any, **suffixes: str) -> list[Cell]:
    """The cells of a row; what follows a number is given by the name of its field."""
    return [
        Cell(getattr(row, f.name), suffix=suffixes.get(f.name, ""), **f.metadata["shown"])
        for f in fields(row)
    ]


def read_rows(row: type[Row], table: Mapping[str, Any]) -> list[Row]:
    """The rows of a table that was made of such rows.

    Args:
        row: the row's dataclass.
        table: JSON of the table.
    """
    return [row(*(cell["value"] for cell in line)) for line in table["rows"]]
