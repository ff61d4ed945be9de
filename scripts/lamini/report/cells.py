"""Cells of tables (JSON) as the pages show them."""

from typing import Any

from lamini.tables.table import DEMO_MARK


def take_marks(table: dict[str, Any]) -> list[bool]:
    """Take the demo's mark from the numbers; returns which columns had it."""
    marked = [False] * len(table["columns"])
    for row in table["rows"]:
        for place, cell in enumerate(row):
            if not isinstance(cell["value"], str) and cell["text"].endswith(DEMO_MARK):
                marked[place] = True
                cell["text"] = cell["text"].removesuffix(DEMO_MARK)
    return marked
