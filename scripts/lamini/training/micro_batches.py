"""Size and fixed cost of micro-batches, measured at the start of a run on its device.

A micro-batch costs a fixed time, in which the CPU starts the kernels of all layers, and a time per
token. On a GPU the fixed time equals thousands of tokens, on a CPU about a hundred. The layout of a
step (`layout`) needs both numbers, and the number of tokens that fits the memory.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lamini.files import read_json, write_json

logger = logging.getLogger("lamini")

_SAMPLE_TOKENS = (1024, 16384)
"""Tokens of the two measured micro-batches."""
_REPEATS = 3
_USED_MEMORY = 0.85
"""Share of the free memory to use; the rest is for fragmentation and longer pairs."""
_MAX_TOKENS = 2**17
_MIN_TOKENS = 2**10
_MAX_OVERHEAD = 2**15


@dataclass(frozen=True)
class MicroBatchCosts:
    """What the layout of a step needs to know of the device."""

    budget: int
    """Most tokens of a micro-batch, padding included."""
    overhead: int
    """Fixed cost of a micro-batch, in tokens that are computed in the same time."""


CPU_COSTS = MicroBatchCosts(budget=8192, overhead=128)
"""Measured on two cores; a larger budget only needs more memory there."""


@dataclass(frozen=True)
class Measurement:
    """Forward and backward pass of one micro-batch."""

    tokens: int
    seconds: float
    memory: int
    """Additional memory at its peak, gradients of the weights included, in bytes."""


def measure_costs(
    compute: Callable[[int], int], device: torch.device, reserved: int, file: Path | None = None
) -> MicroBatchCosts:
    """Measure the costs on a GPU, or read those that an earlier attempt of the run measured.

    Args:
        compute: computes a forward and backward pass of about so many tokens, and returns their
            number with padding.
        device: the GPU.
        reserved: further memory that the run will need, in bytes (the optimizer's state).
        file: file with the measured costs; a resumed run then has the same micro-batches. None:
            they are not kept.
    """
    card = torch.cuda.get_device_name(device)
    if file is not None and file.exists():
        kept = read_json(file)
        if kept["card"] == card:
            return MicroBatchCosts(kept["budget"], kept["overhead"])
    small, large = _SAMPLE_TOKENS
    free = torch.cuda.mem_get_info(device)[0]
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    measured = [_measure(compute, small, device)]
    while large > small and len(measured) == 1:
        try:
            measured.append(_measure(compute, large, device))
        except torch.OutOfMemoryError:
            large //= 2
    costs = derive_costs(measured, free - reserved)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"card": card, **asdict(costs)})
    logger.info(
        "%s: batches of up to %s tokens; the fixed cost of one equals %s tokens",
        card,
        f"{costs.budget:,}",
        f"{costs.overhead:,}",
    )
    return costs


def derive_costs(measured: list[Measurement], free: int) -> MicroBatchCosts:
    """Costs from the measurements of a small and, unless the memory is too small, a large one.

    Both results are powers of two, so that noise does not change them.

    Args:
        measured: one or two measurements, the smaller one first.
        free: memory for micro-batches and gradients, in bytes.
    """
    small, large = measured[0], measured[-1]
    more = large.tokens - small.tokens
    if more <= 0:
        return MicroBatchCosts(_MIN_TOKENS, _MIN_TOKENS)
    per_token = max(large.seconds - small.seconds, 1e-9) / more
    overhead = small.seconds / per_token - small.tokens
    memory = max(large.memory - small.memory, 1) / more
    room = _USED_MEMORY * free - (small.memory - memory * small.tokens)
    return MicroBatchCosts(
        _power_of_two(room / memory, _MIN_TOKENS, _MAX_TOKENS),
        _power_of_two(overhead, CPU_COSTS.overhead, _MAX_OVERHEAD),
    )


def _power_of_two(value: float, least: int, most: int) -> int:
    """The largest power of two that is not above a value, within limits."""
    limited = int(min(max(value, least), most))
    return 2 ** (limited.bit_length() - 1)


def _measure(compute: Callable[[int], int], tokens: int, device: torch.device) -> Measurement:
    compute(tokens)  # the first time, libraries allocate and choose kernels
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before, seconds = torch.cuda.memory_allocated(device), []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        computed = compute(tokens)
        torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    memory = torch.cuda.max_memory_allocated(device) - before
    return Measurement(computed, sorted(seconds)[_REPEATS // 2], memory)
