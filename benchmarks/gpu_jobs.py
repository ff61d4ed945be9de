"""Checks of whole runs: out of memory, resume after a kill, two processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from gpu_machine import Machine, Row, free, judged, not_here
from training_sides import our_trainer

from lamini.evaluation.requests import TokenRequest
from lamini.evaluation.scoring import Scorer
from lamini.training.export import METRICS
from lamini.training.metrics import StepMetrics
from lamini.training.run import train_student

ROWS = 64
"""Rows of the batch that is too large for the memory."""
LEFT = 0.5
"""Memory limit, as a share of the memory that the batch needs."""
SAME_SCORE = 1e-4
"""Largest difference of a log-likelihood in nats, fp32, between batches of different sizes."""
SAME_LOSS = 1e-4
"""Largest relative difference of a loss in fp32 if sums are added in another order. A run that
resumes without its optimiser state differs a thousand times as much."""
KILLED_AFTER = 3
"""The run is killed after the checkpoint of this step."""
PATIENCE = 300.0
"""Timeout of a run in seconds."""


def check_memory(machine: Machine) -> Iterator[Row]:
    """With too little memory, evaluation halves its batch and training its micro-batches."""
    changes = {"batch_pairs": ROWS, "learning_rate": 1e-12}
    student = machine.student("Cerebras-GPT", precision="fp32", **changes)
    pairs, cache = student.usable()[:ROWS], student.cache
    trainer = our_trainer(student, student.model, pairs, machine.folder / "work", machine.ranks)
    whole_loss = trainer.step(0).loss
    with _too_little_memory(machine, student.model, lambda: trainer.step(0)) as failures:
        loss = trainer.step(0).loss
    apart = abs(loss / whole_loss - 1)
    yield judged(
        f"training on {ROWS} pairs, memory for half of a micro-batch",
        f"{failures()} x out of memory, then smaller; losses differ by {apart:.1e} relative",
        f"smaller, {SAME_LOSS:g} relative",
        failures() > 0 and apart <= SAME_LOSS,
    )
    requests = [TokenRequest(cache.prompt(p), cache.response(p)) for p in pairs.tolist()]
    scorer = Scorer(student.model.eval(), tokens_per_batch=10**6)
    whole = scorer.score(requests, "rows")
    with _too_little_memory(
        machine, student.model, lambda: scorer.score(requests, "rows")
    ) as failures:
        halved = scorer.score(requests, "rows")
    apart = max(abs(a[0] - b[0]) for a, b in zip(whole, halved, strict=True))
    yield judged(
        f"evaluation of {ROWS} rows at once, memory for half of them",
        f"{failures()} x out of memory, then halved; scores differ by {apart:.1e} nats",
        f"halved, {SAME_SCORE:g} nats",
        failures() > 0 and apart <= SAME_SCORE,
    )


@contextmanager
def _too_little_memory(
    machine: Machine, model: Any, compute: Callable[[], object]
) -> Iterator[Callable[[], int]]:
    """Limit the memory to `LEFT` of a computation's need; yields a counter of failures.

    A CPU has no such limit: there the model raises OutOfMemoryError for more than one row.
    """
    if not machine.gpu:
        refused: list[int] = []

        def refuse(module: Any, arguments: Any, inputs: dict[str, Any]) -> None:
            if len(inputs["input_ids"]) > 1:
                refused.append(len(inputs["input_ids"]))
                raise torch.OutOfMemoryError(f"imitated: {refused[-1]} rows at once")

        hook = model.register_forward_pre_hook(refuse, with_kwargs=True)
        try:
            yield lambda: len(refused)
        finally:
            hook.remove()
        return
    device = machine.ranks.device

    def failures() -> int:
        return int(torch.cuda.memory_stats(device)["num_ooms"])

    compute()  # warm-up: libraries keep the memory of their first use
    torch.cuda.reset_peak_memory_stats(device)
    before, seen = torch.cuda.memory_allocated(device), failures()
    compute()
    taken = torch.cuda.max_memory_allocated(device) - before
    free()
    room = torch.cuda.memory_reserved(device) + LEFT * taken
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(room / total, device)
    try:
        yield lambda: failures() - seen
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def check_resume(machine: Machine) -> Iterator[Row]:
    """A run that is killed and resumed has the losses of an uninterrupted run."""
    run = _Run(machine, "GPT-2")
    killed, deadline = run.start("killed"), time.monotonic() + PATIENCE
    late = f"killed/work/step-*[{KILLED_AFTER}-9]"
    while not list(run.folder.glob(late)) and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    killed.kill()
    _, log = killed.communicate()
    if not list(run.folder.glob(late)):
        raise RuntimeError(f"no checkpoint to resume from: {log[-3000:]}")
    resumed = "resuming from" in run.finish(run.start("killed"))
    what = "GPT-2 killed after a checkpoint and gone on with: losses of a whole run"
    yield run.compared(what, "killed", SAME_LOSS if machine.gpu else 0.0, resumed)


def check_two_ranks(machine: Machine) -> Iterator[Row]:
    """Two processes compute the same steps as one process."""
    backend = "NCCL" if machine.gpu else "gloo"
    what = f"Cerebras-GPT in two processes ({backend}): losses of one process"
    if machine.gpu and torch.cuda.device_count() < 2:
        yield not_here(what, "one GPU")
        return
    run = _Run(machine, "Cerebras-GPT")
    run.finish(run.start("two", processes=2))
    yield run.compared(what, "two", SAME_LOSS)


class _Run:
    """A small training: uninterrupted in this process, and by the command line in others."""

    def __init__(self, machine: Machine, family: str) -> None:
        self._gpus = int(machine.gpu)
        self._job, self._tokenized = machine.job(family, precision="fp32")
        self.folder = machine.folder / "runs" / family
        train_student(self._job, self._tokenized, self.folder / "whole", self._gpus)

    def start(self, name: str, processes: int = 1) -> subprocess.Popen[str]:
        """Start the training command in the folder `name`."""
        output = self.folder / name
        command = [sys.executable, "-m", "lamini.training"]
        command += ["--settings", json.dumps(self._job.as_params())]
        command += ["--speed", json.dumps(self._job.recipe.speed_params())]
        command += ["--tokenized", str(self._tokenized), "--output", str(output)]
        command += ["--log", f"results/logs/train_model/{name}.log"]
        command += ["--processes", str(processes), "--gpus", str(processes * self._gpus)]
        output.mkdir(exist_ok=True)
        return subprocess.Popen(
            command, cwd=output, env=os.environ, text=True, stderr=subprocess.PIPE
        )

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for the command and return its log.

        Raises:
            RuntimeError: when it fails.
        """
        try:
            _, log = process.communicate(timeout=PATIENCE)
        finally:
            process.terminate()  # after a timeout, stops all processes of the run
        if process.returncode != 0:
            raise RuntimeError(f"the training ended with {process.returncode}: {log[-3000:]}")
        return log

    def compared(self, what: str, name: str, limit: float, ok: bool = True) -> Row:
        """Row that compares a run's losses with those of the uninterrupted run."""
        pairs = zip(self._losses("whole"), self._losses(name), strict=True)
        apart = max(abs(one - other) / one for one, other in pairs)
        measured = f"differ by {apart:.1e} relative" if apart else "equal"
        return judged(
            what, measured, f"{limit:g} relative" if limit else "equal", ok and apart <= limit
        )

    def _losses(self, name: str) -> list[float]:
        rows = StepMetrics.read_rows(self.folder / name / "final" / METRICS)
        return [row.loss for row in rows if row.loss is not None]
