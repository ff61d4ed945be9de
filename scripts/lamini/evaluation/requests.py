"""Tokenization of requests: exactly which tokens a model gets for a context and a continuation.

| | decoder-only | encoder-decoder |
|---|---|---|
| `paper` | context, continuation tokenized apart, no special tokens | both with the end token |
| `modern` | tokenized as one text and split, as lm-eval does | the context with the end token |

With a prompt format, the whole context is the instruction, and the continuation, with its leading
space, follows `### Response:`. With a chat template, the context is a prompt that is rendered
already (`harness`), and gets no further special tokens. If a context is too long, the start of the
instruction is cut. A continuation without tokens, or one that leaves no room for a context, can't
be scored. It is counted, and its log-likelihood is minus infinity, the least likely.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lamini.arrays import Integers
from lamini.evaluation.wrapper import cut_left, prompt_spans
from lamini.prompt_formats import PromptFormat

_TEXTS_AT_ONCE = 4096


@dataclass(frozen=True)
class TokenRequest:
    """Token ids of a context and of the continuation to score after it."""

    context: Integers
    """Shape (C,), C at least one."""
    continuation: Integers
    """Shape (T,), T at least one."""


@dataclass
class RequestEncoder:
    """Tokenization of requests in one protocol for one model.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        architecture: `decoder-only` or `encoder-decoder`.
        protocol: `paper` or `modern`.
        prompt_format: prompt format of the contexts; null: the bare context.
        max_tokens: maximum tokens of one input; for an encoder-decoder, of the encoder's input.
        prefix_token: token that replaces an empty context.
    """

    tokenizer: Any
    architecture: str
    protocol: str
    prompt_format: PromptFormat | None
    max_tokens: int
    prefix_token: int
    truncated: int = 0
    """Number of requests with a truncated context so far."""
    unscorable: dict[tuple[str, str], str] = field(default_factory=dict)
    """Texts that can't be scored, with the reason."""

    def texts(self, context: str, continuation: str) -> tuple[str, str]:
        """Texts to tokenize: the context in its prompt format, and the continuation."""
        if self.prompt_format is not None and not self._chat:
            context = self.prompt_format.render(context)
        return context, continuation

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[TokenRequest | None]:
        """Tokenize (context, continuation) pairs; each distinct text is tokenized once.

        Returns:
            Requests in the order of the pairs; None for a pair that can't be scored.
        """
        texts = [self.texts(*pair) for pair in pairs]
        encode = self._jointly if self._joint else self._apart
        return [
            self._request(context, continuation, text)
            for (context, continuation), text in zip(encode(texts), texts, strict=True)
        ]

    def _request(
        self, context: Integers, continuation: Integers, text: tuple[str, str]
    ) -> TokenRequest | None:
        nonempty = context if len(context) else np.array([self.prefix_token])
        fitted = self._cut(nonempty, continuation, text) if len(continuation) else None
        if fitted is not None:
            return TokenRequest(fitted, continuation)
        self.unscorable[text] = (
            f"{len(continuation)} tokens leave no room for a context in the model's"
            f" {self.max_tokens}"
            if len(continuation)
            else "has no tokens"
        )
        return None

    @property
    def _causal(self) -> bool:
        return self.architecture == "decoder-only"

    @property
    def _chat(self) -> bool:
        """Whether the prompts have their special tokens in their text."""
        return self.prompt_format is not None and self.prompt_format.has_special_tokens

    @property
    def _joint(self) -> bool:
        return self._causal and self.protocol == "modern"

    def _apart(self, texts: list[tuple[str, str]]) -> list[tuple[Integers, Integers]]:
        paper = self.protocol == "paper"
        if not paper:
            texts = [_move_spaces(*text) for text in texts]
        contexts = self._tokens([context for context, _ in texts], special=not self._causal)
        ended = paper and not self._causal
        continuations = self._tokens([text for _, text in texts], special=ended)
        return [(contexts[context], continuations[text]) for context, text in texts]

    def _jointly(self, texts: list[tuple[str, str]]) -> list[tuple[Integers, Integers]]:
        moved = [_move_spaces(*text) if text[0] else text for text in texts]
        special = False if self._chat else None
        contexts = self._tokens([context for context, _ in moved if context], special)
        whole = self._tokens([c + t for c, t in moved if c], special)
        alone = self._tokens([t for c, t in moved if not c], special=False)
        pairs = []
        for context, continuation in moved:
            if context:
                tokens = contexts[context]
                pairs.append((tokens, whole[context + continuation][len(tokens) :]))
            else:
                pairs.append((np.array([], dtype=np.int64), alone[continuation]))
        return pairs

    def _tokens(self, texts: list[str], special: bool | None) -> dict[str, Integers]:
        """Tokens of each distinct text; `special` null: the tokenizer's default special tokens."""
        distinct = list(dict.fromkeys(texts))
        options = {} if special is None else {"add_special_tokens": special}
        tokens: dict[str, Integers] = {}
        for start in range(0, len(distinct), _TEXTS_AT_ONCE):
            part = distinct[start : start + _TEXTS_AT_ONCE]
            ids = self.tokenizer(
                part,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
                **options,
            )["input_ids"]
            tokens |= {t: np.array(i, dtype=np.int64) for t, i in zip(part, ids, strict=True)}
        return tokens

    def _cut(
        self, context: Integers, continuation: Integers, text: tuple[str, str]
    ) -> Integers | None:
        """Cut tokens from the start of a too long context, but not from its prompt format.

        None if the continuation is too long for the model, or no instruction token would remain.
        """
        room = self.max_tokens
        if self._causal:  # the last token is only predicted, never an input
            room += 1 - len(continuation)
        elif len(continuation) > room:
            return None
        if len(context) <= room:
            return context
        head = tail = 0
        if self.prompt_format is not None:
            special = None if self._joint else not self._causal
            spans = prompt_spans(self.tokenizer, self.prompt_format, text[0], special)
            head, tail = spans.head, spans.tail
        if room <= head + tail:
            return None
        self.truncated += 1
        return cut_left(context, head, room)


def fill_unscorable(
    encoded: Sequence[TokenRequest | None], scores: Sequence[tuple[float, bool]]
) -> list[tuple[float, bool]]:
    """Scores of all requests, in order, from the scores of those that can be scored."""
    remaining = iter(scores)
    return [(-math.inf, False) if request is None else next(remaining) for request in encoded]


def _move_spaces(context: str, continuation: str) -> tuple[str, str]:
    """Move spaces from the end of the context to the continuation, as tokenizers join them."""
    bare = context.rstrip()
    return bare, context[len(bare) :] + continuation
