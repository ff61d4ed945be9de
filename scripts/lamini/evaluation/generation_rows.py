"""Rows of a batch of texts while they are generated: ended rows leave the batch.

A batch of `generate` ends with its longest text. Here it is interrupted whenever half of its rows
have ended, and continued with the other rows and their part of the cache. So a step computes at
most twice as many rows as are still needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers.generation.stopping_criteria import StoppingCriteria
from transformers.modeling_outputs import BaseModelOutput


@dataclass(frozen=True)
class Rows:
    """Inputs of `generate` for the rows of a batch."""

    tokens: torch.Tensor
    """Tokens of a decoder-only model, or of the decoder. Shape (B, L). Tokens of the encoder, if
    `generate` shall encode them."""
    mask: torch.Tensor
    """Attention mask of the prompts, then ones. Shape (B, L), or (B, tokens of the encoder)."""
    encoded: torch.Tensor | None = None
    """States of the encoder. Shape (B, tokens of the encoder, width)."""
    cache: Any = None
    """Cache of keys and values; None: nothing was computed yet."""

    def arguments(self) -> dict[str, Any]:
        """Arguments of `generate`."""
        arguments: dict[str, Any] = {"attention_mask": self.mask}
        if self.encoded is None:
            arguments["input_ids"] = self.tokens
        else:
            arguments["decoder_input_ids"] = self.tokens
            arguments["decoder_attention_mask"] = torch.ones_like(self.tokens)
            arguments["encoder_outputs"] = BaseModelOutput(last_hidden_state=self.encoded)
        return arguments if self.cache is None else arguments | {"past_key_values": self.cache}

    def after(self, output: Any, kept: Sequence[int]) -> "Rows":
        """Some of the rows, with the tokens and the cache of an output of `generate`."""
        rows = torch.tensor(kept, device=self.tokens.device)
        cache, tokens = output.past_key_values, output.sequences[rows]
        cache.batch_select_indices(rows)
        mask, encoded = self.mask[rows], self.encoded
        if encoded is None:
            new = mask.new_ones((len(kept), tokens.shape[1] - mask.shape[1]))
            return Rows(tokens, torch.cat([mask, new], dim=1), None, cache)
        return replace(self, tokens=tokens, mask=mask, encoded=encoded[rows], cache=cache)


class Interruption(StoppingCriteria):  # type: ignore[misc]
    """Stopping criterion that interrupts a batch: it stops all rows, some of which go on."""

    def left(self) -> list[int]:
        """Rows to go on with."""
        raise NotImplementedError


class AfterTexts(StoppingCriteria):  # type: ignore[misc]
    """Stopping criterion: ends a row once it contains one of the stop texts."""

    def __init__(self, texts: Sequence[str], tokenizer: Any, start: int) -> None:
        self._texts, self._tokenizer, self._start = texts, tokenizer, start
        # A text of n bytes has at most n tokens; decoding may drop the first token's space.
        self._slice = max(len(text.encode()) for text in texts) + 1

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Whether each row contains a stop text. Shape (B,)."""
        new = input_ids[:, self._start :][:, -self._slice :]
        texts = self._tokenizer.batch_decode(new)
        ended = [any(text in generated for text in self._texts) for generated in texts]
        return torch.tensor(ended, device=input_ids.device)


class HalfEnded(Interruption):
    """Stopping criterion: interrupts a batch once half of its rows have ended.

    Args:
        ends: end tokens.
        stopping: criterion that ends a row after a stop text; None: end tokens only.
    """

    def __init__(self, ends: Sequence[int], stopping: AfterTexts | None) -> None:
        self._ends, self._stopping = ends, stopping
        self._ended: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Whether each row stops; all do if the batch is interrupted. Shape (B,)."""
        ends = torch.tensor(self._ends, device=input_ids.device)
        ended = torch.isin(input_ids[:, -1], ends)
        if self._stopping is not None:
            ended = ended | self._stopping(input_ids, scores)
        self._ended = ended if self._ended is None else self._ended | ended
        # Without reading the number of rows, for which the CPU would wait.
        return self._ended | (2 * self._ended.sum() >= len(ended))

    def left(self) -> list[int]:
        """Rows that have not ended."""
        assert self._ended is not None
        left: list[int] = (~self._ended).nonzero()[:, 0].tolist()
        return left


class Reversal(Interruption):
    """Stopping criterion: interrupts a batch after some tokens, to go on in reverse order."""

    def __init__(self, after: int) -> None:
        self._steps, self._after, self._count = 0, after, 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Whether the batch is interrupted, for each row. Shape (B,)."""
        self._steps, self._count = self._steps + 1, len(input_ids)
        return torch.full((len(input_ids),), self._steps == self._after, device=input_ids.device)

    def left(self) -> list[int]:
        """All rows in reverse order."""
        return list(range(self._count))[::-1]
