"""Base classes of all params, and parts that several of them contain."""

from collections.abc import Callable
from inspect import signature
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

AnotherTeacher = Annotated[
    str | None, Field(description="the teacher of a replication (`Run.another_teacher`)")
]


class BuilderParams(BaseModel):
    """Params of a builder. Unknown fields are errors; values cannot change."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=True,  # every job loads all classes and uses few
    )

    def as_params(self) -> dict[str, Any]:
        """JSON-ready values in declaration order, used as a rule's `params`."""
        return self.model_dump(mode="json")


class NoParams(BuilderParams):
    """Params of a builder that depends on its inputs only."""


class CommonParams(BuilderParams):
    """Params that all tables and figures have."""

    reproduction: bool
    """Whether the run reproduces the paper; if not, each of its numbers is marked."""
    published_files: str | None
    """Digest of the published numbers (`config/paper`)."""
    version: int


class ItemParams(CommonParams):
    """Params of rules `make_table` and `draw_figure`; the builder's are the extra fields."""

    model_config = ConfigDict(extra="allow")

    kind: str
    """Name of the builder, so that another builder reruns the job."""

    def of_builder(self, builder: Callable[..., Any]) -> BuilderParams:
        """Params of a builder, in the class of its parameter `params`."""
        params: type[BuilderParams] = signature(builder).parameters["params"].annotation
        return params.model_validate(self.model_extra)


class NamedModel(BuilderParams):
    """A model of this run."""

    key: str
    """Key in the configuration."""
    name: str
    """Display name, as in the paper."""


class ScoredModel(NamedModel):
    """A model in tables and figures of scores."""

    role: Literal["student", "reference"]
    architecture: Literal["encoder-decoder", "decoder-only"]
    family: str
    parameters: int
    """Number of parameters."""


SeedRuns = list[list[tuple[str, str]]]
"""Trainings of a student with several seeds, by size of the data: key of each, and the key of the
model that it is compared with."""


class ModelPair(BuilderParams):
    """A student and its baseline: its initialization, or its twin of another mixture."""

    student: NamedModel
    baseline: NamedModel
    seeds: Annotated[SeedRuns, Field(exclude_if=lambda runs: not runs)] = []
    """The sweeps' trainings of the student; empty if no sweep has several seeds of it."""


class SourceParams(BuilderParams):
    """Params of all tables of a mixture's sources."""

    mixture: str
    """Name of the analysed mixture."""
    symbols: dict[str, str]
    """The paper's symbol of each source."""
