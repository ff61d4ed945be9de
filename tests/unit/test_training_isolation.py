"""Pairs computed together are independent: losses and gradients equal those of each alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import CONFIGS, NUMBERED, architecture, tiny_cache, tiny_model

from lamini.forward.masks import segment_mask
from lamini.forward.own import start_token
from lamini.students.token_cache import TokenCache
from lamini.training import losses as losses_module
from lamini.training.batches import make_batch, make_flat_batch, shared_prefix
from lamini.training.fast_modules import fuse_activations
from lamini.training.layout import MicroBatch, lay_out, lay_out_flat
from lamini.training.losses import token_losses
from lamini.training.ways import Way


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    return tiny_cache(tmp_path_factory.mktemp("cache"))


def _reference(model: Any, cache: TokenCache, pair: int, name: str) -> torch.Tensor:
    """Per-token losses of one pair from the model's own forward pass."""
    prompt, response = torch.tensor(cache.prompt(pair)), torch.tensor(cache.response(pair))
    if architecture(name) == "encoder-decoder":
        logits = model(input_ids=prompt[None], labels=response[None]).logits[0]
    else:
        logits = model(input_ids=torch.cat([prompt, response])[None]).logits[0]
        logits = logits[len(prompt) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, response, reduction="none")


def _together(
    model: Any, cache: TokenCache, micro_batch: MicroBatch, way: Way, shared: int
) -> torch.Tensor:
    causal = not model.config.is_encoder_decoder
    if way == "flat":
        batch = make_flat_batch(cache, np.arange(len(cache)), np.full(len(cache), 1.0), micro_batch)
        return token_losses(model, batch, way)
    batch = make_batch(
        cache,
        np.arange(len(cache)),
        np.full(len(cache), 1.0),
        micro_batch,
        shared=shared,
        architecture="decoder-only" if causal else "encoder-decoder",
        start_token=0 if causal else start_token(model),
    )
    return token_losses(model, batch, way)


def _gradient(model: Any) -> torch.Tensor:
    gradient = torch.cat([p.grad.flatten().double() for p in model.parameters()])
    model.zero_grad()
    return gradient


def _compare(
    name: str,
    cache: TokenCache,
    way: Way,
    budget: int = 600,
    row_shapes: np.ndarray | None = None,
) -> tuple[float, float]:
    """Largest loss difference of a token, and the relative gradient error."""
    model = tiny_model(name).train()
    shared = shared_prefix(cache, np.arange(len(cache))) if way == "shared_prefix" else 0
    lengths = (cache.prompt_lengths - shared, cache.response_lengths)
    budget = 1 if way == "alone" else budget
    micro_batches = lay_out(
        architecture(name), *lengths, budget, packed=way == "packed", row_shapes=row_shapes
    )[0]
    if row_shapes is not None:
        assert any(not row for micro_batch in micro_batches for row in micro_batch.rows)
    if way == "flat":
        micro_batches = lay_out_flat(*lengths, budget)[0]
    worst = 0.0
    for micro_batch in micro_batches:
        together = _together(model, cache, micro_batch, way, shared)
        order = [pair for row in micro_batch.rows for pair in row]
        alone = torch.cat([_reference(model, cache, pair, name) for pair in order])
        worst = max(worst, float((together - alone).detach().abs().max()))
        together.sum().backward()
    gradient_together = _gradient(model)
    for pair in range(len(cache)):
        _reference(model, cache, pair, name).sum().backward()
    gradient_alone = _gradient(model)
    error = (gradient_together - gradient_alone).norm() / gradient_alone.norm()
    return worst, float(error)


WAYS: list[tuple[str, Way]] = [
    *((name, "packed") for name in CONFIGS if architecture(name) == "encoder-decoder"),
    *((name, "flat") for name in ("gpt2", "cerebras-gpt", "llama")),
    *((name, "rows") for name in [*CONFIGS, *NUMBERED]),
    *((name, "alone") for name in [*CONFIGS, *NUMBERED]),
]


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_pairs_together_equal_pairs_alone(name: str, way: Way, cache: TokenCache) -> None:
    loss, gradient = _compare(name, cache, way)
    assert loss < 2e-5
    assert gradient < 1e-6


