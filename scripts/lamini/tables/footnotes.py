"""Footnotes of tables that compare scores which were measured differently."""

from collections.abc import Sequence

NOT_COMPARABLE = "≠"
_MAX_NAMES = 3
"""Maximum number of names in a note; the others are counted."""


class Footnotes:
    """Collects the footnotes of one table, and gives each cell its footnote sign.

    Args:
        reference: name of the compared scores, as worded in the notes.
    """

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self._cells: dict[str, list[str]] = {}

    def suffix(self, cell: str, differences: Sequence[str]) -> str:
        """Footnote sign of a cell; empty without differences.

        Args:
            cell: name of the cell in the note.
            differences: from `lamini.evaluation.conditions.differing`; the reference's value comes
                first.
        """
        for difference in differences:
            self._cells.setdefault(difference, []).append(cell)
        return NOT_COMPARABLE if differences else ""

    def notes(self) -> list[str]:
        """One line per difference, with the cells that have it."""
        start = f"{NOT_COMPARABLE} not measured as {self._reference}"
        return [
            f"{start}: {difference} ({first_names(at)})." for difference, at in self._cells.items()
        ]


def first_names(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    distinct = list(dict.fromkeys(names))
    more = len(distinct) - _MAX_NAMES
    return "; ".join([*distinct[:_MAX_NAMES], *([f"{more} more"] if more > 0 else [])])
