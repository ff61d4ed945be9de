"""Params of the rules of topics, prompts, instructions, queries and pairs."""

from typing import Annotated, Literal

from pydantic import Field

from lamini.settings.base import Settings
from lamini.settings.dataset import Deduplication
from lamini.settings.human_evaluation import Judge, RatingProtocol
from lamini.settings.params.common import UserFilesDigest
from lamini.settings.sources import Download, InstructionGeneration, SeedData, Topics
from lamini.settings.teacher import InstructionRequests, Price, ResponseRequests, Sampling


class DownloadFile(Download):
    """Params of rule `download_file`."""


class PreparePrompts(Settings):
    """Params of rule `prepare_prompts`."""

    source: str
    seeds: SeedData
    files: UserFilesDigest
    samples: int | None
    """Maximum number of prompts; null: all."""
    seed: int
    version: int


class SelectTopics(Settings):
    """Params of rule `select_topics`."""

    topics: Topics
    files: UserFilesDigest


class GenerateInstructions(Settings):
    """Params of rule `generate_instructions`, for one shard."""

    source: str
    generation: InstructionGeneration
    model: str
    """The teacher's model name."""
    requests: InstructionRequests
    """`teacher.instructions`; the source's own `generation.requests` has priority."""
    seed_requests: bool
    count: int
    """Number of accepted instructions to generate."""
    seed: int
    version: int
    files: Annotated[UserFilesDigest, Field(exclude_if=lambda digest: digest is None)] = None
    """Digest of a user-provided prompt template; omitted for the packaged template."""


class SelectQueries(Settings):
    """Params of rule `select_queries`."""

    source: str
    deduplication: Deduplication
    shards: int
    version: int


class SeveralAnswers(Settings):
    """Several answers to each query, of which the best is kept."""

    per_query: int
    by: Literal["agreement", "judge"]
    judge: Annotated[Judge | None, Field(exclude_if=lambda judge: judge is None)] = None
    """Only for the choice by judge, as is `protocol`."""
    protocol: Annotated[RatingProtocol | None, Field(exclude_if=lambda name: name is None)] = None


class Turns(Settings):
    """Further turns of conversations."""

    count: int
    """Number of user turns of a conversation."""
    template: str
    """Jinja text of the prompt that asks for a user turn."""
    sampling: Sampling


class GeneratePairs(Settings):
    """Params of rule `generate_pairs`."""

    source: str
    model: str
    """The teacher's model name."""
    responses: ResponseRequests
    seed_requests: bool
    seed: int
    several: Annotated[SeveralAnswers | None, Field(exclude_if=lambda several: several is None)] = (
        None
    )
    """Omitted with one answer to each query."""
    turns: Annotated[Turns | None, Field(exclude_if=lambda turns: turns is None)] = None
    """Omitted with one turn."""


Prices = dict[str, Price]
"""Params of rule `summarize_generation`: prices by the teacher's model name."""
