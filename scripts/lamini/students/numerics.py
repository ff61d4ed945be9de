"""Number formats and attention kernels, chosen in one place for training and evaluation."""

from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]


def choose_precision(
    wanted: Literal["auto"] | Precision, device: torch.device, *, before_ampere: Precision
) -> Precision:
    """The number format that a setting means on a device.

    Args:
        wanted: `auto`: fp32 on a CPU, bf16 on a GPU from Ampere on, else `before_ampere`.
        device: where the model computes.
        before_ampere: what `auto` means on older GPUs, which have fp16 but no bf16. fp16 needs a
            loss scale and, in T5, fp32 where it overflows: training has both.
    """
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "fp32"
    # `is_bf16_supported` also counts slow emulation, on a V100 for one.
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else before_ampere


def switch_off_faulty_kernels() -> None:
    """Keep attention away from cuDNN's kernel; torch then takes another of its own.

    In torch 2.13.0 the backward pass of that kernel gives NaN as the queries' gradient, under an
    explicit mask and at some lengths: https://github.com/pytorch/pytorch/issues/196678. Rows that
    share a prefix have such masks. When the pinned torch is raised, see if that is mended.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
