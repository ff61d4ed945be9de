"""The ways to compute a micro-batch, the fastest first; `forward.proof` chooses at a run's start.

| way | architecture | a row holds |
|---|---|---|
| `shared_prefix` | decoder-only | one pair without the tokens that all prompts begin with |
| `packed` | encoder-decoder | several pairs, which masks keep apart |
| `rows` | both | one pair and padding |
| `alone` | both | one pair; a micro-batch is one row, by the model's own forward |
"""

from typing import Any, Literal

import numpy as np

from lamini.forward.own import position_limits
from lamini.students.token_cache import Integers, TokenCache
from lamini.training.layout import ROW_TOKENS

Way = Literal["shared_prefix", "packed", "rows", "alone"]


def ways_to_try(model: Any) -> list[Way]:
    """The ways that a proof tries for a model, the fastest first."""
    if model.config.is_encoder_decoder:
        limits = [limit for limit in position_limits(model) if limit is not None]
        # Beyond a model's positions a GPU fails in a way that no later computation survives.
        packs = min(limits, default=ROW_TOKENS) >= ROW_TOKENS
        return ["packed", "rows", "alone"] if packs else ["rows", "alone"]
    # A layer that is computed again in the backward pass would not find the prefix's keys.
    shares = not model.is_activation_checkpointing
    return ["shared_prefix", "rows", "alone"] if shares else ["rows", "alone"]


def pairs_to_prove(cache: TokenCache, used: Integers, most: int) -> Integers:
    """The pairs that a proof compares: the longest, and short to middling ones.

    Args:
        cache: the tokenised pairs.
        used: the run's pairs, as rows of the cache.
        most: tokens of the pairs without the longest.

    Returns:
        Rows of the cache, the longest last.
    """
    lengths = cache.prompt_lengths[used] + cache.response_lengths[used]
    ordered = used[np.argsort(lengths, kind="stable")]
    spread = np.unique(np.linspace(0, len(used) - 1, num=16).astype(np.int64))[:-1]
    others = ordered[spread]
    tokens = np.cumsum(cache.prompt_lengths[others] + cache.response_lengths[others])
    count = max(1, int(np.searchsorted(tokens, most, side="right")))
    return np.append(others[:count], ordered[-1])
