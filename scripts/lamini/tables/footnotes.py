"""Footnotes of tables that compare scores which were measured differently."""

from collections.abc import Sequence

NOT_COMPARABLE = "≠"
_MAX_PLACES = 3
"""Maximum number of places named in a note; the others are counted."""


class Footnotes:
    """Collects the footnotes of one table, and gives each cell its footnote sign.

    Args:
        reference: name of the compared scores, as worded in the notes.
    """

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self._places: dict[str, list[str]] = {}

    def suffix(self, place: str, facts: Sequence[str]) -> str:
        """Footnote sign of a cell; empty if no fact differs.

        Args:
            place: name of the cell in the note.
            facts: the differing facts, from `lamini.evaluation.facts.differing`; the value of the
                reference comes first.
        """
        for fact in facts:
            self._places.setdefault(fact, []).append(place)
        return NOT_COMPARABLE if facts else ""

    def notes(self) -> list[str]:
        """One line per differing fact, with the places where it differs."""
        start = f"{NOT_COMPARABLE} not measured as {self._reference}"
        return [f"{start}: {fact} ({first_places(at)})." for fact, at in self._places.items()]


def first_places(places: Sequence[str]) -> str:
    """The first places, and the number of the others."""
    distinct = list(dict.fromkeys(places))
    more = len(distinct) - _MAX_PLACES
    return "; ".join([*distinct[:_MAX_PLACES], *([f"{more} more"] if more > 0 else [])])
