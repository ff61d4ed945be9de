"""Measures the time of a run's steps, and keeps it for the next attempt and for `make plan`."""

import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from lamini.arrays import Integers
from lamini.students.token_cache import TokenCache
from lamini.training.estimate import StepTime, TrainingWork, settings_key
from lamini.training.gpus import gpu_by_name
from lamini.training.job import TrainingJob
from lamini.training.pairs import StepPlan
from lamini.training.ranks import Ranks

MEASURED_STEPS = 50
"""Steps that are measured before the time is kept."""
_FEWEST = 5
"""Steps after which the own measurement replaces an earlier one."""


class StepClock:
    """Time of a step, from the times between the ends of steps.

    The median leaves out the pauses of checkpoints and held-out losses.

    Args:
        work: folder of the run.
        device: GPU's name as the driver reports it, or `cpu`.
        gpus: processes of the run.
        settings: `estimate.settings_key` of the run.
        expected: seconds of a step by the estimate; None if the device is not in its list.
        keeps: whether this process writes the measured time.
    """

    def __init__(
        self,
        work: Path,
        *,
        device: str,
        gpus: int,
        settings: str,
        expected: float | None = None,
        keeps: bool = True,
    ) -> None:
        self._work, self._device, self._gpus = work, device, gpus
        self._settings, self._keeps = settings, keeps
        kept = StepTime.read(work, settings)
        if kept and kept.device == device:
            expected = kept.seconds * kept.gpus / gpus
        self._expected = expected
        self._last: float | None = None
        self._times: list[float] = []

    def tick(self) -> None:
        """Record the end of a step."""
        now = time.monotonic()
        if self._last is not None and len(self._times) < MEASURED_STEPS:
            self._times.append(now - self._last)
            if len(self._times) == MEASURED_STEPS and self._keeps:
                measured = StepTime(self._device, self._gpus, median(self._times), self._settings)
                measured.write(self._work)
        self._last = now

    def seconds(self) -> float | None:
        """Seconds of a step: measured here, else in an earlier attempt, else estimated."""
        if len(self._times) >= _FEWEST or (self._times and self._expected is None):
            return median(self._times)
        return self._expected


def run_clock(
    job: TrainingJob,
    model: Any,
    cache: TokenCache,
    training: Integers,
    *,
    ranks: Ranks,
    work: Path,
) -> StepClock:
    """The clock of a run.

    Args:
        job: settings of the run.
        model: the model.
        cache: the tokenized pairs.
        training: the training pairs, as rows of the cache.
        ranks: the processes of the run; rank 0 keeps the measured time.
        work: folder of the run.
    """
    on_gpu = ranks.device.type == "cuda"
    device = torch.cuda.get_device_name(ranks.device) if on_gpu else "cpu"
    gpu, expected = gpu_by_name(device), None
    if gpu is not None:
        lengths = cache.prompt_lengths[training] + cache.response_lengths[training]
        size = TrainingWork(
            architecture=job.architecture,
            parameters=sum(p.numel() for p in model.parameters()),
            recipe=job.recipe,
            pairs=len(training),
            steps=StepPlan(training, job.recipe).steps,
            tokens=job.recipe.epochs * float(lengths.sum()),
            basis="token cache",
        )
        expected = 3600 * size.gpu_hours(gpu, ranks.world) / ranks.world / size.steps
    return StepClock(
        work,
        device=device,
        gpus=ranks.world,
        settings=settings_key(job),
        expected=expected,
        keeps=ranks.first,
    )
