"""Modules of a model, replaced by faster ones that compute the same function up to rounding.

The model's configuration and weights do not change.
"""

from types import MethodType

import torch
from torch.nn.functional import linear, pad

_ALIGNMENT = 64
"""Multiple of the rows of a weight matrix that tensor cores multiply at full speed."""


def fuse_activations(model: torch.nn.Module) -> int:
    """Replace transformers' tanh-approximated GELU by torch's fused kernel.

    transformers computes the activation of GPT-2, GPT-Neo and T5 v1.1 (`gelu_new`) with eight
    elementwise operations and keeps all their results for the backward pass.

    Returns:
        Number of replaced modules.
    """
    activations = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child).__name__ == "NewGELUActivation"
    ]
    for parent, name in activations:
        setattr(parent, name, torch.nn.GELU(approximate="tanh"))
    return len(activations)


def align_head(head: torch.nn.Module) -> bool:
    """Multiply an output head with a padded vocabulary and cut the result.

    GPT-2's vocabulary of 50,257 tokens is no multiple of eight, so 16-bit matrix products with it
    run without the fast kernels of a GPU.

    Returns:
        Whether the head was changed.
    """
    if type(head) is not torch.nn.Linear or head.out_features % _ALIGNMENT == 0:
        return False
    # A bound method, not a closure: a deep copy of the model then uses its own weights.
    head.forward = MethodType(_aligned, head)  # type: ignore[assignment]
    return True


def _aligned(head: torch.nn.Linear, states: torch.Tensor) -> torch.Tensor:
    extra = -head.out_features % _ALIGNMENT
    weight = pad(head.weight, (0, 0, 0, extra))
    bias = None if head.bias is None else pad(head.bias, (0, extra))
    return linear(states, weight, bias)[..., : head.out_features]
