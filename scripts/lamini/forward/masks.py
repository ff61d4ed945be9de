"""Attention masks that separate the sequences of one row.

Every query attends to at least one key. For a query without keys, kernels return zeros or NaN, and
a single NaN in a gradient destroys all weights.
"""

from typing import Any

import torch

_HIDDEN = torch.finfo(torch.float16).min
"""Added to the scores of masked keys; finite in every number format, and its exp() is 0."""


def segment_mask(
    queries: torch.Tensor, keys: torch.Tensor, *, causal: bool = False
) -> torch.Tensor:
    """Mask in which each query attends to the keys of its own segment.

    Args:
        queries: segment of each query position, negative on padding. Shape (B, Q).
        keys: segment of each key position, negative on padding. Shape (B, K). Each row contains
            segment 0, or only padding.
        causal: also mask later positions; queries and keys are then the same positions.

    Returns:
        True where a query attends to a key. Shape (B, Q, K).
    """
    seen = queries[:, :, None] == keys[:, None, :]
    if causal:
        return seen & torch.ones(seen.shape[1:], dtype=torch.bool, device=seen.device).tril()
    # Padding queries attend to segment 0: a row of keys may have no padding to attend to.
    return seen | ((queries < 0)[:, :, None] & (keys == 0)[:, None, :])


def ancestor_mask(ends: torch.Tensor) -> torch.Tensor:
    """Mask in rows of tries: each node attends to its ancestors and to itself.

    Args:
        ends: index after the last descendant of each node (`tries.Row.ends`). Shape (B, N).

    Returns:
        True where a query attends to a key. Shape (B, N, N).
    """
    nodes = torch.arange(ends.shape[1], device=ends.device)
    before = nodes[None, :] <= nodes[:, None]
    return before[None] & (nodes[None, :, None] < ends[:, None, :])


def as_attention_mask(seen: torch.Tensor, model: Any) -> torch.Tensor:
    """Mask in the format of the model's attention implementation. Shape (B, 1, Q, K).

    torch's scaled-dot-product attention takes booleans, which a cast cannot turn into infinities.
    The eager attention of transformers adds a float mask to the scores.

    Args:
        seen: True where a query attends to a key. Shape (B, Q, K).
        model: a Hugging Face model.
    """
    if model.config._attn_implementation == "sdpa":
        return seen[:, None]
    mask = torch.zeros(seen.shape, dtype=model.dtype, device=seen.device)
    return mask.masked_fill_(~seen, _HIDDEN)[:, None]
