"""Runs of `snakemake --profile slurm` in a checkout."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from checkouts import ENVIRONMENT, Checkout

LEDGERS = "ledgers.tar.zst"
REPLAY = {"teacher": {"mode": "replay"}}
STUDENT = "lamini-demo-t5"
SOURCE = "self_instruct_with_topic"
CHAIN = (
    "topics",
    f"prompts/{SOURCE}.jsonl",
    f"instructions/{SOURCE}/0000.jsonl",
    f"queries/{SOURCE}/0000.jsonl",
    f"pairs/{SOURCE}/0000.jsonl",
    "dataset",
    "tokenizers/demo-t5",
    "tokenized/d_all/demo-t5",
    "pretrained/demo-t5",
    f"checkpoints/{STUDENT}/final",
    f"evals/{STUDENT}",
    f"answers/{STUDENT}.jsonl",
)
"""Of each stage one result; together they are one way through the whole pipeline."""
CHAIN_TARGETS = (f"results/evals/{STUDENT}/rte.json", f"results/answers/{STUDENT}.jsonl")
# The profile polls at an interval for real use; the cluster here answers at once. Snakemake's own
# output has the ids of the SLURM jobs.
QUICK = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "20", "-p")


def copy_demo(demo: Checkout, folder: Path, *left_out: str) -> Checkout:
    """A copy of a finished demo without its large model, and without some folders of results."""
    large = shutil.ignore_patterns("*smollm2*")
    results = str(demo.folder / "results")

    def ignored(place: str, names: list[str]) -> set[str]:
        return large(place, names) | (set(left_out) if place == results else set())

    shutil.copytree(demo.folder, folder, symlinks=True, ignore=ignored)
    return Checkout(folder)


class Run:
    """One run of the workflow on the cluster; its output goes to a file.

    Args:
        checkout: where.
        targets: files or named targets.
        options: more for Snakemake.
        overlay: settings over the demo's.
    """

    count = 0

    def __init__(
        self,
        checkout: Checkout,
        *targets: str,
        options: Sequence[str] = (),
        overlay: dict[str, Any] | None = None,
    ) -> None:
        Run.count += 1
        self.folder = checkout.folder
        self.output = self.folder / f"run-{Run.count}.log"
        name = "overlay.yaml"
        (self.folder / name).write_text(yaml.safe_dump(overlay or {}))
        environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(self.folder / "scripts")}
        with open(self.output, "wb") as output:
            self._process = subprocess.Popen(
                [
                    "snakemake",
                    "--profile",
                    "slurm",
                    *targets,
                    *QUICK,
                    *options,
                    "--configfile",
                    "config/demo.yaml",
                    name,
                ],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait(self, seconds: float = 600) -> str:
        """Wait until it succeeds; returns its output."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not done after {seconds:.0f} s:\n{self.text[-8000:]}") from None
        assert code == 0, f"the run failed:\n{self.text[-8000:]}"
        return self.text

    def wait_for_failure(self, seconds: float = 600) -> str:
        """Wait until it fails; returns its output."""
        assert self._process.wait(seconds) != 0, self.text
        return self.text

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop Snakemake; its SLURM jobs keep running."""
        self._process.send_signal(how)
        self._process.wait(60)

    def end(self) -> None:
        """Kill Snakemake if it is still running."""
        if self._process.poll() is None:
            self.kill()

    @property
    def text(self) -> str:
        """Output so far."""
        return self.output.read_text(errors="replace")

    @property
    def jobs(self) -> list[str]:
        """Ids of the submitted SLURM jobs, in the order of submission."""
        return re.findall(r"submitted with SLURM jobid (\d+)", self.text)


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"timeout while waiting for: {what}"
        time.sleep(0.1)


def newest_step(folder: Path) -> int:
    """Steps of the newest checkpoint in a model's folder; 0 before the first."""
    return max((int(path.name[5:]) for path in folder.glob("work/step-*")), default=0)
