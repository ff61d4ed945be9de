"""The front page: what was run, whether it reproduces the paper, and what it cost."""

from collections.abc import Mapping
from typing import Any

Table = dict[str, Any]
Facts = dict[str, Any]


def agreement(table: Table) -> Facts:
    """How many published scores lie within our intervals, from the last row of `reproduction`.

    Args:
        table: JSON of that table.

    Returns:
        `models`, `compared`, `within` (counts), `share` (percent, or None without a score), and
        `families`, the same of each row before the last.
    """
    rows = [_named(table, row) for row in table["rows"]]
    *families, everything = [
        {
            "family": row["Family"],
            "group": row["Models"],
            "models": row["How many"],
            "compared": row["Scores compared"],
            "within": row["Within our 95 % interval"],
            "share": row["Within, %"],
        }
        for row in rows
    ]
    return everything | {"families": families}


def costs(tables: Mapping[str, Table]) -> Facts:
    """Hours of all rules, and what the teacher was asked and paid.

    Args:
        tables: JSON of the tables by name; `generation` is missing with the published dataset.
    """
    total = _named(tables["cost"], tables["cost"]["rows"][-1])
    facts = {
        "hours": total["Hours"],
        "core_hours": total["Core-hours"],
        "gpu_hours": total["GPU-hours"],
        "jobs": total["Jobs"],
    }
    generation = tables.get("generation")
    if generation is not None:
        rows = [_named(generation, row) for row in generation["rows"]]
        for key, column in (
            ("requests", "Requests"),
            ("prompt_tokens", "Prompt tokens"),
            ("completion_tokens", "Completion tokens"),
            ("dollars", "US$"),
        ):
            facts[key] = sum(row[column] or 0 for row in rows)
    return facts


def summary_line(summary: Facts) -> str:
    """How many ratings a study has, of how many, and whose."""
    names = {"human": "people", "machine": "a machine"}
    said = [
        f"{count:,} of {summary['assigned'][rater]:,} by {names[rater]}"
        for rater, count in summary["rated"].items()
        if count
    ]
    return ", ".join(said) or "no ratings yet"


def _named(table: Table, row: list[Facts]) -> Facts:
    """Values of one row by heading."""
    return dict(zip(table["columns"], (cell["value"] for cell in row), strict=True))
