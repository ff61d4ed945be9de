"""The front page: summary of the run, agreement with the paper, and costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lamini.tables.cost_table import ALL as ALL_RULES
from lamini.tables.cost_table import CostRow
from lamini.tables.dataset_tables import GenerationRow
from lamini.tables.reproduction_table import ALL as ALL_FAMILIES
from lamini.tables.reproduction_table import ReproductionRow
from lamini.tables.rows import read_rows

Table = Mapping[str, Any]


def agreement(reproduction: Table) -> dict[str, list[ReproductionRow]]:
    """Rows of the table `reproduction` (JSON) with compared scores, as `all` and `families`."""
    rows = [row for row in read_rows(ReproductionRow, reproduction) if row.compared]
    every = [row for row in rows if row.family == ALL_FAMILIES]
    return {"all": every, "families": [row for row in rows if row not in every]}


@dataclass(frozen=True)
class Asked:
    """Number of requests to the teacher, tokens and dollars."""

    requests: float
    prompt_tokens: float
    completion_tokens: float
    dollars: float


def asked(generation: Table) -> Asked:
    """Totals of the table `generation` (JSON)."""
    rows = read_rows(GenerationRow, generation)
    return Asked(
        requests=sum(row.requests or 0 for row in rows),
        prompt_tokens=sum(row.prompt_tokens or 0 for row in rows),
        completion_tokens=sum(row.completion_tokens or 0 for row in rows),
        dollars=sum(row.dollars or 0 for row in rows),
    )


def costs(cost: Table) -> CostRow:
    """Total row (all rules) of the table `cost` (JSON)."""
    return next(row for row in read_rows(CostRow, cost) if row.rule == ALL_RULES)


def summary_line(summary: Mapping[str, Any]) -> str:
    """Number of ratings of a study, of how many assigned, by people and by a machine."""
    names = {"human": "people", "machine": "a machine"}
    said = [
        f"{count:,} of {summary['assigned'][rater]:,} by {names[rater]}"
        for rater, count in summary["rated"].items()
        if count
    ]
    return ", ".join(said) or "no ratings yet"
