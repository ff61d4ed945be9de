"""Numerics of training and evaluation: number formats, attention kernels, order of sums."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from training_bench import Bench

from lamini.evaluation.models import load_evaluated_model
from lamini.settings.params.evaluation import EvaluatedModel
from lamini.students.numerics import choose_precision
from lamini.training.run import prepare_torch

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def torch_as_it_starts() -> Iterator[None]:
    torch.backends.cuda.enable_cudnn_sdp(True)
    torch.use_deterministic_algorithms(False)
    yield
    torch.backends.cuda.enable_cudnn_sdp(True)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("capability", "training", "evaluation"),
    [((7, 0), "fp16", "fp32"), ((7, 5), "fp16", "fp32"), ((8, 0), "bf16", "bf16")],
)
def test_auto_selects_a_fast_and_safe_format_of_the_gpu(
    capability: tuple[int, int], training: str, evaluation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    assert choose_precision("auto", GPU, before_ampere="fp16") == training
    assert choose_precision("auto", GPU, before_ampere="fp32") == evaluation
    assert choose_precision("auto", CPU, before_ampere="fp16") == "fp32"
    assert choose_precision("fp16", CPU, before_ampere="fp32") == "fp16"
    assert choose_precision("fp32", GPU, before_ampere="fp16") == "fp32"


def test_cudnns_faulty_kernel_is_off_in_training_and_evaluation(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench", ("gpt2",))
    bench.run_here("gpt2", tmp_path, epochs=0.3, save_minutes=1000)
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    evaluated = EvaluatedModel(
        model="student",
        architecture="decoder-only",
        prompt_format=None,
        path=str(tmp_path / "final"),
        revision=None,
    )
    load_evaluated_model(evaluated, "fp32", CPU)
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    # The others stay.
    assert torch.backends.cuda.flash_sdp_enabled()
    assert torch.backends.cuda.mem_efficient_sdp_enabled()


def test_sums_have_a_fixed_order_on_a_cpu_and_none_is_claimed_on_a_gpu() -> None:
    prepare_torch(1, CPU)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    prepare_torch(1, GPU)
    assert not torch.are_deterministic_algorithms_enabled()
