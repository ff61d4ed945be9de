"""bf16 and fp16 agree with fp32 up to rounding; T5's layers do not overflow."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from training_bench import Bench
from training_cases import (
    CONFIGS,
    VOCABULARY,
    architecture,
    tiny_cache,
    tiny_model,
)

from lamini.files import read_json, read_jsonl
from lamini.students.token_cache import TokenCache
from lamini.training.batches import make_batch, shared_prefix
from lamini.training.layout import lay_out
from lamini.training.losses import token_losses
from lamini.training.optimization import autocast, protect_t5_from_overflow
from lamini.training.ways import Way

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    return tiny_cache(tmp_path_factory.mktemp("cache"), shared=5)


def _losses_and_gradient(
    name: str, cache: TokenCache, precision: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each token and the gradient, from the training code."""
    model = tiny_model(name).train()
    if precision == "fp16":
        protect_t5_from_overflow(model)
    pairs = np.arange(len(cache))
    way: Way = "packed" if architecture(name) == "encoder-decoder" else "shared_prefix"
    shared = shared_prefix(cache, pairs) if way == "shared_prefix" else 0
    lengths = (cache.prompt_lengths - shared, cache.response_lengths)
    losses = []
    for micro_batch in lay_out(architecture(name), *lengths, 600, packed=way == "packed")[0]:
        batch = make_batch(
            cache,
            pairs,
            np.ones(len(cache)),
            micro_batch,
            shared=shared,
            architecture=architecture(name),
            start_token=0,
        )
        with autocast(precision, CPU):
            losses.append(token_losses(model, batch, way))
    torch.cat(losses).sum().backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
    return torch.cat(losses).detach(), gradient


# The largest error of a token's loss in bf16, in nats: three times what was measured. fp16 has
# three more bits, so an eighth of the error.
ROUNDING = {"gpt2": 0.016, "llama": 0.018, "t5": 0.06, "t5-v1.1": 0.1}


@pytest.mark.parametrize("name", ROUNDING)
def test_each_tokens_loss_is_that_of_fp32_to_rounding(name: str, cache: TokenCache) -> None:
    exact, exact_gradient = _losses_and_gradient(name, cache, "fp32")
    for precision, most in (("bf16", ROUNDING[name]), ("fp16", ROUNDING[name] / 8)):
        losses, gradient = _losses_and_gradient(name, cache, precision)
        assert losses.dtype == torch.float32
        error = float((losses - exact).abs().max())
        assert most / 30 < error < most, precision
        assert (gradient - exact_gradient).norm() < 0.06 * exact_gradient.norm(), precision


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), tuple(ROUNDING))


@pytest.mark.parametrize("name", ROUNDING)
def test_whole_runs_agree_with_fp32_up_to_rounding(name: str, bench: Bench, tmp_path: Path) -> None:
    columns = ("loss", "held_out_loss", "gradient_norm")
    curves = {}
    for precision in ("fp32", "bf16", "fp16"):
        output = tmp_path / precision
        settings = {"epochs": 1, "precision": precision, "save_minutes": 1000}
        assert f"on 1 x cpu in {precision}" in bench.run_here(name, output, **settings)
        rows = list(read_jsonl(output / "final/metrics.jsonl"))
        curves[precision] = [
            [row[column] for row in rows if row[column] is not None] for column in columns
        ]
        assert read_json(output / "final/manifest.json")["steps_skipped"] == 0
    for precision, most in (("bf16", 6e-3), ("fp16", 1.5e-3)):
        assert curves[precision] != curves["fp32"]
        losses, held_out, norms = curves[precision]
        assert losses == pytest.approx(curves["fp32"][0], abs=most), precision
        assert held_out == pytest.approx(curves["fp32"][1], abs=most), precision
        assert norms == pytest.approx(curves["fp32"][2], rel=3 * most), precision


SIDES = {"num_layers": 2, "num_decoder_layers": 4}
FAMILIES: dict[str, tuple[dict[str, Any], int]] = {
    "t5": (SIDES, 6),
    "mt5": (SIDES, 6),
    "umt5": (SIDES, 6),
    # Blocks of eight positions, so that none of the eight tokens below is padding.
    "longt5": ({**SIDES, "local_radius": 7}, 6),
    # One layer of each side has three experts instead of one block.
    "switch_transformers": (
        {
            **SIDES,
            "num_sparse_encoder_layers": 1,
            "num_sparse_decoder_layers": 1,
            "num_experts": 3,
        },
        10,
    ),
}


def _of_t5s_kind(family: str, changes: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    special = {"vocab_size": VOCABULARY, "decoder_start_token_id": 0, "dropout_rate": 0.0}
    fields = {**CONFIGS["t5"], **changes, **special}
    config = transformers.AutoConfig.for_model(**{**fields, "model_type": family})
    return transformers.AutoModelForSeq2SeqLM.from_config(config).eval()


def _loss(model: Any, precision: Any) -> float:
    ids = torch.arange(2, 10)[None]
    with autocast(precision, CPU), torch.no_grad():
        return model(input_ids=ids, labels=ids).loss.item()


@pytest.mark.parametrize("kind", ["relu", "gated-gelu"])
@pytest.mark.parametrize("family", FAMILIES)
def test_feed_forward_blocks_of_t5s_kind_are_protected(family: str, kind: str) -> None:
    changes, blocks = FAMILIES[family]
    model = _of_t5s_kind(family, {**changes, "feed_forward_proj": kind})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("wo.weight"):
                parameter.mul_(1e6)
    exact = _loss(model, "fp32")
    assert math.isnan(_loss(model, "fp16"))
    assert protect_t5_from_overflow(model) == blocks
    assert _loss(model, "fp32") == exact
    assert _loss(model, "fp16") == pytest.approx(exact, rel=2e-3)
    # In a copy, the blocks use the copy's weights.
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name.endswith("wo.weight"):
                parameter.zero_()
    assert _loss(model, "fp32") == exact
    assert _loss(other, "fp32") != pytest.approx(exact, rel=1e-3)


def test_other_encoder_decoders_have_no_such_blocks() -> None:
    side = {**CONFIGS["llama"], "model_type": "t5_gemma_module", "head_dim": 8}
    config = transformers.AutoConfig.for_model("t5gemma", encoder=side, decoder=side)
    gemma = transformers.AutoModelForSeq2SeqLM.from_config(config)
    assert protect_t5_from_overflow(gemma) == 0
    assert protect_t5_from_overflow(tiny_model("bart")) == 0
    assert protect_t5_from_overflow(tiny_model("gpt2")) == 0
