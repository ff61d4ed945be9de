"""How many tokens texts have, without a tokenizer: Table 1's mean lengths, and a count of words."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lamini.catalogue.paper import PAPER
from lamini.errors import LaminiError

_PIECE = re.compile(r"\w+|[^\w\s]+|\n")
# What a chat costs beside its texts: marks and role of each message, the start of the answer.
_TOKENS_PER_MESSAGE = 4
_TOKENS_OF_REPLY = 3


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean tokens of a source's texts (Table 1)."""

    instruction: float
    response: float


def published_lengths(path: Path = Path(PAPER) / "dataset_statistics.csv") -> dict[str, Lengths]:
    """Mean lengths by source; those of the whole dataset under the empty name.

    Raises:
        LaminiError: when the file is missing.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            return {
                row["instruction_source"]: Lengths(
                    float(row["instruction_mean_tokens"]), float(row["response_mean_tokens"])
                )
                for row in csv.DictReader(handle)
            }
    except FileNotFoundError:
        raise LaminiError(f"{path}: no such file; run this in the project's folder") from None


def estimated_tokens(text: str) -> int:
    """Tokens of English text: words, runs of marks, line ends. Within a tenth of GPT-2's count."""
    return len(_PIECE.findall(text))


def chat_tokens(messages: Iterable[Mapping[str, str]]) -> int:
    """Prompt tokens of a chat request."""
    texts = [message["content"] for message in messages]
    own = sum(map(estimated_tokens, texts))
    return own + _TOKENS_PER_MESSAGE * len(texts) + _TOKENS_OF_REPLY
