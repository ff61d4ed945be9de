"""Choice of number format and attention kernels, shared by training and evaluation."""

from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def choose_precision(
    wanted: Literal["auto"] | Precision, device: torch.device, *, before_ampere: Precision
) -> Precision:
    """Number format for a precision setting on a device.

    Args:
        wanted: the setting. `auto`: fp32 on a CPU, bf16 on an Ampere or newer GPU, else
            `before_ampere`.
        device: device of the model.
        before_ampere: format for `auto` on older GPUs, which have fp16 but no bf16. fp16 needs a
            loss scale and, for T5, fp32 in the layers that overflow; training has both.
    """
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "fp32"
    # `is_bf16_supported` is also true for slow emulation, for example on a V100.
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else before_ampere


def switch_off_faulty_kernels() -> None:
    """Disable cuDNN's attention kernel; torch then uses another of its kernels.

    In torch 2.13.0 the backward pass of cuDNN's kernel gives NaN gradients of the queries with an
    explicit mask at some lengths: https://github.com/pytorch/pytorch/issues/196678. Rows with a
    shared prefix have such masks. When the pinned torch is raised, check whether this is fixed.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
