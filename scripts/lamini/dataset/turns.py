"""The turns of conversations in a dataset: its column `messages`.

Only datasets with conversations have the column; it is null for rows that are pairs. `instruction`
and `response` are the first two turns.
"""

from collections.abc import Collection
from typing import NotRequired, TypedDict

import numpy as np
import pyarrow as pa

from lamini.conversations import is_conversation, turn
from lamini.dataset.personal_data import masked
from lamini.settings.dataset import PersonalKind, Thinking
from lamini.thoughts import split_thoughts, with_thoughts

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
MESSAGES = pa.field("messages", pa.list_(_MESSAGE))
"""Column of datasets with conversations."""
PAIR_MESSAGES = pa.field(
    "messages", pa.list_(pa.struct([*_MESSAGE, pa.field("thoughts", pa.string())]))
)
"""The column in pair shards: answers may have thoughts."""


class _PairMessage(TypedDict):
    """A message of a pair shard."""

    role: str
    content: str
    thoughts: NotRequired[str | None]


def no_conversations(table: pa.Table) -> np.ndarray:
    """Mask of the rows whose messages are no conversation that ends with an answer."""
    conversations = table[MESSAGES.name].to_pylist()
    return np.array(
        [turns is not None and not is_conversation(turns) for turns in conversations], np.bool_
    )


def written(
    table: pa.Table, thinking: Thinking | None, kinds: Collection[PersonalKind]
) -> tuple[pa.Table, int]:
    """The rows with `messages` as the dataset has them, and the number of masked texts.

    Args:
        table: rows of conversations and pairs, with thoughts apart or in the answers.
        thinking: what becomes of the thoughts.
        kinds: personal data to mask.
    """
    rows: list[list[_PairMessage] | None] = table[MESSAGES.name].to_pylist()
    every = [message for turns in rows for message in turns or []]
    texts = pa.chunked_array([[_text(message, thinking) for message in every]], pa.string())
    texts, changed = masked(texts, kinds) if kinds else (texts, 0)
    known = iter(texts.to_pylist())
    new = [
        None if turns is None else [turn(message["role"], next(known)) for message in turns]
        for turns in rows
    ]
    column = pa.chunked_array([pa.array(new, MESSAGES.type)])
    index = table.schema.get_field_index(MESSAGES.name)
    return table.set_column(index, MESSAGES, column), changed


def _text(message: _PairMessage, thinking: Thinking | None) -> str:
    """A message's text; an answer's thoughts are written before it, or removed."""
    text = message["content"]
    if message["role"] == "user" or thinking is None:
        return text
    answer, inside = split_thoughts(text)
    thoughts = message.get("thoughts") or inside
    return answer if thinking == "strip" else with_thoughts(thoughts, answer)
