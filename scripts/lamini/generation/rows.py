"""Rows of the generation's JSONL files, by their columns."""

from collections.abc import Iterator
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from lamini.files import read_jsonl


class PromptRow(TypedDict):
    """A seed prompt (`prepare_prompts`)."""

    id: str
    instruction: str
    subset: str
    later_turns: NotRequired[list[str]]
    """The user turns of a conversation after the first."""


class InstructionRow(TypedDict):
    """A generated instruction (`generate_instructions`)."""

    id: str
    instruction: str
    instruction_source: str
    subset: str | None
    """Subset of the shown prompts; null if they were drawn from all."""
    topics: tuple[str, ...]
    examples: tuple[str, ...]
    """Ids of the prompts that were shown."""
    request: str
    """Key of the request in the ledger."""


class QueryRow(TypedDict):
    """An instruction to answer (`select_queries`)."""

    id: str
    instruction: str
    instruction_source: str
    subset: str | None
    later_turns: NotRequired[list[str]]
    """As in `PromptRow`."""


class PairRow(TypedDict):
    """An instruction and its response (`generate_pairs`)."""

    id: str
    instruction: str
    response: str
    instruction_source: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    model: str
    request: str
    """Key of the request in the ledger."""
    flags: list[str]
    """Any of refusal, empty, truncated."""
    thoughts: NotRequired[str]
    """Thoughts of a reasoning model, if it has any."""
    answers: NotRequired[int]
    """Number of answers of which this one was chosen."""
    sample: NotRequired[int]
    """Index of the chosen answer."""
    agreement: NotRequired[float]
    """Mean ROUGE-L of the chosen answer with the others, 0 to 1."""
    level: NotRequired[str | None]
    """Level of the chosen answer by the teacher's verdict; null: none."""
    messages: NotRequired[list[dict[str, str]]]
    """All turns of a conversation."""


def read_queries(path: Path) -> Iterator[QueryRow]:
    """Yield the rows of a shard of queries."""
    return cast("Iterator[QueryRow]", read_jsonl(path))
