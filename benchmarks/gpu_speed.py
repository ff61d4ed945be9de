"""Tokens per second and utilisation of students, compared with the peers' trainers.

All sides train from the same random weights on the same pairs with the paper's lengths, in the
same precision and without dropout. Each peer gets the fastest of several micro-batches that fit.
"""

import copy
import dataclasses
import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import training_sides as sides
from gpu_machine import NO_DROPOUT, Machine, Row, free, judged, not_here, restored_torch
from training_inputs import make_student
from transformers import TrainerCallback

from lamini.training.gpus import gpu_peak
from lamini.training.telemetry import MatmulWork

STEPS = 4
"""Optimiser steps; the first is not timed."""
MICRO_BATCHES = (128, 32, 8)
"""Micro-batch sizes of transformers' trainers in pairs, of which the fastest counts; the last one
only if the others do not fit."""
PACKED_TOKENS, PACKED_ROWS = {True: 1024, False: 256}, {True: (16, 8, 4), False: (4, 2, 1)}
"""TRL's packing at real and small size: tokens per row, and rows per micro-batch, of which the
fastest counts."""
SAME_LOSS = 1e-2
"""Largest relative difference of the losses; for T5, transformers averages the means of
micro-batches."""


@dataclasses.dataclass(frozen=True)
class _Speed:
    """Speed of one side."""

    tokens: float
    """Prompt and response tokens per second."""
    loss: float
    """Mean loss of the steps."""
    memory: str
    """Peak of the GPU memory as text; "" on a CPU."""


class _Clock(TrainerCallback):
    """Records the time at the end of each step, and the peak memory since its creation."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._times = device, list[float]()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def on_step_end(self, *arguments: Any, **others: Any) -> None:
        """Record the time; transformers' trainer calls this."""
        if self._device.type == "cuda":  # pending kernels are part of the step
            torch.cuda.synchronize(self._device)
        self._times.append(time.perf_counter())

    def seconds(self) -> float:
        """Median time of a step in seconds, without the first step."""
        return float(np.median(np.diff(self._times)))

    def memory(self) -> str:
        """Peak of the allocated GPU memory as text; "" on a CPU."""
        if self._device.type != "cuda":
            return ""
        return f", {torch.cuda.max_memory_allocated(self._device) / 2**30:.1f} GiB"


