"""Params of the tables and figures of scores."""

from typing import Annotated

from pydantic import Field

from lamini.catalogue.params.common import (
    AnotherTeacher,
    BuilderParams,
    ModelPair,
    NamedModel,
    ScoredModel,
    SeedRuns,
)


class ScoresParams(BuilderParams):
    """Params of `scores_table`."""

    title: str
    models: list[ScoredModel]
    """Models of this run in the table."""
    published_models: list[str]
    """Display names of the published models in the table."""
    tasks: dict[str, str]
    """Display name of each task."""


class TaskDescription(BuilderParams):
    """A task in Table 8."""

    name: str
    category: str
    metric: str
    examples: int
    """Published number of examples."""


class AveragesParams(BuilderParams):
    """Params of `averages_table`."""

    models: list[ScoredModel]
    """Evaluated models."""
    bases: dict[str, str]
    """Key of the initialization of each student; both are evaluated."""
    reference_lines: list[str]
    """Keys of the reference models to which distances are shown."""
    tasks: dict[str, str]
    """Display name of each task."""
    seeds: Annotated[dict[str, SeedRuns], Field(exclude_if=lambda seeds: not seeds)] = {}
    """The sweeps' trainings of each student against its initialization, by student."""


class TaskScoresParams(BuilderParams):
    """Params of `task_scores_table` and `by_task_table`."""

    models: list[ScoredModel]
    """Evaluated models."""
    tasks: dict[str, TaskDescription]
    mixture: str
    """Mixture whose pairs are searched for evaluated examples."""
    words: int
    """Minimum length of a shared word sequence that counts as contamination."""
    another_teacher: AnotherTeacher = None


class TasksParams(BuilderParams):
    """Params of `tasks_table`."""

    tasks: dict[str, TaskDescription]


class ReproductionParams(BuilderParams):
    """Params of `reproduction_table`."""

    models: list[ScoredModel]
    """Models of this run that are in the paper."""
    tasks: dict[str, str]
    """Display name of each task."""
    another_teacher: AnotherTeacher = None


class ReproducedImprovementParams(BuilderParams):
    """Params of `reproduced_improvement_table`."""

    pairs: list[ModelPair]
    tasks: dict[str, str]
    """Display name of each task."""
    another_teacher: AnotherTeacher = None


class ImprovementParams(BuilderParams):
    """Params of `improvement_table`."""

    pairs: list[ModelPair]
    tasks: dict[str, str]
    """Display name of each task."""
    mixture: str
    """Mixture whose pairs are searched for evaluated examples."""
    words: int
    """Minimum length of a shared word sequence that counts as contamination."""


class CleanScoresParams(BuilderParams):
    """Params of `clean_scores_table`."""

    pairs: list[ModelPair]
    """Students with their initializations, and with their twins of a decontaminated mixture."""
    tasks: dict[str, str]
    """Display name of each task."""
    mixture: str
    """Mixture whose pairs were searched for evaluated examples."""
    words: int
    """Minimum length of a shared word sequence that counts as contamination."""


class AcceptanceParams(BuilderParams):
    """Params of `acceptance_table`."""

    models: list[NamedModel]
    tasks: dict[str, str]
    """Display name of each task."""


class FigureOfScoresParams(BuilderParams):
    """Params of `draw_scores`."""

    models: list[ScoredModel]
    reference_lines: list[str]
    """Keys of the models that are drawn as lines."""
    tasks: list[str]
    """Keys of the tasks."""
