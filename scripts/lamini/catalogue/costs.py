"""Report section: costs of the run."""

from lamini import paths
from lamini.catalogue.entries import Section, TableEntry

COSTS = Section(
    "costs",
    "Costs",
    "Hours, memory and dollars of each rule.",
    tables=(
        TableEntry(
            "cost",
            title="What the run cost.",
            builder="lamini.tables.cost_table:cost_table",
            inputs=lambda run: {"generation": paths.GENERATION} if run.generated else {},
            last=True,
        ),
    ),
)
