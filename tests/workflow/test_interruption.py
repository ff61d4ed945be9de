"""A stopped or killed run resumes, and pays for no answer twice."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from checkouts import ENVIRONMENT, Checkout

PAIRS = "results/pairs/alpaca/0000.jsonl"
LEDGER = "results/pairs/alpaca/0000.ledger.jsonl"
MODEL = "results/checkpoints/lamini-demo-gpt2"


def _start(checkout: Checkout, *arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(checkout.folder / "scripts")}
    return subprocess.Popen(
        ["snakemake", "--profile", "demo", *arguments],
        cwd=checkout.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timeout before the moment to interrupt"
        time.sleep(0.05)


def _processes_in(folder: Path) -> list[psutil.Process]:
    """Processes whose working folder is a checkout."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _interrupt(run: subprocess.Popen[bytes], how: signal.Signals, folder: Path) -> None:
    """Ctrl-C reaches the whole group; SIGKILL only Snakemake, whose jobs must then end too."""
    if how == signal.SIGKILL:
        run.kill()
    else:
        os.killpg(run.pid, how)
    run.wait(timeout=60)
    _wait_until(lambda: not _processes_in(folder), 30)


def _rows(path: Path) -> list[dict[str, object]]:
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines if line]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_requests_go_on_where_they_were(checkout: Checkout, how: signal.Signals) -> None:
    ledger = checkout.folder / LEDGER
    run = _start(checkout, PAIRS)
    _wait_until(lambda: len(_rows(ledger)) >= 10, 180)
    _interrupt(run, how, checkout.folder)
    kept = {row["key"] for row in _rows(ledger) if "key" in row}
    assert len(kept) >= 10
    assert not (checkout.folder / PAIRS).exists()

    checkout.snakemake("--profile", "demo", "--unlock")
    checkout.snakemake("--profile", "demo", PAIRS)
    keys = [row["key"] for row in _rows(ledger) if "key" in row]
    assert len(keys) == len(set(keys)), "a finished request was sent again"
    assert kept <= set(keys)
    pairs = _rows(checkout.folder / PAIRS)
    assert len(pairs) == len(keys)


@pytest.fixture
def before_training(finished_demo: Checkout, tmp_path: Path) -> Checkout:
    """The finished demo without one small student, whose training is to take a while longer."""
    large = shutil.ignore_patterns("*smollm2*", MODEL.rpartition("/")[2])
    shutil.copytree(finished_demo.folder, tmp_path / "demo", symlinks=True, ignore=large)
    recipe = {"epochs": 10, "save_minutes": 0.01}
    overlay = {"recipes": {"decoder_only": recipe}}
    (tmp_path / "demo/overlay.yaml").write_text(yaml.safe_dump(overlay))
    return Checkout(tmp_path / "demo")


def _weights(checkout: Checkout) -> str:
    manifest = json.loads((checkout.folder / MODEL / "final/manifest.json").read_text())
    return str(manifest["files"]["model.safetensors"]["sha256"])


@pytest.mark.slow
def test_training_resumes_at_its_checkpoint(before_training: Checkout) -> None:
    """After a stop and a kill, the weights equal those of an uninterrupted run."""
    target = f"{MODEL}/final/manifest.json"
    options = ("--configfile", "config/demo.yaml", "overlay.yaml", "--retries", "0")
    work = before_training.folder / MODEL / "work"

    def newest() -> int:
        return max((int(path.name[5:]) for path in work.glob("step-*")), default=0)

    reached = 0
    for how in (signal.SIGINT, signal.SIGKILL):
        run = _start(before_training, target, *options)
        _wait_until(lambda: newest() >= reached + 10, 240)  # noqa: B023
        _interrupt(run, how, before_training.folder)
        assert not (before_training.folder / target).exists(), (
            "an interrupted training has no declared output"
        )
        assert newest() > reached
        reached = newest()
        before_training.snakemake("--profile", "demo", "--unlock")
    before_training.snakemake("--profile", "demo", target, *options)
    log = (before_training.folder / "results/logs/train_model/lamini-demo-gpt2.log").read_text()
    interrupted = _weights(before_training)

    shutil.rmtree(before_training.folder / MODEL)
    before_training.snakemake("--profile", "demo", target, *options)
    assert _weights(before_training) == interrupted
    assert f"step-{reached:07}" in log, "training restarted from the beginning"
