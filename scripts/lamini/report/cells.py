"""Tables as the pages show them."""

from typing import TypedDict

from lamini.report.stages import Making
from lamini.tables.table import DEMO_MARK
from lamini.tables.table_file import TableFile


class ColumnFilter(TypedDict):
    """A filter for the rows of a table: the values of one of its columns."""

    index: int
    """Number of the column, from 0."""
    column: str
    values: list[str]


class ShownTable(TableFile):
    """A table with what the report shows of it."""

    anchor: str
    """HTML id."""
    making: Making
    intervals: bool
    """Whether a cell has an interval."""
    marked: list[bool]
    """Per column: whether its numbers have the mark of the demo."""
    choices: list[ColumnFilter]
    builder: str
    """Name of its builder."""
    files: dict[str, str]
    """Its files by format, relative to the page."""


def take_marks(table: TableFile) -> list[bool]:
    """Take the demo's mark from the numbers; returns which columns had it."""
    marked = [False] * len(table["columns"])
    for row in table["rows"]:
        for index, cell in enumerate(row):
            if not isinstance(cell["value"], str) and cell["text"].endswith(DEMO_MARK):
                marked[index] = True
                cell["text"] = cell["text"].removesuffix(DEMO_MARK)
    return marked