class _Timing:
    """A student, its pairs and the FLOPs of a step, to time the sides."""

    def __init__(self, machine: Machine, name: str) -> None:
        count, changes = machine.pairs, {} if machine.real else {"max_prompt_tokens": 128}
        self.precision = machine.formats[0] if machine.gpu else "fp32"
        self._machine, shape = machine, machine.students[name]
        kind = "t5" if shape["model_type"] == "t5" else "gpt2"
        dropout = {"dropout_rate": 0.0} if kind == "t5" else NO_DROPOUT
        self.student = make_student(
            kind,
            machine.dataset,
            count,
            "auto",
            shape | dropout,
            precision=self.precision,
            **changes,
        )
        self.pairs, cache = self.student.usable()[:count], self.student.cache
        tokens = [int(n[self.pairs].sum()) for n in (cache.prompt_lengths, cache.response_lengths)]
        work = MatmulWork(self.student.model, self.student.job.architecture)
        self._tokens, self._flops = sum(tokens), work.flops(*tokens)
        self._folder = machine.folder / "speed" / name

    def shown(self, speed: _Speed) -> str:
        """Tokens per second, share of the GPU's peak and memory as text."""
        peak = gpu_peak(self._machine.name)
        share = self._flops * speed.tokens / self._tokens / peak if peak else None
        text = "–" if share is None else f"{share:.1%} of the peak"
        return f"{speed.tokens:,.0f} ({text}{speed.memory})"

    def ours(self, *, compiled: bool = False) -> _Speed:
        """Speed of our trainer."""
        recipe = self.student.job.recipe.model_copy(update={"compile": compiled})
        job = self.student.job.model_copy(update={"recipe": recipe})
        student = dataclasses.replace(self.student, job=job)
        model = copy.deepcopy(student.model)
        trainer = sides.our_trainer(
            student, model, self.pairs, self._folder / f"compile-{compiled}", self._machine.ranks
        )
        clock, losses = _Clock(self._machine.ranks.device), []
        for step in range(STEPS):
            losses.append(trainer.step(step).loss)
            clock.on_step_end()
        return self._speed(clock, self._tokens, float(np.mean(losses)))

    def transformers(self) -> _Speed:
        """Speed of transformers' trainer: of Stanford Alpaca's, or of its Seq2SeqTrainer."""
        sizes = dict.fromkeys(min(size, len(self.pairs)) for size in MICRO_BATCHES)
        return self._fastest(self._in_transformers, list(sizes))

    def trl(self) -> _Speed:
        """Speed of TRL's packing."""
        return self._fastest(self._in_trl, PACKED_ROWS[self._machine.real])

    def _in_transformers(self, micro_batch: int) -> tuple[sides.Side, float]:
        accumulated = len(self.pairs) // micro_batch
        changes = self._changes() | {"gradient_accumulation_steps": accumulated}
        every, student = np.tile(self.pairs, STEPS), self.student
        if student.causal:
            side = sides.alpaca(student, every, micro_batch, self._folder, **changes)
        else:
            side = sides.seq2seq(student, every, micro_batch, "random", self._folder, **changes)
        return side, self._tokens

    def _in_trl(self, rows: int) -> tuple[sides.Side, float]:
        every = np.tile(self.pairs, STEPS)
        side = sides.trl_packing(
            self.student,
            every,
            PACKED_TOKENS[self._machine.real],
            rows,
            self._folder,
            **self._changes(),
        )
        assert side.trainer is not None
        packed = side.trainer.train_dataset
        accumulated = max(1, len(packed) // (STEPS * rows))
        side.trainer.args.gradient_accumulation_steps = accumulated
        return side, self._tokens * STEPS * accumulated * rows / len(packed)

    def _fastest(
        self, make: Callable[[int], tuple[sides.Side, float]], sizes: Sequence[int]
    ) -> _Speed:
        """Speed with the fastest size of a micro-batch; the last size only if no other one fits.

        Args:
            make: a peer for a size, and its tokens per step.
            sizes: sizes to compare, largest first.
        """
        speeds: list[_Speed] = []
        for size in sizes:
            if speeds and size == sizes[-1]:
                break
            speeds += self._tried(make, size)
        if not speeds:
            raise RuntimeError(f"the peer's trainer does not fit with {sizes[-1]} rows at once")
        return max(speeds, key=lambda speed: speed.tokens)

    def _tried(self, make: Callable[[int], tuple[sides.Side, float]], size: int) -> list[_Speed]:
        """Speed of a peer; empty if the memory is too small."""
        free()
        side, tokens = make(size)
        assert side.trainer is not None
        clock = _Clock(self._machine.ranks.device)
        side.trainer.add_callback(clock)
        try:
            with restored_torch():
                torch.use_deterministic_algorithms(False)
                loss = side.step()
        except torch.OutOfMemoryError:
            return []
        return [self._speed(clock, tokens, loss)]

    def _changes(self) -> dict[str, Any]:
        """Arguments of the peers' trainers for this device and precision."""
        gpu = self._machine.gpu
        short = {} if self.precision == "fp32" else {self.precision: True}
        return {"use_cpu": not gpu, "dataloader_pin_memory": gpu, **short}

    @staticmethod
    def _speed(clock: _Clock, tokens: float, loss: float) -> _Speed:
        return _Speed(tokens / clock.seconds(), loss, clock.memory())


def check_speed(machine: Machine) -> Iterator[Row]:
    """Speed of students, compared with transformers' trainers and TRL's packing."""
    for name in machine.students:
        timing = _Timing(machine, name)
        ours = timing.ours()
        peers = {"transformers' trainer": timing.transformers}
        if timing.student.causal:
            peers["TRL's packing"] = timing.trl
        for peer, measure in peers.items():
            what = f"{name} in {timing.precision}: tokens/s against {peer}"
            if peer == "TRL's packing" and not importlib.util.find_spec("trl"):
                yield not_here(what, "TRL is not installed")
                continue
            theirs = measure()
            faster, apart = ours.tokens / theirs.tokens, abs(theirs.loss / ours.loss - 1)
            # In transformers, T5 overflows fp16 and has no finite loss.
            same = apart <= SAME_LOSS or not np.isfinite(theirs.loss)
            yield judged(
                what,
                f"{timing.shown(ours)} against {timing.shown(theirs)}: {faster:.1f} times;"
                f" losses {apart:.0e} apart",
                f"{'1 time; ' if machine.gpu else ''}losses {SAME_LOSS:g}",
                same and (faster >= 1 or not machine.gpu),
            )
        free()


def check_compiled(machine: Machine) -> Iterator[Row]:
    """Speed of students with `compile: true`, compared with the same students without it."""
    for name in machine.students if machine.gpu else list(machine.students)[:1]:
        timing = _Timing(machine, name)
        plain = timing.ours()
        free()
        compiled = timing.ours(compiled=True)
        free()
        apart = abs(compiled.loss / plain.loss - 1)
        yield judged(
            f"{name} in {timing.precision}, compiled: tokens/s against not compiled",
            f"{timing.shown(compiled)} against {timing.shown(plain)}:"
            f" {compiled.tokens / plain.tokens:.2f} times; losses {apart:.0e} apart",
            f"losses {SAME_LOSS:g}",
            apart <= SAME_LOSS,
        )
