"""Choice of the ratings to show: human ratings if there are any, else the judge's."""

import csv
from dataclasses import dataclass
from pathlib import Path

from lamini.human_evaluation.rating_protocols import LEVELS

RatingRow = dict[str, str]
"""Columns of a row of `ratings.csv`."""


@dataclass(frozen=True, slots=True)
class ShownRatings:
    """Ratings of one kind of rater; human and machine ratings are never mixed."""

    rows: list[RatingRow]
    rater: str
    """`human` or `machine`."""
    assigned: int
    """Number of ratings of the complete study."""

    @property
    def label(self) -> str:
        """Description of the raters, and of missing ratings."""
        if self.rater == "machine":
            return "rated by a machine, not by people"
        if len(self.rows) < self.assigned:
            return f"rated by people, {len(self.rows)} of {self.assigned} ratings so far"
        return "rated by people"


def read_shown(path: str | Path) -> ShownRatings:
    """Read the ratings to show from a study's `ratings.csv`."""
    with open(path, encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    rated = {
        rater: [row for row in rows if row["rater"] == rater and row["rating"] in LEVELS]
        for rater in ("human", "machine")
    }
    rater = "machine" if rated["machine"] and not rated["human"] else "human"
    return ShownRatings(rated[rater], rater, sum(row["rater"] == rater for row in rows))
