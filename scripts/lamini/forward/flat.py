"""Attention in a flat row, which contains several sequences end to end and no padding.

Each token attends to the earlier tokens of its own sequence. On a GPU with flash attention, one
kernel computes all sequences (`has_kernel`). Elsewhere a mask of all pairs of tokens separates
them: slow, but right in every number format, so the fast kernel can be verified.

transformers passes extra arguments of a model's forward on to its attention function. The function
registered here computes flat rows if it gets `flat_arguments`; all other calls go to transformers'
own function for scaled-dot-product attention.
"""

import inspect
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

from lamini.forward.masks import segment_mask

_KERNEL_FORMATS = (torch.float16, torch.bfloat16)
_MAX_HEAD_SIZE = 256
_UNSUPPORTED = ("softcap", "s_aux", "position_bias")
"""Arguments of attention functions that change the scores in other ways."""


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def has_kernel(device: torch.device) -> bool:
    """Whether the device has flash attention for sequences of different lengths (Ampere on)."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def takes_flat_rows(model: Any) -> bool:
    """Whether a model gets positions from its caller, and calls the function registered here.

    Other models fail on a flat row. If they have a table of positions that is shorter than the row,
    a GPU then stops with an error that breaks the whole process.
    """
    parameters = inspect.signature(model.forward).parameters
    return "position_ids" in parameters and model.config._attn_implementation == "sdpa"


def flat_arguments(boundaries: torch.Tensor, longest: int) -> dict[str, Any]:
    """Arguments of a model's forward for a flat row.

    Args:
        boundaries: start of each sequence, and the end of the last one; int32. Shape (N + 1,).
        longest: tokens of the longest sequence.
    """
    return {
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": longest,
        "max_length_k": longest,
        # transformers uses a mask with four dimensions as it is. Without it, it would build one of
        # all pairs of tokens.
        "attention_mask": torch.ones((1, 1, 1, 1), dtype=torch.bool, device=boundaries.device),
    }


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention function of transformers.

    Args:
        query: shape (1, heads, T, width of a head) in a flat row; `key` and `value` may have fewer
            heads.

    Returns:
        Shape (1, T, heads, width of a head).

    Raises:
        ValueError: when a flat row can't be computed for this kind of attention.
    """
    boundaries = others.get("cu_seq_lens_q")
    if boundaries is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
    longest, window = int(others["max_length_q"]), others.get("sliding_window")
    changed = [name for name in _UNSUPPORTED if others.get(name) is not None]
    if changed or not others.get("is_causal", getattr(module, "is_causal", True)):
        raise ValueError(f"its attention has {', '.join(changed) or 'no causal order'}")
    if window is not None and window < longest:
        raise ValueError(f"its attention sees {window} tokens, a sequence has {longest}")
    if torch.is_autocast_enabled(query.device.type):
        number_format = torch.get_autocast_dtype(query.device.type)
        query, key, value = (part.to(number_format) for part in (query, key, value))
    if has_kernel(query.device) and query.dtype in _KERNEL_FORMATS:
        widths = query.shape[-1], value.shape[-1]
        if not widths[0] == widths[1] <= _MAX_HEAD_SIZE:
            raise ValueError(f"its attention heads have the widths {widths[0]} and {widths[1]}")
        # torch's `varlen_attn` calls the same operator, without dropout.
        attended = torch.ops.aten._flash_attention_forward(
            *(part[0].transpose(0, 1) for part in (query, key, value)),
            boundaries,
            boundaries,
            longest,
            longest,
            dropout,
            True,  # causal
            False,  # no mask of dropout for debugging
            scale=scaling,
        )[0]
        return attended[None], None
    groups = query.shape[1] // key.shape[1]  # the kernel takes fewer heads as they are
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    tokens = torch.arange(query.shape[2], device=query.device, dtype=boundaries.dtype)
    sequences = torch.bucketize(tokens, boundaries, right=True)[None]
    mask = segment_mask(sequences, sequences, causal=True)[:, None]
    attended = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling
    )
    return attended.transpose(1, 2), None


AttentionInterface.register("sdpa", _attention)
