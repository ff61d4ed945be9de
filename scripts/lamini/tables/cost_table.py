"""What the run cost: hours, memory and dollars of each rule."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from lamini.status.requests import RULES
from lamini.status.usage import Total, read_usage, sum_usage
from lamini.tables.published import number, read_csv
from lamini.tables.table import Cell, Table, text_cell

Params = dict[str, Any]
Inputs = dict[str, Any]
RESULTS = Path("results")


def cost_table(name: str, inputs: Inputs, params: Params) -> Table:
    """Jobs, hours, peak memory and dollars by rule, from the benchmark files of finished jobs.

    Args:
        name: of the table.
        inputs: `made` (whatever must be finished before costs are summed up), `generation` (CSV of
            requests and dollars; missing when the published dataset is used).
        params: `reproduction`.
    """
    usages, unreadable = read_usage(RESULTS)
    total = sum_usage(usages)
    dollars = _dollars(inputs.get("generation"))
    rows = [
        [text_cell(rule), *_cells(used, dollars.get(rule))]
        for rule, used in sorted(total.rules.items(), key=lambda item: -item[1].seconds)
    ]
    spent = sum(dollars.values()) if dollars else None
    return Table(
        name=name,
        title="What the run cost.",
        columns=[
            "Rule", "Jobs", "Hours", "Core-hours", "GPU-hours", "Peak memory, GiB", "US$",
        ],
        rows=[*rows, [text_cell("All"), *_cells(total, spent)]],
        notes=[
            "Hours: wall time of the jobs one after another. Core-hours and GPU-hours: what was"
            " reserved. A job counts with its last good run.",
            "US$: paid to the teacher, by the prices in the configuration.",
            *(f"Not readable: {path}" for path in unreadable),
        ],
        reproduction=params["reproduction"],
    )  # fmt: skip


def _cells(used: Total, dollars: float | None) -> list[Cell]:
    hours = (used.seconds / 3600, used.cpu_hours, used.gpu_hours)
    return [
        Cell(used.jobs, ours=True),
        *(Cell(value, ours=True, digits=2) for value in hours),
        Cell(used.memory_mib / 1024, ours=True, digits=1),
        Cell(dollars, ours=True, digits=2),
    ]


def _dollars(path: str | None) -> dict[str, float]:
    """Dollars by rule."""
    spent: dict[str, float] = defaultdict(float)
    for row in read_csv(path) if path else []:
        if row["stage"] in RULES:
            spent[RULES[row["stage"]]] += number(row["dollars"]) or 0.0
    return dict(spent)
