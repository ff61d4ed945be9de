"""Tokenized prompts; the start of a too long instruction is cut, its prompt format stays whole."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamini.arrays import Integers
from lamini.errors import LaminiError
from lamini.prompt_formats import PromptFormat

logger = logging.getLogger("lamini")


@dataclass(frozen=True)
class Prompt:
    """Prompt as sent to the model."""

    text: str
    tokens: list[int]
    dropped: int
    """Number of tokens cut from the start of the instruction."""


@dataclass(frozen=True)
class PromptSpans:
    """Token positions of head, instruction and tail in one prompt.

    The head is everything before the instruction: special tokens that the tokenizer adds, and the
    prompt format's text. The tail is everything after it. A token with characters of both belongs
    to the instruction.
    """

    text: str
    offsets: list[tuple[int, int]]
    """First character and end (exclusive) of each token; equal for an added special token."""
    start: int
    """Index of the instruction's first character."""
    head: int
    """Number of tokens in the head."""
    tail: int
    """Number of tokens in the tail."""

    def cut_text(self, room: int) -> str:
        """Cut the start of the instruction so that about `room` tokens remain.

        Args:
            room: maximum number of tokens; more than the tokens of head and tail.
        """
        last_dropped = self.head + len(self.offsets) - room - 1
        # Several tokens may encode one character; it is removed completely.
        begin = max(self.offsets[last_dropped][1], self.start + 1)
        return self.text[: self.start] + self.text[begin:]


def special_options(
    prompt_format: PromptFormat | None, special: bool | None = None
) -> dict[str, bool]:
    """Arguments of a tokenizer: whether it adds its special tokens to a prompt.

    Args:
        prompt_format: prompt format; null: none.
        special: the protocol's choice; null: the tokenizer's default. A prompt format that has the
            special tokens in its text gets no others.
    """
    if prompt_format is not None and prompt_format.has_special_tokens:
        return {"add_special_tokens": False}
    return {} if special is None else {"add_special_tokens": special}


def prompt_spans(
    tokenizer: Any, prompt_format: PromptFormat | None, text: str, special: bool | None = None
) -> PromptSpans:
    """Find the tokens of the prompt format in a prompt.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        prompt_format: prompt format; null: none.
        text: the whole prompt.
        special: whether the tokenizer adds its special tokens; null: its default.
    """
    before = after = ""
    if prompt_format is not None:  # a prompt with further turns has another head or tail
        before = prompt_format.before if text.startswith(prompt_format.before) else ""
        after = prompt_format.after if text.endswith(prompt_format.after) else ""
    options = special_options(prompt_format, special)
    offsets = tokenizer(text, return_offsets_mapping=True, verbose=False, **options)[
        "offset_mapping"
    ]
    start, end = len(before), len(text) - len(after)
    # An added token has no characters. Its offset is 0 before the text, 0 or the end after it.
    inside = [n for n, (a, b) in enumerate(offsets) if a < b and b > start and a < end]
    head, tail = (inside[0], len(offsets) - 1 - inside[-1]) if inside else (len(offsets), 0)
    return PromptSpans(text, offsets, start, head, tail)


def cut_left(tokens: Integers, head: int, room: int) -> Integers:
    """Keep the head of a prompt and its last tokens, `room` tokens in total.

    Args:
        tokens: token ids of the prompt. Shape (N,), N > `room`.
        head: number of tokens to keep at the start, at most `room`.
        room: number of tokens to keep in total.
    """
    return np.concatenate([tokens[:head], tokens[len(tokens) - (room - head) :]])


def fit_prompts(
    tokenizer: Any, texts: Sequence[str], prompt_format: PromptFormat | None, room: int | None
) -> list[Prompt]:
    """Tokenize prompts as in training; too long ones lose the start of their instruction.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        texts: whole prompts, in their prompt format.
        prompt_format: prompt format; null: none.
        room: maximum tokens of a prompt; null: no limit.

    Raises:
        LaminiError: if the prompt format alone is too long.
    """
    fitted = [_fit(tokenizer, text, prompt_format, room) for text in texts]
    if cut := sum(prompt.dropped > 0 for prompt in fitted):
        logger.warning(
            "%d of %d prompts are longer than the limit of %s tokens; the start of their"
            " instruction was cut",
            cut,
            len(fitted),
            room,
        )
    return fitted


def _fit(tokenizer: Any, text: str, prompt_format: PromptFormat | None, room: int | None) -> Prompt:
    options = special_options(prompt_format)
    tokens: list[int] = tokenizer(text, verbose=False, **options)["input_ids"]
    whole = len(tokens)
    while room is not None and len(tokens) > room:
        spans = prompt_spans(tokenizer, prompt_format, text)
        if room <= spans.head + spans.tail:
            raise LaminiError(
                f"a prompt may have {room} tokens, but its prompt format alone takes"
                f" {spans.head + spans.tail}; lower the number of new tokens"
            )
        text = spans.cut_text(room)  # tokenized again, it may have more tokens than `room`
        tokens = tokenizer(text, verbose=False, **options)["input_ids"]
    begin = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return Prompt(text, tokens or [begin], whole - len(tokens))
