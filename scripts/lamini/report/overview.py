"""The front page: what was run, whether it reproduces the paper, and what it cost."""

from collections.abc import Mapping
from typing import Any

Table = dict[str, Any]
Facts = dict[str, Any]


def agreement(table: Table) -> Facts:
    """How many published scores lie within our intervals, and the yardsticks of that count.

    Args:
        table: JSON of the table `reproduction`.

    Returns:
        `all` and `families`: rows of all students and all reference models together, and of single
        families. Each has `family`, `group` (whose scores), `compared`, `within` (counts), `share`
        (percent), `untrained` (count) and `another` (percent), the last two null for reference
        models. Rows without a score are left out.
    """
    rows = [
        {
            "family": row["Family"],
            "group": row["Models"],
            "compared": row["Scores compared"],
            "within": row["Within our 95 % interval"],
            "share": row["Within, %"],
            "untrained": row["If untrained"],
            "another": row["If another student, %"],
        }
        for row in (_named(table, row) for row in table["rows"])
        if row["Scores compared"]
    ]
    return {
        "all": [row for row in rows if row["family"] == "All"],
        "families": [row for row in rows if row["family"] != "All"],
    }


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
