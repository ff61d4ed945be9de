"""Sizes of micro-batches from measurements, and smaller ones when memory is too small."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import tiny_cache, tiny_model, tiny_trainer

from lamini.errors import LaminiError
from lamini.students.token_cache import TokenCache
from lamini.training.computation import Computation
from lamini.training.micro_batches import (
    CPU_COSTS,
    Measurement,
    MicroBatchCosts,
    derive_costs,
    measure_costs,
)

GIGABYTE = 10**9


def _measured(fixed: float, per_token: float, memory: int) -> list[Measurement]:
    """Measurements of a device with the given seconds and bytes, and 1 GB of gradients."""
    return [
        Measurement(tokens, fixed + per_token * tokens, GIGABYTE + memory * tokens)
        for tokens in (1_000, 16_000)
    ]


def test_costs_are_the_measured_ones() -> None:
    # 0.040 s are 8,000 tokens; 0.85 of 60 GB minus 1 GB is enough for 50,000 tokens.
    costs = derive_costs(_measured(0.040, 5e-6, 1_000_000), 60 * GIGABYTE)
    assert costs == MicroBatchCosts(budget=32768, overhead=4096)


@pytest.mark.parametrize("noise", [0.9, 1.1])
def test_noise_does_not_change_costs(noise: float) -> None:
    quiet = derive_costs(_measured(0.060, 5e-6, 1_000_000), 60 * GIGABYTE)
    assert derive_costs(_measured(0.060 * noise, 5e-6, 1_000_000), 60 * GIGABYTE) == quiet


def test_costs_have_limits() -> None:
    """A large model on a small GPU, a tiny one on a large GPU, and a single measurement."""
    assert derive_costs(_measured(0.0, 1e-3, 10**8), 2 * GIGABYTE) == MicroBatchCosts(1024, 128)
    assert derive_costs(_measured(1.0, 1e-9, 1), 10**12) == MicroBatchCosts(2**17, 2**15)
    (small, _) = _measured(0.040, 5e-6, 10**6)
    assert derive_costs([small], GIGABYTE) == MicroBatchCosts(1024, 1024)


class FakeCard:
    """Fakes of torch's functions for a GPU with 16 GB, where each token takes 1 MB."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.peak, self.names = 0, ["Card A"]
        answers: dict[str, Any] = {
            "get_device_name": lambda device: self.names[-1],
            "mem_get_info": lambda device: (16 * GIGABYTE, 24 * GIGABYTE),
            "memory_reserved": lambda device: 5 * GIGABYTE,
            "memory_allocated": lambda device: 4 * GIGABYTE,
            "max_memory_allocated": lambda device: self.peak,
            "synchronize": lambda device: None,
            "reset_peak_memory_stats": lambda device: None,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, answer)

    def compute(self, tokens: int) -> int:
        """A forward and backward pass; more than 10,000 tokens do not fit."""
        if tokens > 10_000:
            raise torch.OutOfMemoryError("imitated")
        self.peak = 4 * GIGABYTE + tokens * 10**6
        time.sleep(0.02 + 2e-6 * tokens)
        return tokens


def test_a_resumed_run_keeps_its_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are measured again only on another GPU."""
    card, file = FakeCard(monkeypatch), tmp_path / "new/work/costs.json"
    device = torch.device("cuda")
    costs = measure_costs(card.compute, device, 5 * GIGABYTE, file)
    assert costs.budget == 8192  # 0.85 * (16 + 1 - 5) GB hold 10,200 tokens
    assert costs.overhead == 8192  # 0.02 s are 10,000 tokens

    def never(tokens: int) -> int:
        raise AssertionError(tokens)

    assert measure_costs(never, device, 0, file) == costs
    card.names.append("Card B")
    assert measure_costs(card.compute, device, 11 * GIGABYTE, file).budget == 4096


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_measured_pairs_leave_nothing_behind(
    name: str, cache: TokenCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A micro-batch has about the requested number of tokens; the model then has no gradients."""
    asked: list[tuple[int, int]] = []

    def ask(compute: Any, device: Any, reserved: int, file: Path) -> MicroBatchCosts:
        asked.extend((tokens, compute(tokens)) for tokens in (300, 5_000))
        assert file == tmp_path / "work/micro_batches.json"
        return CPU_COSTS

    model = tiny_model(name)
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    trainer = tiny_trainer(model, cache, tmp_path / "work", batch_pairs=20)
    monkeypatch.setattr("lamini.training.computation.measure_costs", ask)
    computation = trainer._computation
    model.eval()
    computation._measured_costs(np.arange(len(cache)), trainer._job, tmp_path / "work")
    for tokens, computed in asked:
        assert 0.4 * tokens < computed < 2.5 * tokens
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
    assert all(map(torch.equal, weights, model.parameters()))


class SmallMemory:
    """Raises OutOfMemoryError in a model's forward for more than `most` tokens."""

    def __init__(self, model: Any, most: int) -> None:
        self.most, self.failures = most, 0
        model.register_forward_pre_hook(self._check, with_kwargs=True)

    def _check(self, module: Any, arguments: Any, inputs: dict[str, Any]) -> None:
        tokens = inputs.get("decoder_input_ids", inputs.get("input_ids"))
        if self.most and tokens is not None and tokens.numel() > self.most:
            self.failures += 1
            raise torch.OutOfMemoryError(f"imitated: {tokens.numel()} tokens")


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return tiny_cache(tmp_path / "cache")


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_too_little_memory_makes_smaller_micro_batches(
    name: str, cache: TokenCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The steps have the losses and gradient norms of a run with enough memory."""
    changes = {"tokens_per_micro_batch": 2000, "batch_pairs": 20}
    model = tiny_model(name)
    plain = tiny_trainer(tiny_model(name), cache, tmp_path / "plain", **changes)
    trainer = tiny_trainer(model, cache, tmp_path / "small", **changes)
    memory = SmallMemory(model, 300)
    for step in range(2):
        ours, theirs = trainer.step(step), plain.step(step)
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
        assert ours.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-5)
        assert ours.pairs == theirs.pairs
    assert 1 <= memory.failures <= 3  # the second step begins with the smaller size
    messages = [m for m in caplog.messages if "out of memory" in m]
    assert len(messages) == memory.failures
    assert "tokens per micro-batch" in messages[0]


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_memory_for_less_than_a_pair_ends_the_run_with_remedies(
    name: str, cache: TokenCache, tmp_path: Path
) -> None:
    model = tiny_model(name)
    trainer = tiny_trainer(model, cache, tmp_path / "work", batch_pairs=20)
    memory = SmallMemory(model, 1)
    with pytest.raises(LaminiError, match=r"tiny: .* single pair; set gradient_checkpointing"):
        trainer.step(0)
    assert memory.failures <= 8


def test_batches_of_the_next_step_are_prepared_once(
    cache: TokenCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[list[int]] = []
    original = Computation.prepare

    def counted(self: Computation, pairs: np.ndarray, weights: np.ndarray) -> Any:
        prepared.append(pairs.tolist())
        return original(self, pairs, weights)

    monkeypatch.setattr(Computation, "prepare", counted)
    trainer = tiny_trainer(tiny_model("gpt2"), cache, tmp_path / "work")
    steps = trainer.plan.steps
    for step in range(steps):
        trainer.step(step)
    assert prepared == [trainer.plan.pairs(step).tolist() for step in range(steps)]
