"""Choice of the prompts that may share a batch, proven with the loaded model on real prompts.

| way | a batch holds |
|---|---|
| `padded` | prompts of any lengths; padded on the left for a decoder-only model |
| `alike` | prompts of equal length |
| `alone` | one prompt |

Batching can change results: some model families take positions from the index in the row, keep
states that padding changes, or mix the rows of a batch. The proof generates fixed tokens in each
way, with caches, and compares their log-likelihoods with the model's own forward pass of each
sequence alone (`forward.proof`).
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers.generation.logits_process import LogitsProcessor

from lamini.forward.proof import Choice, Reference, proof_tokens

if TYPE_CHECKING:
    from lamini.evaluation.generation import Generator

PADDED, ALIKE, ALONE = "padded", "alike", "alone"
_MAX_PROMPTS = 8
"""Maximum number of compared prompts: the longest, the shortest, and some in between."""
_NEW_TOKENS = 3
"""New tokens per prompt: the first is predicted from the prompt, the others also from the cache."""


def choose_way(
    generator: "Generator", rows: Sequence[list[int]], max_new_tokens: int
) -> Choice | None:
    """Choose the correct way with the largest batches.

    Args:
        generator: generator of the model.
        rows: token ids of the prompts, the longest first.
        max_new_tokens: maximum of each text.

    Returns:
        The choice; None if the longest prompt holds only end tokens: nothing to force.

    Raises:
        LaminiError: if no way is correct, or the model's own forward pass fails.
    """
    tokens = [token for token in rows[0] if token not in generator.ends]
    forced_tokens = tokens[: min(_NEW_TOKENS, max_new_tokens)]
    if not forced_tokens:
        return None
    sample = _sample(rows, proof_tokens(generator.model))
    numbers = [*range(len(sample))]
    alone = [[number] for number in numbers]
    likelihoods = partial(_likelihoods, generator, sample, forced_tokens)
    pairs = [(np.array(row), np.array(forced_tokens)) for row in sample]
    return Reference(generator.name, generator.model, pairs).choose(
        {
            PADDED: partial(likelihoods, [numbers]),
            ALIKE: partial(likelihoods, [*alone[:-2], numbers[-2:]]),
            ALONE: partial(likelihoods, alone),
        }
    )


def _sample(rows: Sequence[list[int]], most_tokens: int) -> list[list[int]]:
    """Prompts to compare: the longest, some others within the token limit, two of minimum length.

    The two prompts of equal length form a batch without padding. The second is the end of the
    longest prompt.
    """
    longest, shortest = rows[0], rows[-1]
    sample, tokens = [longest], 2 * len(shortest)
    for number in np.linspace(0, len(rows) - 1, _MAX_PROMPTS).astype(int)[1:-1]:
        tokens += len(rows[number])
        if tokens <= most_tokens:
            sample.append(rows[number])
    return [*sample, shortest, longest[-len(shortest) :]]


def _likelihoods(
    generator: "Generator",
    sample: Sequence[list[int]],
    forced_tokens: list[int],
    batches: Sequence[Sequence[int]],
) -> list[torch.Tensor]:
    """Log-likelihoods of the forced tokens after each prompt of the sample, in these batches."""
    found: dict[int, torch.Tensor] = {}
    for batch in batches:
        forced = _ForcedTokens(forced_tokens)
        rows = [sample[number] for number in batch]
        generator.run(rows, {"max_new_tokens": len(forced_tokens)}, [forced])
        found |= zip(batch, torch.stack(forced.likelihoods, dim=1).cpu(), strict=True)
    return [found[number] for number in range(len(sample))]


class _ForcedTokens(LogitsProcessor):  # type: ignore[misc]
    """Logits processor that forces the same tokens in every row and records log-likelihoods."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._left = list(tokens)
        self.likelihoods: list[torch.Tensor] = []
        """Log-likelihoods of each forced token so far. Shapes (B,)."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token = self._left.pop(0)
        self.likelihoods.append(scores.float().log_softmax(dim=-1)[:, token])
        chosen = torch.full_like(scores, -torch.inf)
        chosen[:, token] = 0
        return chosen
