"""Each query of each mask has a key, in all formats of masks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.tries import build_rows
from lamini.forward.masks import ancestor_mask, as_attention_mask, segment_mask
from lamini.training.layout import lay_out

FORMATS = (torch.float32, torch.bfloat16, torch.float16)
lengths = st.lists(st.tuples(st.integers(1, 200), st.integers(1, 200)), min_size=1, max_size=30)


def _segments(rows: list[list[int]], width: int) -> torch.Tensor:
    """Segment numbers of rows with pieces of the given lengths, padded to a width."""
    filled = np.full((len(rows), width), -1)
    for number, row in enumerate(rows):
        pieces = np.repeat(np.arange(len(row)), row)
        filled[number, : len(pieces)] = pieces
    return torch.as_tensor(filled)


def _check(seen: torch.Tensor, implementation: str) -> None:
    assert seen.any(dim=-1).all()
    config = SimpleNamespace(_attn_implementation=implementation)
    mask = as_attention_mask(seen, SimpleNamespace(config=config, dtype=torch.float32))
    assert mask.shape == (seen.shape[0], 1, *seen.shape[1:])
    if implementation == "sdpa":
        assert mask.dtype == torch.bool
        return
    for short in FORMATS:
        cast = mask.to(short)
        assert torch.isfinite(cast).all()
        assert ((cast == 0).squeeze(1) == seen).all()
        assert (cast.squeeze(1)[~seen].exp() == 0).all()


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@settings(max_examples=25, deadline=None)
@given(pairs=lengths, budget=st.integers(1, 4000), packed=st.booleans())
def test_every_position_of_packed_rows_sees_something(
    implementation: str, pairs: list[tuple[int, int]], budget: int, packed: bool
) -> None:
    prompts, responses = np.array(pairs).T
    for batch in lay_out("encoder-decoder", prompts, responses, budget, packed=packed)[0]:
        sides = [
            _segments([[int(side[pair]) for pair in row] for row in batch.rows], width)
            for side, width in ((prompts, batch.encoder), (responses, batch.decoder))
        ]
        encoder, decoder = sides
        _check(segment_mask(encoder, encoder), implementation)
        _check(segment_mask(decoder, encoder), implementation)
        _check(segment_mask(decoder, decoder, causal=True), implementation)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.lists(st.integers(0, 1), min_size=2, max_size=40), min_size=1, max_size=9))
def test_every_node_of_a_trie_sees_something(implementation: str, texts: list[list[int]]) -> None:
    requests = [TokenRequest(np.array(text[:1] * 20), np.array(text[1:])) for text in texts]
    rows = build_rows(requests)
    longest = max(len(row.tokens) for row in rows)
    ends = np.tile(np.arange(1, longest + 1), (len(rows), 1))
    for number, row in enumerate(rows):
        ends[number, : len(row.ends)] = row.ends
    _check(ancestor_mask(torch.as_tensor(ends)), implementation)


def test_segments_see_their_own_tokens_and_padding_the_first_segment() -> None:
    queries, keys = torch.tensor([[0, 0, 1, -1]]), torch.tensor([[0, 1, 1]])
    assert segment_mask(queries, keys).int().tolist() == [
        [[1, 0, 0], [1, 0, 0], [0, 1, 1], [1, 0, 0]]
    ]
    assert segment_mask(queries, queries, causal=True).int().tolist() == [
        [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    ]
