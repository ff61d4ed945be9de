"""Data of GPU models, and an estimate of training time from them.

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


def gpu_peak(name: str) -> float | None:
    """Peak of a GPU in FLOP/s, by its driver's device name; None if the GPU is not listed."""
    return next((gpu.peak for card, gpu in GPUS.items() if card in name), None)


def training_seconds(
    gpu: Gpu, architecture: Architecture, parameters: int, tokens: float, flops: float
) -> float:
    """Estimated seconds of training on one GPU.

    Args:
        gpu: the GPU model.
        architecture: of the model.
        parameters: its number of parameters.
        tokens: prompt and response tokens.
        flops: floating-point operations for these tokens, forward and backward.
    """
    traffic = tokens * _TRAFFIC[architecture] * width_times_layers(parameters)
    return flops / (_MATRIX_SHARE * gpu.peak) + traffic / gpu.bandwidth


def width_times_layers(parameters: int) -> float:
    """Width times layers of a model, estimated from its number of parameters.

    A fit to GPT-2's four sizes; other families differ by up to a third.
    """
    return float(9216 * (parameters / 124.4e6) ** 0.84)
