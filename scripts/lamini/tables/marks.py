"""Marks (≠) on cells that compare scores which were measured differently."""

from collections.abc import Sequence

UNLIKE = "≠"
_MAX_PLACES = 3
"""Maximum number of places named in a note; the others are counted."""


class Marks:
    """Collects the marks of one table, and the notes that explain them.

    Args:
        reference: name of the compared scores, as worded in the notes.
    """

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self._places: dict[str, list[str]] = {}

    def suffix(self, place: str, facts: Sequence[str]) -> str:
        """Mark of a cell; empty if no fact differs.

        Args:
            place: name of the cell in the note.
            facts: the differing facts, from `lamini.evaluation.facts.differing`; the value of the
                reference comes first.
        """
        for fact in facts:
            self._places.setdefault(fact, []).append(place)
        return UNLIKE if facts else ""

    def notes(self) -> list[str]:
        """One line per differing fact, with the places where it differs."""
        start = f"{UNLIKE} not measured as {self._reference}"
        return [f"{start}: {fact} ({_listed(at)})." for fact, at in self._places.items()]


def _listed(places: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(places))
    more = len(distinct) - _MAX_PLACES
    return "; ".join([*distinct[:_MAX_PLACES], *([f"{more} more"] if more > 0 else [])])
