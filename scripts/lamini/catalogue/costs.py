"""Report section: costs of the run."""

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
            inputs=lambda run: (
                {"generation": "results/analysis/generation.csv"} if run.generated else {}
            ),
            last=True,
        ),
    ),
)
