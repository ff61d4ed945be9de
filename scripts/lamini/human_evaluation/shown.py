"""Which ratings are shown: people's, as soon as there are any, or else the judge's."""

import csv
from dataclasses import dataclass
from pathlib import Path

from lamini.human_evaluation.protocol import LEVELS

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class ShownRatings:
    """Ratings of one kind of rater; the two are never shown as one."""

    rows: list[Row]
    rater: str
    """`human` or `machine`."""
    assigned: int
    """How many there will be when all is rated."""

    @property
    def label(self) -> str:
        """Whose they are, and whether some are missing yet."""
        if self.rater == "machine":
            return "rated by a machine, not by people"
        if len(self.rows) < self.assigned:
            return f"rated by people, {len(self.rows)} of {self.assigned} ratings so far"
        return "rated by people"


def read_shown(path: str | Path) -> ShownRatings:
    """Choose from a study's `ratings.csv`."""
    with open(path, encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    rated = {
        rater: [row for row in rows if row["rater"] == rater and row["rating"] in LEVELS]
        for rater in ("human", "machine")
    }
    rater = "machine" if rated["machine"] and not rated["human"] else "human"
    return ShownRatings(rated[rater], rater, sum(row["rater"] == rater for row in rows))
