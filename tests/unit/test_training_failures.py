"""Failures in training: the message names the remedy, and no work is lost."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_bench import Bench, wait_for_checkpoint
from training_cases import tiny_model

from lamini.errors import LaminiError
from lamini.training.export import export_model
from lamini.training.initialization import load_initialization
from lamini.training.job import TrainingJob
from lamini.training.manifest import TrainingManifest
from lamini.training.metrics import StepMetrics
from lamini.training.ranks import Ranks
from lamini.training.telemetry import Telemetry

# TensorBoard writes in a thread of its own, whose error arrives with the next call as well.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
TOO_LITTLE = 100_000
"""Bytes; the toy's weights take more."""


@contextlib.contextmanager
def small_files(size: int = TOO_LITTLE) -> Iterator[None]:
    """Within the block, writes beyond `size` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One of its pairs has 100,000 tokens: it is left out, or it is named."""
    return Bench(tmp_path_factory.mktemp("bench"), ("gpt2",), longest=100_000)


@pytest.mark.slow
def test_diverging_stops_with_what_to_change(bench: Bench, tmp_path: Path) -> None:
    changes = {"learning_rate": 1e30, "max_gradient_norm": 1e30, "warmup_ratio": 0.0}
    process = bench.start("gpt2", tmp_path, **changes)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "lower learning_rate" in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_a_full_disk_keeps_the_checkpoint_before(bench: Bench, tmp_path: Path) -> None:
    process = bench.start("gpt2", tmp_path, epochs=2)
    wait_for_checkpoint(process, tmp_path, 3)
    process.kill()
    process.wait()
    kept = sorted(path.name for path in (tmp_path / "work").glob("step-*"))
    process = bench.start("gpt2", tmp_path, epochs=2, file_size=TOO_LITTLE)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the checkpoint can't be written" in log
    assert "make room and run the same command again" in log
    assert "Traceback" not in log
    assert sorted(path.name for path in (tmp_path / "work").glob("step-*")) == kept
    assert not list((tmp_path / "work").glob(".step-*"))
    assert f"resuming from {tmp_path}/work/{kept[-1]}" in bench.run("gpt2", tmp_path, epochs=2)


def test_a_full_disk_at_the_end_leaves_no_half_of_a_model(bench: Bench, tmp_path: Path) -> None:
    job = TrainingJob.model_validate(bench.settings("gpt2"))
    model, tokenizer = load_initialization(job)
    folder = tmp_path / "final"
    manifest = TrainingManifest.model_construct()
    with small_files(), pytest.raises(LaminiError, match="the model can't be written"):
        export_model(job, model, tokenizer, [], manifest, left_out=[], folder=folder)
    assert not folder.exists()


def test_curves_that_cannot_be_written_end_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = Telemetry(tmp_path, tiny_model("gpt2"), "decoder-only", Ranks(0))
    telemetry.measure(10, 10, 1.0)
    with small_files(1):
        telemetry.record(StepMetrics.untrained(1.0))
        telemetry.close()
    assert "TensorBoard" in caplog.text


@pytest.mark.slow
def test_a_pair_longer_than_the_model_is_named_before_training(
    bench: Bench, tmp_path: Path
) -> None:
    process = bench.start("gpt2", tmp_path, max_prompt_tokens=200_000)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "pair 7" in log
    assert "256 positions; lower max_prompt_tokens" in log
    assert "Traceback" not in log


def test_a_step_at_learning_rate_zero_is_warned_of(bench: Bench, tmp_path: Path) -> None:
    settings = {"warmup_ratio": 0.03, "save_minutes": 1000}
    log = bench.run_here("gpt2", tmp_path / "one", epochs=0.01, **settings)
    assert "step 1 of 1 has learning rate 0" in log
    assert "changes nothing: this run trains nothing; set warmup_ratio to 0" in log
    start, end = (
        load_file(folder / "model.safetensors")
        for folder in (bench.folder / "models/gpt2", tmp_path / "one/final")
    )
    assert all(torch.equal(end[key][: len(start[key])], start[key]) for key in start)
    log = bench.run_here("gpt2", tmp_path / "ten", epochs=1.42, **settings)
    assert "step 1 of 10 has learning rate 0" in log
    assert "changes nothing; set warmup_ratio to 0" in log
    for changes in ({"epochs": 1.43}, {"epochs": 0.01, "warmup_ratio": 0.0}):
        log = bench.run_here("gpt2", tmp_path / str(changes), **{**settings, **changes})
        assert "has learning rate 0" not in log


def test_a_gpu_that_was_allotted_and_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(LaminiError, match=r"GPU 3 was allotted .* check `nvidia-smi`"):
        Ranks(1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert Ranks(1).device.type == "cpu"


def test_fewer_gpus_than_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(LaminiError, match=r"process 2 .* has no GPU: 2 are visible"):
        Ranks(4)
