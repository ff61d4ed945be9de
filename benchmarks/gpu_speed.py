"""Tokens per second and utilisation of three students, compared with transformers' trainers.

Both sides train from the same random weights on the same pairs with the paper's lengths, in the
same precision and without dropout. transformers gets the largest micro-batch that fits, at most 32
pairs.
"""

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import training_sides as sides
from gpu_machine import FAMILIES, NO_DROPOUT, Machine, Row, free, judged, restored_torch
from training_inputs import Student, make_student
from transformers import TrainerCallback

from lamini.training.gpus import gpu_peak
from lamini.training.telemetry import MatmulWork

STEPS = 4
"""Optimiser steps; the first is not timed."""
MICRO_BATCHES = (32, 16, 8)
"""Micro-batch sizes of transformers in pairs; the first that fits is used."""
SAME_LOSS = 1e-2
"""Largest relative difference of the losses; for T5, transformers averages the means of
micro-batches."""
REAL: dict[str, dict[str, Any]] = {
    "GPT-2-124M": {"model_type": "gpt2", "vocab_size": 50257, **NO_DROPOUT},
    "T5-base": {
        "model_type": "t5",
        "vocab_size": 32128,
        "d_model": 768,
        "d_kv": 64,
        "d_ff": 3072,
        "num_layers": 12,
        "num_heads": 12,
        "dropout_rate": 0.0,
    },
    "SmolLM2-135M": {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
}
SMALL: dict[str, dict[str, Any]] = {
    "small GPT-2": FAMILIES["GPT-2"] | NO_DROPOUT,
    "small T5": FAMILIES["T5"] | {"dropout_rate": 0.0},
    "small SmolLM2": FAMILIES["SmolLM2"],
}


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


def check_speed(machine: Machine) -> Iterator[Row]:
    """Speed of three students; on a GPU none may be slower than transformers' trainer."""
    count, changes = (256, {}) if machine.real else (16, {"max_prompt_tokens": 128})
    precision = machine.formats[0] if machine.gpu else "fp32"
    peak = gpu_peak(machine.name)
    for name, shape in (REAL if machine.real else SMALL).items():
        kind = "t5" if shape["model_type"] == "t5" else "gpt2"
        student = make_student(
            kind, machine.dataset, count, "auto", shape, precision=precision, **changes
        )
        pairs, cache = student.usable()[:count], student.cache
        tokens = [int(n[pairs].sum()) for n in (cache.prompt_lengths, cache.response_lengths)]
        flops = MatmulWork(student.model, student.job.architecture).flops(*tokens)
        seconds, losses, shown = [], [], []
        for side in (_ours, _theirs):
            clock, loss = side(machine, student, pairs, machine.folder / "speed" / name)
            free()
            seconds.append(clock.seconds())
            losses.append(loss)
            share = f"{flops / seconds[-1] / peak:.1%} of the peak" if peak else "–"
            shown.append(f"{sum(tokens) / seconds[-1]:,.0f} ({share}{clock.memory()})")
        faster, apart = seconds[1] / seconds[0], abs(losses[1] / losses[0] - 1)
        # In transformers, T5 overflows fp16 and has no finite loss.
        same = apart <= SAME_LOSS or not np.isfinite(losses[1])
        yield judged(
            f"{name} in {precision}: tokens/s against transformers' trainer",
            f"{shown[0]} against {shown[1]}: {faster:.1f} times; losses {apart:.0e} apart",
            f"{'1 time; ' if machine.gpu else ''}losses {SAME_LOSS:g}",
            same and (faster >= 1 or not machine.gpu),
        )


def _ours(
    machine: Machine, student: Student, pairs: np.ndarray, folder: Path
) -> tuple[_Clock, float]:
    """Step times and mean loss of our trainer."""
    model = copy.deepcopy(student.model)
    trainer = sides.our_trainer(student, model, pairs, folder, machine.ranks)
    clock, losses = _Clock(machine.ranks.device), []
    for step in range(STEPS):
        losses.append(trainer.step(step).loss)
        clock.on_step_end()
    return clock, float(np.mean(losses))


def _theirs(
    machine: Machine, student: Student, pairs: np.ndarray, folder: Path
) -> tuple[_Clock, float]:
    """Step times and mean loss of transformers' trainer."""
    precision = student.job.recipe.precision
    changes: dict[str, Any] = {"use_cpu": not machine.gpu, "dataloader_pin_memory": machine.gpu}
    if precision != "fp32":
        changes[precision] = True
    every = np.tile(pairs, STEPS)
    for most in MICRO_BATCHES:
        micro_batch = min(most, len(pairs))
        changes["gradient_accumulation_steps"] = len(pairs) // micro_batch
        if student.causal:
            side = sides.alpaca(student, every, micro_batch, folder, **changes)
        else:
            side = sides.seq2seq(student, every, micro_batch, "random", folder, **changes)
        assert side.trainer is not None
        clock = _Clock(machine.ranks.device)
        side.trainer.add_callback(clock)
        try:
            with restored_torch():
                torch.use_deterministic_algorithms(False)
                return clock, side.step()
        except torch.OutOfMemoryError:
            del side
        free()
    raise RuntimeError(f"transformers' trainer does not fit with {MICRO_BATCHES[-1]} pairs at once")
