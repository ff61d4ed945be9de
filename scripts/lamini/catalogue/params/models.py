"""Params of the tables and figures of the students and their training."""

from typing import Literal

from lamini.catalogue.params.common import BuilderParams, NamedModel


class Student(NamedModel):
    """A student and its training."""

    architecture: Literal["encoder-decoder", "decoder-only"]
    initialization: str
    """Display name of its initialization."""
    learning_rate: float


class CollectionParams(BuilderParams):
    """Params of `collection_table`."""

    students: list[Student]
    trained: bool
    """Whether this run trains them; if not, their released checkpoints are used."""


class TrainingParams(BuilderParams):
    """Params of `training_table` and `draw_learning_curves`."""

    students: list[Student]


class ExportsParams(BuilderParams):
    """Params of `exports_table`."""

    models: dict[str, str]
    """Display name of each exported student."""
    task: str
    """Display name of the task."""
