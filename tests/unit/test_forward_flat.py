"""Attention in a flat row without the GPU's kernel: each sequence as if it were alone."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from lamini.forward.flat import flat_arguments

BOUNDARIES = [0, 3, 4, 10]


def _attention(scaling: float | None, dropout: float = 0.0) -> tuple[torch.Tensor, ...]:
    """Queries, keys and values, and their attention in a flat row. Shapes (1, heads, T, width)."""
    torch.manual_seed(3)
    query, key, value = (torch.randn(1, heads, BOUNDARIES[-1], 8) for heads in (4, 2, 2))
    arguments = flat_arguments(torch.tensor(BOUNDARIES, dtype=torch.int32), longest=6)
    attended, weights = ALL_ATTENTION_FUNCTIONS["sdpa"](
        SimpleNamespace(is_causal=True),
        query,
        key,
        value,
        dropout=dropout,
        scaling=scaling,
        **arguments,
    )
    assert weights is None
    return query, key, value, attended.transpose(1, 2)


@pytest.mark.parametrize("scaling", [None, 0.9])
def test_each_sequence_is_alone(scaling: float | None) -> None:
    query, key, value, attended = _attention(scaling)
    for first, end in itertools.pairwise(BOUNDARIES):
        alone = scaled_dot_product_attention(
            *(part[:, :, first:end] for part in (query, key, value)),
            is_causal=True,
            scale=scaling,
            enable_gqa=True,
        )
        torch.testing.assert_close(attended[:, :, first:end], alone)


def test_attention_weights_are_dropped_out() -> None:
    *_, attended = _attention(None, dropout=1.0)
    assert torch.equal(attended, torch.zeros_like(attended))


@pytest.mark.parametrize("widths", [(264, 264), (64, 32)])
def test_the_kernel_gets_no_heads_that_it_cannot_compute(
    widths: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamini.forward.flat.has_kernel", lambda device: True)
    query, key, value = (
        torch.zeros(1, 4, BOUNDARIES[-1], width, dtype=torch.bfloat16)
        for width in (widths[0], *widths)
    )
    arguments = flat_arguments(torch.tensor(BOUNDARIES, dtype=torch.int32), longest=6)
    with pytest.raises(ValueError, match=f"widths {widths[0]} and {widths[1]}"):
        ALL_ATTENTION_FUNCTIONS["sdpa"](
            SimpleNamespace(is_causal=True), query, key, value, **arguments
        )
