"""Data of GPU models, and the time that training takes on them by these data.

Sources: the vendor's data sheets. Peaks are of dense 16-bit matrix products with sums in fp32.
"""

from dataclasses import dataclass

from lamini.settings.students import Architecture


@dataclass(frozen=True)
class Gpu:
    """Data sheet of a GPU model."""

    peak: float
    """FLOP/s of 16-bit matrix products."""
    bandwidth: float
    """Bytes per second of the GPU's memory."""


GPUS = {
    "RTX 4090": Gpu(165e12, 1.008e12),
    "V100": Gpu(125e12, 0.9e12),
    "A100": Gpu(312e12, 2.0e12),
    "L40S": Gpu(362e12, 0.864e12),
    "H100": Gpu(989e12, 3.35e12),
    "H200": Gpu(989e12, 4.8e12),
    "B200": Gpu(2250e12, 8.0e12),
}
"""GPU models by the part of the driver's device name that identifies them."""

_MATRIX_SHARE = 0.6
"""Share of the peak that large matrix products reach."""
_TRAFFIC: dict[Architecture, float] = {"decoder-only": 446, "encoder-decoder": 1647}
"""Bytes read and written per token and unit of `width_times_layers`, besides matrix products.

Derived from `make gpu-check` on an H200 (docs/gpu.md): the time of a step of 1,024 pairs, less the
time of its matrix products, times the bandwidth. GPT-2-124M: 119,350 tokens in 0.252 s; T5-base:
107,914 tokens in 0.679 s. T5's attention reads and writes a matrix of position biases.
"""

_LAUNCH_SECONDS = 10e-6
"""Time of the CPU to start one kernel, the slower of the usual 5 to 10 microseconds."""
_KERNELS: dict[Architecture, float] = {"decoder-only": 800, "encoder-decoder": 2600}
"""Kernels of a micro-batch, forward and backward, of a model with GPT-2's 124.4M parameters, as
counted by benchmarks/kernel_counts.py. The number grows with the layers: about the square root of
the parameters."""


def gpu_by_name(name: str) -> Gpu | None:
    """Data sheet of a GPU, by its driver's device name; None if the GPU is not listed."""
    return next((gpu for card, gpu in GPUS.items() if card in name), None)


def gpu_peak(name: str) -> float | None:
    """Peak of a GPU in FLOP/s, by its driver's device name; None if the GPU is not listed."""
    gpu = gpu_by_name(name)
    return gpu.peak if gpu else None


def training_seconds(
    gpu: Gpu,
    architecture: Architecture,
    parameters: int,
    tokens: float,
    flops: float,
    *,
    micro_batches: int = 1,
) -> float:
    """Estimated GPU-seconds of training: of the GPU's work, or of starting the kernels if longer.

    The exchange of gradients among several GPUs is left out.

    Args:
        gpu: the GPU model.
        architecture: of the model.
        parameters: its number of parameters.
        tokens: prompt and response tokens.
        flops: floating-point operations for these tokens, forward and backward.
        micro_batches: number of micro-batches of all steps and GPUs.
    """
    traffic = tokens * _TRAFFIC[architecture] * width_times_layers(parameters)
    work = flops / (_MATRIX_SHARE * gpu.peak) + traffic / gpu.bandwidth
    kernels = _KERNELS[architecture] * (parameters / 124.4e6) ** 0.53
    return max(work, micro_batches * kernels * _LAUNCH_SECONDS)


def width_times_layers(parameters: int) -> float:
    """Width times layers of a model, estimated from its number of parameters.

    A fit to GPT-2's four sizes; other families differ by up to a third.
    """
    return float(9216 * (parameters / 124.4e6) ** 0.84)
