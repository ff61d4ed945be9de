"""Compiled blocks of the paper's families: one graph, and the numbers of the model as it is."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch._dynamo.config
from torch._dynamo.utils import counters
from training_cases import CONFIGS, architecture, tiny_cache, tiny_model, tiny_trainer

from lamini.errors import LaminiError
from lamini.forward.own import log_likelihoods
from lamini.students.token_cache import TokenCache
from lamini.training.compilation import blocks_of, compile_blocks, compiled_log_likelihoods
from lamini.training.ways import ways_to_try

PAPER = ["t5", "t5-v1.1", "gpt2", "gpt-neo", "cerebras-gpt"]
TODAY = ["llama"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    return tiny_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graphs are captured and differentiated, and computed by torch's own kernels."""
    own = torch.nn.Module.compile

    def compile_eagerly(module: torch.nn.Module, **options: object) -> None:
        own(module, backend="aot_eager", **options)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_eagerly)
    whole = torch.compile
    monkeypatch.setattr(torch, "compile", functools.partial(whole, backend="aot_eager"))
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=8):
        yield


@pytest.mark.parametrize("name", PAPER + TODAY)
def test_a_block_is_one_graph(name: str) -> None:
    """A second graph of a block would bring back what compilation saves."""
    model = tiny_model(name)
    blocks = blocks_of(model)
    calls: list[tuple[torch.nn.Module, tuple[object, ...], dict[str, object]]] = []
    for block in blocks:
        block.register_forward_pre_hook(
            lambda block, args, kwargs: calls.append((block, args, kwargs)), with_kwargs=True
        )
    ids = torch.arange(2, 20)[None]
    more = {} if architecture(name) == "decoder-only" else {"decoder_input_ids": ids[:, :7]}
    model.train()(input_ids=ids, use_cache=False, **more)
    assert len(calls) == len(blocks) == (4 if more else 2)
    for block, args, kwargs in calls:
        block._forward_pre_hooks.clear()
        torch._dynamo.reset()
        found = torch._dynamo.explain(block)(*args, **kwargs)
        assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_a_run_has_the_losses_of_one_without(name: str, cache: TokenCache, tmp_path: Path) -> None:
    """Also with dropout, whose numbers are the same."""
    losses = []
    for compiled in (False, True):
        model = tiny_model(name, dropout=True)
        trainer = tiny_trainer(model, cache, tmp_path / str(compiled), compile=compiled)
        losses.append([trainer.step(step).loss for step in range(4)])
    assert losses[1] == pytest.approx(losses[0], rel=2e-4)


@pytest.mark.usefixtures("without_compiler")
def test_graphs_do_not_depend_on_the_layers_or_the_sequences_of_a_flat_row(
    cache: TokenCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a compiled student starts after many minutes on a GPU.

    Block and loss have a graph each: in fp32 without gradients (the proof), and in bf16 with and
    without them. The proof makes them all, so that no step waits.
    """
    monkeypatch.setattr("lamini.training.ways.has_kernel", lambda device: True)
    for layers in (2, 3):
        torch._dynamo.reset()
        counters.clear()
        monkeypatch.setitem(CONFIGS, "gpt2", CONFIGS["gpt2"] | {"n_layer": layers})
        model = tiny_model("gpt2")
        job = {"compile": True, "precision": "bf16", "tokens_per_micro_batch": 64}
        trainer = tiny_trainer(model, cache, tmp_path / str(layers), **job)
        assert trainer.choice.way == "flat"
        assert counters["stats"]["unique_graphs"] == 6
        for step in range(2):
            trainer.step(step)
        assert counters["stats"]["unique_graphs"] == 6
        assert not counters["graph_break"]


SLOW = pytest.mark.skipif(
    "LAMINI_SLOW_TESTS" not in os.environ, reason="takes a minute; set LAMINI_SLOW_TESTS=1"
)


@pytest.mark.parametrize("name", ["gpt2", pytest.param("t5", marks=SLOW)])
def test_with_the_compiler_losses_and_gradients_are_the_same(name: str, cache: TokenCache) -> None:
    """Also dropout: it draws the same numbers."""
    ids = torch.from_numpy(np.arange(2, 62).reshape(3, 20))
    more = {} if architecture(name) == "decoder-only" else {"decoder_input_ids": ids[:, :7]}
    found = []
    for compiled in (False, True):
        model = tiny_model(name, dropout=True).train()
        if compiled:
            torch._dynamo.reset()
            assert compile_blocks(model, name) == (4 if more else 2)
        torch.manual_seed(5)
        logits = model(input_ids=ids, use_cache=False, **more).logits
        logits.logsumexp(-1).sum().backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        found.append({"logits": logits.detach()} | gradients)
    assert found[0].keys() == found[1].keys()
    for key, value in found[0].items():
        torch.testing.assert_close(found[1][key], value, rtol=1e-4, atol=1e-5, msg=key)


def test_the_compiled_loss_is_that_of_the_model() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 300, (17,), generator=generator)
    found = []
    for likelihoods in (log_likelihoods, compiled_log_likelihoods()):
        logits = torch.randn(17, 300, generator=generator.manual_seed(4)).requires_grad_()
        values = likelihoods(logits, labels)
        (values * torch.arange(17)).sum().backward()
        found.append((values.detach(), logits.grad))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
    found_graphs = torch._dynamo.explain(log_likelihoods)(logits, labels)
    assert (found_graphs.graph_count, found_graphs.graph_break_count) == (1, 0)


def test_a_compiled_model_shares_no_cache() -> None:
    assert ways_to_try(tiny_model("gpt2"), compiled=True) == ["rows", "alone"]
    assert ways_to_try(tiny_model("t5"), compiled=True) == ["packed", "rows", "alone"]


def test_a_family_without_named_blocks_is_refused() -> None:
    model = tiny_model("gpt2")
    model._no_split_modules = None
    with pytest.raises(LaminiError, match=r"name the blocks of gpt2.* set compile: false"):
        compile_blocks(model, "my-student")
