"""How the next token of a text is chosen: greedily, or drawn for each text by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from transformers.generation.logits_process import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


@dataclass(frozen=True)
class Decoding:
    """Decoding settings: how the next token is chosen, and when a text ends."""

    max_new_tokens: int
    temperature: float = 0.0
    """Sampling temperature; 0: greedy decoding."""
    top_k: int = 0
    """Number of most likely tokens to sample from; 0: all tokens."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """Stop texts: generation ends after one of them. The caller cuts it and the text after it."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of transformers' `GenerationConfig`."""


class RowLogitsProcessor(Protocol):
    """Logits processor that follows the rows of a batch."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Process scores. Shape (B, vocabulary)."""

    def keep(self, rows: Sequence[int]) -> None:
        """Keep only these rows of the batch, in this order."""


class GumbelSampling(LogitsProcessor):  # type: ignore[misc]
    """Sampling by greedy choice: adds Gumbel noise from each row's own random generator.

    The argmax of scores plus Gumbel noise is distributed as their softmax (Gumbel-max trick,
    Maddison et al. 2014, arXiv 1411.0030).
    """

    def __init__(self, seeds: Sequence[int], decoding: Decoding) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._warpers = LogitsProcessorList([TemperatureLogitsWarper(decoding.temperature)])
        if decoding.top_k:
            self._warpers.append(TopKLogitsWarper(decoding.top_k))
        if decoding.top_p < 1:
            self._warpers.append(TopPLogitsWarper(decoding.top_p))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores whose argmax is the drawn token. Shape (B, vocabulary)."""
        scores = self._warpers(input_ids, scores)  # type: ignore[arg-type]
        noise = torch.empty(scores.shape, dtype=torch.float64)  # fp32: 1 in 10 million draws is 0
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log().to(scores)

    def keep(self, rows: Sequence[int]) -> None:
        """Keep only these rows of the batch, in this order."""
        self._generators = [self._generators[row] for row in rows]
