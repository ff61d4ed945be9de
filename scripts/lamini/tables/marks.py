"""Marks at cells that set scores side by side which were not measured alike."""

from collections.abc import Sequence

UNLIKE = "≠"
_PLACES = 3
"""So many places of a note are named; the others are counted."""


class Marks:
    """Gives the marks of one table, and the notes that explain them.

    Args:
        reference: what a marked cell is compared with, as the notes say it.
    """

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self._places: dict[str, list[str]] = {}

    def suffix(self, place: str, facts: Sequence[str]) -> str:
        """The mark of a cell, or nothing.

        Args:
            place: of the cell, for the note.
            facts: that differ, the reference's first (`lamini.evaluation.facts.differing`).
        """
        for fact in facts:
            self._places.setdefault(fact, []).append(place)
        return UNLIKE if facts else ""

    def notes(self) -> list[str]:
        """One line for each fact that differs somewhere."""
        start = f"{UNLIKE} not measured as {self._reference}"
        return [f"{start}: {fact} ({_listed(at)})." for fact, at in self._places.items()]


def _listed(places: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(places))
    more = len(distinct) - _PLACES
    return "; ".join([*distinct[:_PLACES], *([f"{more} more"] if more > 0 else [])])
