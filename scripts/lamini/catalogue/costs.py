"""Report section: costs of the run."""

from lamini import paths
from lamini.catalogue.entries import Section, TableEntry
from lamini.catalogue.params.costs import CostByModelParams, CostBySourceParams
from lamini.catalogue.run import RuleFiles, Run


def _generation(run: Run) -> RuleFiles:
    return {"generation": paths.GENERATION} if run.generated else {}


def _sources(run: Run) -> CostBySourceParams:
    sources = run.config.mixtures[run.mixture].sources
    return CostBySourceParams(sources={name: run.symbols[name] for name in sources})


def _models(run: Run) -> CostByModelParams:
    return CostByModelParams(
        models={m: run.config.models[m].name for m in run.flow.evaluated_models},
        evaluation_rules=[f"evaluate_{batch}" for batch in run.flow.batches],
    )


COSTS = Section(
    "costs",
    "Costs",
    "Hours, memory and dollars of each rule, source and model.",
    tables=(
        TableEntry(
            "cost",
            title="What the run cost.",
            builder="lamini.tables.cost_table:cost_table",
            inputs=_generation,
            last=True,
        ),
        TableEntry(
            "cost_by_source",
            title="What each source cost.",
            builder="lamini.tables.cost_parts:cost_by_source_table",
            inputs=_generation,
            params=_sources,
            when=lambda run: run.generated,
            last=True,
        ),
        TableEntry(
            "cost_by_model",
            title="What each model cost.",
            builder="lamini.tables.cost_parts:cost_by_model_table",
            inputs=lambda run: {},
            params=_models,
            last=True,
        ),
    ),
)
