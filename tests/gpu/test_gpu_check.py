"""`make gpu-check` on the CPU: the device-independent checks pass, and faults are found."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpu_check
import gpu_numbers
import pytest
import torch
from gpu_machine import FAMILIES, Machine, Row, restored_torch, start

from lamini.evaluation.batches import Batching
from lamini.training import computation, losses

ROOT = Path(__file__).parents[2]
CPU_COSTS = {
    "T5": "packed: math, rows: math, alone: math",  # its position biases have a gradient
    "T5 v1.1": "packed: math, rows: math, alone: math",
    "GPT-2": "shared_prefix: math, rows: math, alone: math",  # it drops attention weights out
    "Cerebras-GPT": "shared_prefix: flash of the CPU, rows: flash of the CPU,"
    " alone: flash of the CPU",
    "GPT-Neo": "shared_prefix: eager, rows: eager, alone: eager",
    "SmolLM2": "shared_prefix: flash of the CPU, rows: flash of the CPU, alone: flash of the CPU",
}
"""Attention kernels of each family's ways."""


@pytest.mark.slow
def test_the_whole_check_on_the_cpu() -> None:
    command = [sys.executable, "benchmarks/gpu_check.py"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(ROOT / "scripts")
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No GPU here: nothing of this table was measured on one." in done.stdout
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["device"] == f"CPU, torch {torch.__version__}"
    assert last["failed"] == []
    checks: dict[str, dict[str, str]] = last["checks"]
    assert {row["verdict"] for what, row in checks.items() if "TRL" not in what} == {"ok"}
    for family in FAMILIES:
        for precision in ("fp32", "bf16", "fp16"):
            assert f"{family} in {precision}: error of loss and gradient" in checks
        assert checks[f"{family}: attention kernels of training"]["measured"] == CPU_COSTS[family]
    assert "Cerebras-GPT in two processes (gloo): losses of one process" in checks
    for student in ("GPT-2", "T5", "SmolLM2"):
        assert f"small {student} in fp32: tokens/s against transformers' trainer" in checks
    assert "small GPT-2 in fp32, compiled: tokens/s against not compiled" in checks
    for words, measured in (
        ("evaluation of 64 rows at once", "then halved"),
        ("training on 64 pairs", "then smaller"),
        ("killed after a checkpoint", "equal"),
    ):
        (found,) = (row["measured"] for what, row in checks.items() if words in what)
        assert measured in found


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with pytest.MonkeyPatch.context() as patch, restored_torch():
        patch.setattr("torch.cuda.is_available", lambda: False)
        yield start(tmp_path_factory.mktemp("check"))


def _failed(machine: Machine, name: str) -> set[str]:
    return {row.what for row in gpu_check.run(machine, [name]) if row.verdict == "FAILED"}


def _only(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    monkeypatch.setattr(gpu_numbers, "FAMILIES", {family: FAMILIES[family]})


def test_a_mask_that_leaks_is_found(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, "T5")
    monkeypatch.setattr(
        losses, "segment_mask", lambda q, k, **_: torch.ones_like(q[:, :, None] == k[:, None, :])
    )
    wrong = {f"T5 in {p}: error of loss and gradient" for p in ("fp32", "bf16", "fp16")}
    assert _failed(machine, "families") == wrong | {"T5: way of training that a job takes"}


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_errors_only_in_a_short_format_are_found(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    _only(monkeypatch, "Cerebras-GPT")
    right = computation.token_losses

    def wrong(*arguments: Any) -> torch.Tensor:
        short = torch.get_autocast_dtype("cpu") == torch.float16 and torch.is_autocast_enabled(
            "cpu"
        )
        factors = factor if short and torch.is_grad_enabled() else 1.0
        return right(*arguments) * factors

    monkeypatch.setattr(computation, "token_losses", wrong)
    assert _failed(machine, "families") == {"Cerebras-GPT in fp16: error of loss and gradient"}


def test_cudnns_kernel_is_found(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, "SmolLM2")
    operator = "aten::_scaled_dot_product_flash_attention_for_cpu"
    monkeypatch.setitem(gpu_numbers._KERNELS, operator, "cuDNN")
    assert _failed(machine, "families") == {"SmolLM2: attention kernels of training"}


def test_a_batch_that_is_not_halved_is_found(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(*_: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Batching, "_halve", breaks_off)
    assert _failed(machine, "memory") == {"memory: breaks off"}


def test_a_failure_is_in_the_last_line_and_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        Row("one", "1", "2", "ok"),
        Row("other", "3", "2", "FAILED"),
        Row("third", "no GPU", "–", "not here"),
    ]
    assert gpu_check.report("a card", rows) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["failed"] == ["other"]
    assert last["checks"]["other"] == {"measured": "3", "limit": "2", "verdict": "FAILED"}
    assert gpu_check.report("a card", rows[::2]) == 0
