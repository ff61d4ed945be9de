"""The output head, applied to chosen states instead of to all of them."""

from typing import Any

import torch


def output_logits(model: Any, states: torch.Tensor) -> torch.Tensor:
    """Scores of all tokens after each state. Shape (S, vocabulary).

    Args:
        model: a Hugging Face model with a language-model head.
        states: last hidden states of its decoder. Shape (S, width).
    """
    # T5 scales its states before a head that shares its embedding (`scale_decoder_outputs`).
    if getattr(model.config, "scale_decoder_outputs", False):
        states = states * model.config.d_model**-0.5
    logits: torch.Tensor = model.get_output_embeddings()(states)
    bias = getattr(model, "final_logits_bias", None)  # of BART's family
    return logits if bias is None else logits + bias[0]
