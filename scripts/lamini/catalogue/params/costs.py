"""Params of the tables of costs."""

from lamini.catalogue.params.common import BuilderParams


class CostBySourceParams(BuilderParams):
    """Params of `cost_by_source_table`."""

    sources: dict[str, str]
    """Symbol of each source of the analysed mixture."""


class CostByModelParams(BuilderParams):
    """Params of `cost_by_model_table`."""

    models: dict[str, str]
    """Display name of each evaluated model."""
    evaluation_rules: list[str]
    """Rules that evaluate a model, one for each batch of tasks."""
