"""Cost of the run: hours, memory and dollars of each rule."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from lamini.catalogue.params.common import NoParams
from lamini.paths import RESULTS
from lamini.status.requests import RULES
from lamini.status.usage import Total, read_usage, sum_usage
from lamini.tables.published import number, read_csv
from lamini.tables.rows import cells, column, headings
from lamini.tables.table import Table

ALL = "All"


@dataclass(frozen=True)
class CostRow:
    """A row of the table: one rule, or all rules."""

    rule: str = column("Rule", ours=False)
    jobs: int = column("Jobs")
    hours: float = column("Hours", digits=2)
    core_hours: float = column("Core-hours", digits=2)
    gpu_hours: float = column("GPU-hours", digits=2)
    memory: float = column("Peak memory, GiB", digits=1)
    dollars: float | None = column("US$", digits=2)


def cost_table(params: NoParams, generation: Path | None = None) -> Table:
    """Jobs, hours, peak memory and dollars by rule, from the benchmark files of finished jobs.

    Args:
        params: not used.
        generation: CSV of requests and dollars; None when the published dataset is used.
    """
    usages, unreadable = read_usage(RESULTS)
    total = sum_usage(usages)
    dollars = _dollars(generation)
    rows = [
        _row(rule, used, dollars.get(rule))
        for rule, used in sorted(total.rules.items(), key=lambda item: -item[1].seconds)
    ]
    spent = sum(dollars.values()) if dollars else None
    return Table(
        columns=headings(CostRow),
        rows=[cells(row) for row in [*rows, _row(ALL, total, spent)]],
        notes=[
            "Hours: wall time of the jobs one after another. Core-hours and GPU-hours: what was"
            " reserved. A job counts with its last good run.",
            "US$: paid to the teacher, by the prices in the configuration.",
            *(f"Not readable: {path}" for path in unreadable),
        ],
    )


def _row(rule: str, used: Total, dollars: float | None) -> CostRow:
    hours = (used.seconds / 3600, used.cpu_hours, used.gpu_hours)
    return CostRow(rule, used.jobs, *hours, used.memory_mib / 1024, dollars)


def _dollars(path: Path | None) -> dict[str, float]:
    """Dollars by rule."""
    spent: dict[str, float] = defaultdict(float)
    for row in read_csv(path) if path else []:
        if row["stage"] in RULES:
            spent[RULES[row["stage"]]] += number(row["dollars"]) or 0.0
    return dict(spent)
