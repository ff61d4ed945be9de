"""The fp16 loss scale: overflowing steps are skipped, logged, counted; twenty end the run."""

import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from training_bench import Bench
from training_cases import tiny_cache, tiny_model, tiny_trainer

from lamini.errors import LaminiError, StopRequested
from lamini.files import read_json, read_jsonl
from lamini.students.token_cache import TokenCache
from lamini.training.metrics import StepMetrics
from lamini.training.optimization import LossScale


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    return tiny_cache(tmp_path_factory.mktemp("cache"))


def test_the_loss_scale_is_halved_doubled_and_at_least_one() -> None:
    scale = LossScale(enabled=True)
    assert scale.value == 65536
    # A step that is skipped begins the count of the others again.
    for finite, steps, value in (
        (True, 1999, 65536),
        (True, 1, 131072),
        (True, 1999, 131072),
        (True, 1, 262144),
        (True, 1999, 262144),
        (False, 2, 65536),
        (True, 1999, 65536),
        (True, 1, 131072),
    ):
        for _ in range(steps):
            scale.adapt(finite)
        assert scale.value == value
    for number in range(1, 20):
        scale.adapt(False)
        assert (scale.value, scale.skipped_in_a_row) == (max(1, 131072 / 2**number), number)
    scale.adapt(True)
    assert (scale.value, scale.skipped_in_a_row) == (1, 0)


def test_the_loss_scale_goes_on_from_its_state() -> None:
    one = LossScale(enabled=True)
    for finite in (*[True] * 1500, False, False, *[True] * 1999):
        one.adapt(finite)
    two = LossScale(enabled=True)
    two.load_state(one.state())
    assert two.state() == one.state() == {"value": 16384, "steps": 1999, "skipped_in_a_row": 0}
    two.adapt(True)
    assert two.value == 32768
    two.load_state({"value": 8.0, "steps": 3})  # of version 0.1
    assert two.state() == {"value": 8, "steps": 3, "skipped_in_a_row": 0}
    # A run may go on where `auto` means another precision.
    none = LossScale(enabled=False)
    none.load_state(one.state())
    assert (none.value, none.state()) == (1, {})
    one = LossScale(enabled=True)
    one.load_state(none.state())
    assert one.value == 65536


def test_gradients_are_divided_by_the_loss_scale() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([65536.0, 32768.0])
    LossScale(enabled=True).undo([parameter, torch.nn.Parameter(torch.zeros(1))])
    assert parameter.grad.tolist() == [1.0, 0.5]


SKIPPING = 2.0**27
"""A first loss scale under which some steps of the toys overflow, and then no more."""


def test_skipped_steps_are_in_log_manifest_and_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "bench", ("gpt2",))
    monkeypatch.setattr(LossScale, "INITIAL", SKIPPING)
    log = bench.run_here("gpt2", tmp_path, epochs=2, precision="fp16", save_minutes=1000)
    final = tmp_path / "final"
    norms = [row["gradient_norm"] for row in read_jsonl(final / "metrics.jsonl")][1:]
    skipped = norms.count(None)
    assert 3 < skipped < 12
    assert None not in norms[skipped:]
    assert log.count("is skipped: its gradients overflow fp16") == skipped
    assert f"step {skipped} is skipped: its gradients overflow fp16; the loss scale is now" in log
    assert read_json(final / "manifest.json")["steps_skipped"] == skipped
    card = (final / "README.md").read_text("utf-8")
    assert f"| of them skipped, as fp16 overflowed | {skipped} |" in card


FP16 = {"precision": "fp16", "epochs": 8, "warmup_ratio": 0.0}


def test_skipped_steps_are_remembered_by_a_run_that_was_stopped(
    cache: TokenCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LossScale, "INITIAL", SKIPPING)
    whole, stopped = tiny_model("gpt2"), tiny_model("gpt2")
    rows = tiny_trainer(whole, cache, tmp_path / "whole", **FP16).run()
    trainer = tiny_trainer(stopped, cache, tmp_path / "stopped", **FP16)
    take = trainer.step

    def step(number: int) -> StepMetrics:
        if number == 3:
            signal.raise_signal(signal.SIGTERM)
        return take(number)

    monkeypatch.setattr(trainer, "step", step)
    with pytest.raises(StopRequested, match="stopped after step 4 of 24"):
        trainer.run()
    resumed = tiny_model("gpt2")
    assert tiny_trainer(resumed, cache, tmp_path / "stopped", **FP16).run() == rows
    assert [row.gradient_norm for row in rows[1:6]] == [None] * 5
    assert rows[-1].gradient_norm is not None
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def _overflowing() -> Any:
    """A model with a finite loss and a gradient that is never finite."""
    model = tiny_model("gpt2")
    next(model.parameters()).register_hook(lambda gradient: gradient * math.inf)
    return model


def test_twenty_skipped_steps_in_a_row_end_the_run(cache: TokenCache, tmp_path: Path) -> None:
    most = r"20 steps in a row, up to step 20, .* set precision to bf16 or fp32, or lower learning"
    with pytest.raises(LaminiError, match=most):
        tiny_trainer(_overflowing(), cache, tmp_path, **FP16).run()
    assert max(path.name for path in tmp_path.glob("step-*")) == "step-0000019"
    # What was saved remembers the nineteen.
    with pytest.raises(LaminiError, match=most):
        tiny_trainer(_overflowing(), cache, tmp_path, **FP16).run()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_outside_of_fp16_a_gradient_that_is_no_number_ends_the_run(
    precision: str, cache: TokenCache, tmp_path: Path
) -> None:
    trainer = tiny_trainer(_overflowing(), cache, tmp_path, precision=precision)
    with pytest.raises(LaminiError, match=r"gradient norm (nan|inf) in step 1; .*lower learning"):
        trainer.run()
