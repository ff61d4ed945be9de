"""Attention masks that keep the sequences of one row apart.

No query is ever without a key: kernels differ in what they return for such a query (zeros or NaN),
and one NaN in a gradient destroys all weights.
"""

from typing import Any

import torch

_HIDDEN = torch.finfo(torch.float16).min
"""Added to the scores of hidden keys; finite in every format, and exp() of it is 0."""


def segment_mask(
    queries: torch.Tensor, keys: torch.Tensor, *, causal: bool = False
) -> torch.Tensor:
    """Which keys each query sees: those of its own segment.

    Args:
        queries: segment of each query position, negative on padding. Shape (B, Q).
        keys: segment of each key position, negative on padding. Shape (B, K). Each row holds
            segment 0.
        causal: also hide later positions; queries and keys are then the same positions.

    Returns:
        True where a key is seen. Shape (B, Q, K).
    """
    seen = queries[:, :, None] == keys[:, None, :]
    if causal:
        return seen & torch.ones(seen.shape[1:], dtype=torch.bool, device=seen.device).tril()
    # Padding sees segment 0, or padding queries would see nothing where the keys have no padding.
    return seen | ((queries < 0)[:, :, None] & (keys == 0)[:, None, :])


def ancestor_mask(ends: torch.Tensor) -> torch.Tensor:
    """Which keys each query sees in rows of tries: its ancestors and itself.

    Args:
        ends: one past the last descendant of each node (`tries.Row.ends`). Shape (B, N).

    Returns:
        True where a key is seen. Shape (B, N, N).
    """
    nodes = torch.arange(ends.shape[1], device=ends.device)
    before = nodes[None, :] <= nodes[:, None]
    return before[None] & (nodes[None, :, None] < ends[:, None, :])


def as_attention_mask(seen: torch.Tensor, model: Any) -> torch.Tensor:
    """A mask in the form that the model's attention takes. Shape (B, 1, Q, K).

    torch's scaled-dot-product attention takes booleans, which no cast can turn into infinities;
    the eager attention of transformers adds its mask to the scores.
    """
    if model.config._attn_implementation == "sdpa":
        return seen[:, None]
    mask = torch.zeros(seen.shape, dtype=model.dtype, device=seen.device)
    return mask.masked_fill_(~seen, _HIDDEN)[:, None]
