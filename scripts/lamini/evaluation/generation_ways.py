"""Ways to generate: which prompts share a batch, proven with the loaded model on real prompts.

| way | a batch holds |
|---|---|
| `padded` | prompts of any lengths; padded on the left for a decoder-only model |
| `alike` | prompts of equal length |
| `alone` | one prompt |

A shared batch can change results: some model families take positions from the index in the row,
keep states that padding changes, or mix the rows of a batch. The proof generates fixed tokens in
each way, with caches and with an interruption, and compares their log-likelihoods with the model's
own forward pass of each sequence alone (`forward.proof`).
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers.generation.logits_process import LogitsProcessor

from lamini.evaluation.generation_rows import Reversal
from lamini.forward.proof import Choice, Reference, proof_tokens

if TYPE_CHECKING:
    from lamini.evaluation.generation import Generator

PADDED, ALIKE, ALONE = "padded", "alike", "alone"
_MAX_PROMPTS = 8
"""Maximum number of compared prompts: the longest, the shortest, and some in between."""
_SAME, _SAME_IN_SHORT_FORMATS = 1e-4, 1e-2
"""Largest relative difference of a log-likelihood after an interruption, in fp32 and in others. It
only decides whether interruptions are tried: the proof is exact in each precision."""
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
    generator.shrinks = False
    tokens = [token for token in rows[0] if token not in generator.ends]
    forced_tokens = tokens[: min(_NEW_TOKENS, max_new_tokens)]
    if not forced_tokens:
        return None
    sample = _sample(rows, proof_tokens(generator.model))
    numbers = [*range(len(sample))]
    alone = [[number] for number in numbers]
    likelihoods = partial(_likelihoods, generator, sample, forced_tokens)
    pairs = [(np.array(row), np.array(forced_tokens)) for row in sample]
    # First, because a short sequence changes a few models permanently.
    reference = Reference(generator.name, generator.model, pairs)
    generator.shrinks = _can_shrink(generator, sample[-2:], forced_tokens)
    return reference.choose(
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
    likelihoods: dict[int, torch.Tensor] = {}
    for batch in batches:
        forced = _ForcedTokens(forced_tokens, len(batch))
        rows = [sample[number] for number in batch]
        generator.run(
            rows, len(forced_tokens), [forced], interruption=Reversal(len(forced_tokens) - 1)
        )
        likelihoods |= zip(batch, torch.stack(forced.likelihoods, dim=1).cpu(), strict=True)
    return [likelihoods[number] for number in range(len(sample))]


def _can_shrink(generator: "Generator", rows: list[list[int]], forced_tokens: list[int]) -> bool:
    """Whether a batch of two rows can be interrupted, and continues as without interruption."""
    likelihoods: list[torch.Tensor] = []
    try:
        for generator.shrinks in (False, True):
            likelihoods += _likelihoods(generator, rows, forced_tokens, [[0, 1]])
    except torch.OutOfMemoryError:
        raise
    except Exception:  # code of an untested family; the proof names what fails
        return False
    whole, parts = torch.stack(likelihoods[:2]), torch.stack(likelihoods[2:])
    exact = generator.model.dtype == torch.float32
    return torch.allclose(whole, parts, rtol=_SAME if exact else _SAME_IN_SHORT_FORMATS)


class _ForcedTokens(LogitsProcessor):  # type: ignore[misc]
    """Logits processor that forces the same tokens in every row and records log-likelihoods."""

    def __init__(self, tokens: Sequence[int], rows: int) -> None:
        self._left = list(tokens)
        self._rows = list(range(rows))
        self.likelihoods: list[torch.Tensor] = []
        """Log-likelihoods of each forced token so far. Shapes (B,)."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token = self._left.pop(0)
        likelihoods = scores.float().log_softmax(dim=-1)[:, token]
        rows = torch.tensor(self._rows, device=scores.device)
        self.likelihoods.append(torch.empty_like(likelihoods).index_copy(0, rows, likelihoods))
        chosen = torch.full_like(scores, -torch.inf)
        chosen[:, token] = 0
        return chosen

    def keep(self, rows: Sequence[int]) -> None:
        """Keep only these rows of the batch, in this order."""
        self._rows = [self._rows[row] for row in rows]
