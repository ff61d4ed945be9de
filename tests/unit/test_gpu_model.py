"""Kernels counted without a GPU, and the prediction of a step from them."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import gpu_model
import numpy as np
import pytest
import torch
import yaml
from compiled_counts import Kernel, as_compiled, compiler_for_meta
from gpu_model import Host, Lengths, Model, predict
from kernel_counts import Counts, count, masked_log_likelihoods, meta_model
from paper_students import CONFIGS

from lamini.forward.own import log_likelihoods
from lamini.training.gpus import GPUS

MODELS = yaml.safe_load((Path(__file__).parents[2] / "config/models.yaml").read_text())["models"]
LENGTHS = Lengths(np.full(8, 60), np.full(8, 40), 27)


def _zeros(*shape: int, kind: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(shape, dtype=kind, device="meta")


@pytest.mark.parametrize("student", CONFIGS)
def test_the_configurations_have_the_students_parameters(student: str) -> None:
    parameters = sum(p.numel() for p in meta_model(CONFIGS[student]).parameters())
    assert parameters == MODELS[MODELS[student]["initialization"]]["parameters"]


def test_products_and_bytes_of_a_layer() -> None:
    layer = torch.nn.Linear(64, 32, bias=False, device="meta")
    states = _zeros(10, 64)
    counts = count(lambda _: layer(states).float().sum(), None)
    # The product, and in the backward pass that of the weight's gradient.
    product = 2 * 10 * 64 * 32
    assert [flops for flops in counts.flops if flops] == [product, product]
    # Casts of the input and of the weight, the product, the cast of its result, and the sum.
    assert counts.forward == 5
    assert counts.bytes[:2] == [10 * 64 * 6, 32 * 64 * 6]
    assert counts.bytes[2] == 2 * (10 * 64 + 64 * 32 + 10 * 32)
    assert counts.peak >= 2 * (10 * 64 + 64 * 32 + 10 * 32)


def test_views_start_no_kernel_and_repeated_elements_count_once() -> None:
    weight = torch.nn.Parameter(_zeros(1, 32))
    counts = count(lambda _: torch.sum(weight.expand(1000, 32).transpose(0, 1) + 1), None)
    assert counts.forward == 2
    assert counts.bytes[0] == 4 * (32 + 32 * 1000)


class _Added:
    """Keeps the kernels of each graph."""

    def __init__(self) -> None:
        self.graphs: list[Sequence[Kernel]] = []

    def paused(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()

    def add_graph(self, kernels: Sequence[Kernel], results: object) -> None:
        self.graphs.append(kernels)


class _Pointwise(torch.nn.Module):
    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return torch.tanh(states * 2 + 1)


def test_a_compiled_block_is_one_kernel_each_way() -> None:
    size = 4 * 1000 * 64
    found = []
    for compiled in (False, True):
        block, states = _Pointwise(), _zeros(1000, 64).requires_grad_()
        counts = count(
            lambda _, block=block, states=states: block(states).sum(), [block] if compiled else None
        )
        found.append(counts)
    plain, fused = found
    # Product, sum and hyperbolic tangent; the last kernel is the sum of the test.
    assert plain.bytes[: plain.forward] == [2 * size, 2 * size, 2 * size, size]
    assert fused.bytes[: fused.forward] == [2 * size, size]
    assert fused.bytes[-1] == 3 * size, "reads the result and its gradient, writes a gradient"


@pytest.mark.parametrize(
    ("likelihoods", "device"),
    [(log_likelihoods, "cpu"), (masked_log_likelihoods, "cpu"), (masked_log_likelihoods, "meta")],
)
def test_the_compiled_loss_reads_the_logits_twice_and_writes_them_once(
    likelihoods: Callable[..., torch.Tensor], device: str
) -> None:
    logits = torch.zeros(500, 4096, dtype=torch.bfloat16, device=device, requires_grad=True)
    tokens = torch.zeros(500, dtype=torch.long, device=device)
    counting = _Added()
    with compiler_for_meta():
        as_compiled(likelihoods, contextlib.nullcontext, counting)(logits, tokens).sum().backward()
    forward, backward = (sum(k.bytes for k in kernels) for kernels in counting.graphs)
    assert [len(kernels) for kernels in counting.graphs] == [1, 1]
    assert forward == pytest.approx(2 * logits.numel(), rel=0.02)
    assert backward == pytest.approx(4 * logits.numel(), rel=0.02)


def test_compiled_layers_have_the_products_of_the_plain_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_model, "SIZES", (1024, 2048))
    config = {"model_type": "gpt2", "n_embd": 64, "n_head": 2, "n_layer": 3}
    plain, fused = (Model(config, LENGTHS, compiled=compiled) for compiled in (False, True))
    assert (plain.way, fused.way) == ("flat", "flat")
    for tokens in (1024, 2048):
        flops = [model.value(tokens, lambda c: sum(c.flops)) for model in (plain, fused)]
        assert flops[1] == pytest.approx(flops[0])
        moved = [model.value(tokens, lambda c: sum(c.bytes)) for model in (plain, fused)]
        assert moved[1] < moved[0]
    whole = fused._count(config, 2048)[1]
    assert fused.value(2048, lambda c: len(c.flops)) == pytest.approx(len(whole.flops))
    assert fused.value(2048, lambda c: sum(c.bytes)) == pytest.approx(sum(whole.bytes))


def test_kernels_take_the_time_of_their_products_or_of_their_bytes() -> None:
    counts = Counts(flops=[600.0, 0.0, 6.0], bytes=[10.0, 50.0, 100.0])
    assert counts.seconds(peak=100.0, bandwidth=10.0, share=0.6) == 10 + 5 + 10


@pytest.mark.parametrize(
    ("config", "way", "layers"),
    [
        ({"model_type": "gpt2", "n_embd": 64, "n_head": 2}, "flat", "n_layer"),
        ({"model_type": "gpt2", "n_embd": 64, "n_head": 2}, "shared_prefix", "n_layer"),
        ({"model_type": "t5", "d_model": 64, "d_kv": 32, "num_heads": 2}, "packed", "num_layers"),
    ],
)
def test_layers_are_extrapolated_exactly(
    config: dict[str, object], way: str, layers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_model, "SIZES", (1024, 2048))
    model = Model({**config, "decoder_start_token_id": 0, layers: 5}, LENGTHS, way)
    tokens, whole = model._count({**config, "decoder_start_token_id": 0, layers: 5}, 2048)
    assert model.value(tokens, lambda c: len(c.flops)) == pytest.approx(len(whole.flops))
    assert model.value(tokens, lambda c: sum(c.flops)) == pytest.approx(sum(whole.flops))
    assert model.value(tokens, lambda c: sum(c.bytes)) == pytest.approx(sum(whole.bytes))


def test_a_step_takes_the_time_of_the_gpu_or_of_the_launches() -> None:
    work = SimpleNamespace(flops=lambda prompts, responses: 1e12 * (prompts + responses) / 800)
    model = SimpleNamespace(
        seconds=lambda tokens, gpu: tokens * 1e-5,
        kernels=1000.0,
        tensors=100,
        parameters=1_000_000,
        work=work,
    )
    host, update = Host(layout=0.003, batches=0.001, serial=0.001), 40e6 / GPUS["A100"].bandwidth
    one = predict(model, LENGTHS, "A100", 5e-6, host=host, sizes=[[1000.0]])
    assert one.seconds == pytest.approx(0.01 + update + 0.001)
    assert one.waiting == pytest.approx(0.001)  # the next step is prepared while the GPU computes
    assert one.utilisation == pytest.approx(1e12 / one.seconds / 312e12)
    slow = predict(model, LENGTHS, "A100", 20e-6, host=host, sizes=[[500.0, 500.0]])
    # 2,100 kernels: those of two micro-batches, and the sums of 100 gradients.
    assert slow.seconds == pytest.approx(0.042 + update + 0.005)
    both = predict(model, LENGTHS, "A100", 5e-6, host=host, sizes=[[400.0], [600.0]])
    assert both.seconds == pytest.approx(0.006 + update + 8e6 / 2 / 240e9 + 0.001 + 0.0025)
    assert both.utilisation == pytest.approx(1e12 / both.seconds / 312e12 / 2)
