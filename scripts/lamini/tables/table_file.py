"""The JSON file of a table, from which the report's pages are made."""

from typing import TypedDict


class FileCell(TypedDict):
    """A cell: fields of `lamini.tables.table.Cell`, and its texts."""

    value: float | int | str | None
    ours: bool
    digits: int
    bold: bool
    signed: bool
    suffix: str
    interval: tuple[float, float] | None
    text: str
    interval_text: str | None


def number_of(cell: FileCell) -> float | None:
    """Number of a cell; None if it has none."""
    return cell["value"] if isinstance(cell["value"], int | float) else None


class TableFile(TypedDict):
    """A table."""

    name: str
    heading: str
    columns: list[str]
    numeric: list[bool]
    """Per column: whether it has numbers and no text."""
    rows: list[list[FileCell]]
    notes: list[str]


def summary_of(table: TableFile | None) -> str | None:
    """Summary of a table that has a summary; None without the table."""
    return None if table is None else table["notes"][0]
