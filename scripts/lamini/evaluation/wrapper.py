"""Prompts in tokens: of one that is too long, the instruction is cut, and its wrapper stays."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamini.errors import LaminiError
from lamini.prompt_formats import prompt_parts
from lamini.students.token_cache import Integers

logger = logging.getLogger("lamini")


@dataclass(frozen=True)
class Prompt:
    """A prompt as it is sent."""

    text: str
    tokens: list[int]
    dropped: int
    """Tokens of the instruction's beginning for which there was no room."""


@dataclass(frozen=True)
class PromptSpans:
    """Where the tokens of one prompt stand in its text.

    The head is what comes before the instruction: tokens that the tokenizer adds, and those of the
    wrapper; the tail is what comes after it. A token that holds characters of both sides belongs
    to the instruction.
    """

    text: str
    offsets: list[tuple[int, int]]
    """First character of each token, and one past its last; equal for a token that was added."""
    start: int
    """First character of the instruction."""
    head: int
    """Tokens of the head."""
    tail: int
    """Tokens of the tail."""

    def cut_text(self, room: int) -> str:
        """The text without as many tokens of the instruction's beginning as are too many.

        Args:
            room: tokens that may stay; more than those of head and tail.
        """
        last_dropped = self.head + len(self.offsets) - room - 1
        # Several tokens may stand for parts of one character; it goes as a whole.
        begin = max(self.offsets[last_dropped][1], self.start + 1)
        return self.text[: self.start] + self.text[begin:]


def prompt_spans(
    tokenizer: Any, prompt_format: str | None, text: str, special: bool | None = None
) -> PromptSpans:
    """Find the wrapper in a prompt's tokens.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        prompt_format: the wrapper; null: none.
        text: the whole prompt.
        special: whether the tokenizer adds its special tokens; null: as it does by itself.
    """
    before, after = prompt_parts(prompt_format or "bare")
    options = {} if special is None else {"add_special_tokens": special}
    offsets = tokenizer(text, return_offsets_mapping=True, verbose=False, **options)[
        "offset_mapping"
    ]
    start, end = len(before), len(text) - len(after)
    # An added token has no characters: before the text it stands at 0, after it at 0 or the end.
    inside = [n for n, (a, b) in enumerate(offsets) if a < b and b > start and a < end]
    head, tail = (inside[0], len(offsets) - 1 - inside[-1]) if inside else (len(offsets), 0)
    return PromptSpans(text, offsets, start, head, tail)


def cut_left(tokens: Integers, head: int, room: int) -> Integers:
    """The head of a prompt, and as many of its last tokens as then have room.

    Args:
        tokens: of the prompt. Shape (N,), N more than `room`.
        head: tokens that stay at its beginning, at most `room`.
        room: tokens that are kept.
    """
    return np.concatenate([tokens[:head], tokens[len(tokens) - (room - head) :]])


def fit_prompts(
    tokenizer: Any, texts: Sequence[str], prompt_format: str | None, room: int | None
) -> list[Prompt]:
    """Tokenise prompts as in training; too long ones lose the beginning of their instruction.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        texts: whole prompts, in their wrapper.
        prompt_format: the wrapper; null: none.
        room: most tokens of a prompt; null: any number.

    Raises:
        LaminiError: when the wrapper alone does not fit.
    """
    fitted = [_fit(tokenizer, text, prompt_format, room) for text in texts]
    if cut := sum(prompt.dropped > 0 for prompt in fitted):
        logger.warning(
            "%d of %d prompts are longer than the %s tokens that the model has room for; the"
            " beginning of their instruction was left out", cut, len(fitted), room,
        )  # fmt: skip
    return fitted


def _fit(tokenizer: Any, text: str, prompt_format: str | None, room: int | None) -> Prompt:
    tokens: list[int] = tokenizer(text, verbose=False)["input_ids"]
    whole = len(tokens)
    while room is not None and len(tokens) > room:
        spans = prompt_spans(tokenizer, prompt_format, text)
        if room <= spans.head + spans.tail:
            raise LaminiError(
                f"a prompt has room for {room} tokens, and its wrapper alone takes"
                f" {spans.head + spans.tail}; ask for fewer new tokens"
            )
        text = spans.cut_text(room)  # may have more tokens than were counted off
        tokens = tokenizer(text, verbose=False)["input_ids"]
    begin = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return Prompt(text, tokens or [begin], whole - len(tokens))
