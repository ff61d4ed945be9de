"""Reports and funnels of the generation: counts by shard, and rows left after each filter."""

from typing import Annotated, Any

from pydantic import Field

from lamini.json_file import JsonFile
from lamini.teacher.report import ShardReport


class InstructionReport(ShardReport):
    """Report of a shard of instructions; its parse rate is `well_formed` / `asked`."""

    complete: bool
    """Whether the shard has all wanted instructions."""
    max_requests: int
    asked: int
    """Number of requested instructions, over all requests."""
    well_formed: int
    """Number of instructions that the parser accepted."""
    rejected: dict[str, int]
    """Number of rejects by reason."""
    examples_too_long: int
    """Number of prompts that are too long to be shown as examples."""
    subsets_too_small: int
    """Number of subsets with too few prompts for the examples of one request."""


class PairReport(ShardReport):
    """Report of a shard of pairs."""

    flags: dict[str, int]
    """Number of responses by flag."""
    turns: Annotated[dict[str, int], Field(default_factory=dict)]
    """Number of conversations by their number of user turns; omitted for pairs."""
    ended: Annotated[dict[str, int], Field(default_factory=dict)]
    """Number of conversations with fewer turns than wanted, by reason; omitted for pairs."""


class FunnelStage(JsonFile):
    """Number of rows that are left after a filter."""

    stage: str
    left: int

    @classmethod
    def of_counts(cls, counts: dict[str, int]) -> "list[FunnelStage]":
        """Stages from the numbers of rows by filter, in their order."""
        return [cls(stage=stage, left=left) for stage, left in counts.items()]


class FilterFunnel(JsonFile):
    """Numbers of rows that were read, and left after each filter."""

    stages: list[FunnelStage]

    @property
    def read_rows(self) -> int:
        """Number of rows that were read."""
        return self.stages[0].left

    @property
    def left(self) -> int:
        """Number of rows that passed all filters."""
        return self.stages[-1].left


class TopicFunnel(FilterFunnel):
    """Content of `results/topics/funnel.json`."""

    broken: dict[str, int]
    """Number of unreadable rows by reason."""


class PromptFunnel(FilterFunnel):
    """Content of `results/prompts/{source}.funnel.json`."""

    source: str
    rejected: dict[str, int]
    """Number of rejected rows by reason."""
    rejected_rows: list[dict[str, Any]]
    """File, row and reason of the first rejected rows."""
    subsets: int
    prompts_per_subset: dict[str, int]


class QueryFunnel(FilterFunnel):
    """Content of `results/queries/{source}.funnel.json`."""

    source: str
    shards: int
    """Number of shards of queries."""
