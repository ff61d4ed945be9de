"""The ways to compute a micro-batch, fastest first; `forward.proof` chooses one per run.

| way | architecture | content of a row |
|---|---|---|
| `flat` | decoder-only | all pairs of the micro-batch, without padding (`forward.flat`) |
| `shared_prefix` | decoder-only | one pair without the prompts' shared prefix |
| `packed` | encoder-decoder | several pairs, separated by masks |
| `rows` | both | one pair and padding |
| `alone` | both | one pair; one row per micro-batch, by the model's own forward |

`flat` needs a GPU with flash attention and a 16-bit precision.
"""

from typing import Any, Literal

import numpy as np

from lamini.arrays import Integers
from lamini.forward.flat import has_kernel, takes_flat_rows
from lamini.forward.own import position_limits
from lamini.students.numerics import Precision
from lamini.students.token_cache import TokenCache
from lamini.training.layout import ROW_TOKENS

Way = Literal["flat", "shared_prefix", "packed", "rows", "alone"]


def ways_to_try(model: Any, precision: Precision = "fp32", *, compiled: bool = False) -> list[Way]:
    """Ways to verify for a model in a precision, fastest first.

    Args:
        model: a Hugging Face model.
        precision: number format of the run.
        compiled: whether its blocks are compiled, which must not change a cache.
    """
    if model.config.is_encoder_decoder:
        limits = [limit for limit in position_limits(model) if limit is not None]
        # A position beyond the model's limit causes a CUDA error that breaks the whole process.
        packs = min(limits, default=ROW_TOKENS) >= ROW_TOKENS
        return ["packed", "rows", "alone"] if packs else ["rows", "alone"]
    # With gradient checkpointing a layer is recomputed in the backward pass, without the prefix's
    # keys.
    caches = not (model.is_activation_checkpointing or compiled)
    shared: list[Way] = ["shared_prefix"] if caches else []
    ways: list[Way] = [*shared, "rows", "alone"]
    flat = precision != "fp32" and has_kernel(model.device) and takes_flat_rows(model)
    return ["flat", *ways] if flat else ways


def pairs_to_prove(cache: TokenCache, used: Integers, most: int) -> Integers:
    """Pairs on which a way is verified: the longest one, and short to medium ones.

    Args:
        cache: the tokenized pairs.
        used: the run's pairs, as rows of the cache.
        most: most tokens of all these pairs together, without the longest one.

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
