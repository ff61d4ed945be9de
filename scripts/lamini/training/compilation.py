"""Compilation of a model's layers and of its loss (`torch.compile`), a setting of the recipe.

Each transformer block is compiled on its own: all blocks of a model share one graph, embeddings
and output head stay as they are, and the way of computation (`ways`) can call them as before. One
kernel then does the work of several elementwise kernels, for which a small model on a fast GPU
waits. The cross-entropy is compiled too: otherwise it reads and writes the logits of the whole
vocabulary several times.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch

from lamini.errors import LaminiError
from lamini.forward.own import log_likelihoods

logger = logging.getLogger("lamini")

_GRAPHS = 64
"""Most graphs of one block: in training and evaluation, in fp32 and 16 bits, with and without
gradients, first layer and others. Above it torch would silently compute without a graph."""


def compile_blocks(model: Any, name: str) -> int:
    """Compile the transformer blocks of a model in place, for rows of any length.

    Dropout draws the same numbers as without compilation, so losses and weights are equal up to
    rounding.

    Args:
        model: a Hugging Face model, perhaps with an adapter.
        name: the student, for the message.

    Returns:
        Number of compiled blocks.

    Raises:
        LaminiError: when transformers does not name the blocks of the family.
    """
    blocks = blocks_of(model)
    if not blocks:
        raise LaminiError(
            f"{name}: transformers does not name the blocks of {model.config.model_type}, so they"
            " can't be compiled; set compile: false in its recipe"
        )
    torch._dynamo.config.recompile_limit = _GRAPHS
    # Both draw torch's own numbers; the second one inside of the compiled kernels, on GPUs only.
    on_gpu = model.device.type == "cuda"
    torch._inductor.config.fallback_random = not on_gpu
    torch._inductor.config.align_random_eager = on_gpu
    for block in blocks:
        block.compile(dynamic=True)
    logger.info("%s: %d blocks are compiled; the first steps take longer", name, len(blocks))
    return len(blocks)


def blocks_of(model: Any) -> list[torch.nn.Module]:
    """Transformer blocks of a model, as transformers names them; empty if it names none."""
    kinds = set(getattr(model, "_no_split_modules", None) or ())
    return [module for module in model.modules() if type(module).__name__ in kinds]


def compiled_log_likelihoods() -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """`log_likelihoods` as one graph, forward and backward, for any number of tokens."""
    return torch.compile(log_likelihoods, dynamic=True)
