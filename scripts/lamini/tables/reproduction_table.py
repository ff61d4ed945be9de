"""Whether the run reproduces the paper's scores: how many lie within our intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lamini.tables.evaluation_tables import read_scores
from lamini.tables.published import published_scores
from lamini.tables.table import Cell, Table, text_cell

Params = dict[str, Any]
Inputs = dict[str, Any]
GROUPS = {"student": "students", "reference": "reference models"}


@dataclass
class Agreement:
    """Our scores of some models against the published ones."""

    models: set[str] = field(default_factory=set)
    differences: list[float] = field(default_factory=list)
    """Ours less the published, in points."""
    within: int = 0
    """Published scores inside the 95 % interval of ours."""

    def add(self, model: str, result: dict[str, Any], published: float) -> None:
        """Count one model on one task."""
        low, high = result["interval"]
        self.models.add(model)
        self.differences.append(result["score"] - published)
        self.within += low <= published <= high

    def cells(self) -> list[Cell]:
        """Models, scores compared, scores within, their share, and both means of differences."""
        compared = len(self.differences)
        share = 100 * self.within / compared if compared else None
        counts = [Cell(n, ours=True) for n in (len(self.models), compared, self.within)]
        return [
            *counts,
            Cell(share, ours=True, digits=1),
            Cell(_mean(self.differences), ours=True, digits=2, signed=True),
            Cell(_mean([abs(d) for d in self.differences]), ours=True, digits=2),
        ]


def reproduction_table(name: str, inputs: Inputs, params: Params) -> Table:
    """Scores compared and scores that agree, by family and role, and in all.

    Args:
        name: of the table.
        inputs: `evals` (JSON files; missing where no model is the paper's), `published` (CSV).
        params: `models` (key, name, family, role of those in both), `tasks` (key to name),
            `reproduction`.
    """
    results = read_scores(inputs.get("evals", ()))
    published = published_scores(inputs["published"])
    groups: dict[tuple[str, str], Agreement] = {}
    everything = Agreement()
    for model in params["models"]:
        group = groups.setdefault((model["family"], model["role"]), Agreement())
        for task, title in params["tasks"].items():
            before = published[model["name"]].get(title)
            if before is not None:
                for agreement in (group, everything):
                    agreement.add(model["name"], results[model["key"]][task], before)
    rows = [
        [text_cell(family), text_cell(GROUPS[role]), *groups[family, role].cells()]
        for family, role in groups
    ]
    return Table(
        name=name,
        title="Does the run reproduce the paper? Our scores against the published ones.",
        columns=[
            "Family", "Models", "How many", "Scores compared", "Within our 95 % interval",
            "Within, %", "Mean difference", "Mean absolute difference",
        ],
        rows=[*rows, [text_cell("All"), text_cell("all"), *everything.cells()]],
        notes=[
            "One score is one model on one task. The published scores have no intervals.",
            *([] if rows else ["None of the paper's models took part in this run."]),
        ],
        reproduction=params["reproduction"],
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