@pytest.mark.parametrize("name", ["t5", "t5-v1.1"])
def test_pairs_in_rows_of_few_shapes_equal_pairs_alone(name: str, cache: TokenCache) -> None:
    """Empty rows are among them."""
    loss, gradient = _compare(name, cache, "packed", 5000, np.array([[56, 56]]))
    assert loss < 2e-5
    assert gradient < 1e-6


@pytest.mark.parametrize("name", [n for n in CONFIGS if architecture(n) == "decoder-only"])
def test_a_shared_prefix_is_as_one_of_its_own(name: str, tmp_path: Path) -> None:
    cache = tiny_cache(tmp_path, shared=11)
    assert shared_prefix(cache, np.arange(len(cache))) == 11
    loss, gradient = _compare(name, cache, "shared_prefix")
    assert loss < 2e-5
    assert gradient < 1e-6


def test_a_prompt_keeps_a_token_of_its_own(tmp_path: Path) -> None:
    """Its last token is where the response begins to be predicted."""
    cache = tiny_cache(tmp_path, shared=11)
    shortest = cache.prompt_lengths.argmin()
    assert shared_prefix(cache, np.array([shortest])) == cache.prompt_lengths.min() - 1


@pytest.mark.parametrize(("name", "blocks"), [("gpt2", 2), ("gpt-neo", 2), ("t5-v1.1", 4)])
def test_fused_activations_are_the_models_own(name: str, blocks: int, cache: TokenCache) -> None:
    model = tiny_model(name).train()
    before = _reference(model, cache, 3, name)
    before.sum().backward()
    gradient_before = _gradient(model)
    assert fuse_activations(model) == blocks
    after = _reference(model, cache, 3, name)
    after.sum().backward()
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(_gradient(model), gradient_before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("leak", ["encoder", "cross", "causal", "decoder"])
@pytest.mark.parametrize("name", ["t5", "t5-v1.1"])
def test_a_mask_that_leaks_by_one_position_is_found(
    name: str, leak: str, cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"encoder": 0, "cross": 1, "decoder": 2, "causal": 2}

    count = 0

    def leaky(queries: Any, keys: Any, *, causal: bool = False) -> torch.Tensor:
        nonlocal count
        seen = segment_mask(queries, keys, causal=causal)
        if count % 3 == calls[leak]:
            if leak == "causal":  # each position sees the next one
                seen = seen.roll(-1, dims=1)
                seen[:, -1] = True
            else:  # the first position of a pair sees the last one of the pair before
                border = (queries[:, 1:] != queries[:, :-1]).nonzero()
                for row, at in border.tolist():
                    before = (keys[row] == queries[row, at]).nonzero()
                    seen[row, at + 1, before.max()] = True
        count += 1
        return seen

    monkeypatch.setattr(losses_module, "segment_mask", leaky)
    loss, gradient = _compare(name, cache, "packed")
    assert loss > 1e-3
    assert gradient > 1e-4


def test_rows_hold_several_pairs(cache: TokenCache) -> None:
    """Otherwise the tests above would have no pairs to compare."""
    micro_batches = lay_out("encoder-decoder", cache.prompt_lengths, cache.response_lengths, 600)[0]
    assert max(len(row) for micro_batch in micro_batches for row in micro_batch.rows) >= 4


def test_models_that_number_their_positions_have_rows_of_their_own(cache: TokenCache) -> None:
    lengths = (cache.prompt_lengths, cache.response_lengths)
    micro_batches = lay_out("encoder-decoder", *lengths, 600, packed=False)[0]
    rows = [row for micro_batch in micro_batches for row in micro_batch.rows]
    assert sorted(rows) == [(pair,) for pair in range(len(cache))]
