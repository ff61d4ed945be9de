"""The model's own forward of one sequence, the reference for every faster way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig

from lamini.arrays import Integers


def own_logits(model: Any, context: Integers, continuation: Integers) -> torch.Tensor:
    """Logits at each position of a continuation, for one sequence without padding.

    Args:
        model: a Hugging Face model with a language-model head.
        context: tokens of the prompt, or of the encoder input. Shape (C,).
        continuation: tokens after the context. Shape (T,).

    Returns:
        Logits in the model's number format. Shape (T, vocabulary).
    """
    return batch_logits(model, [(context, continuation)])[0]


def batch_logits(model: Any, pairs: Sequence[tuple[Integers, Integers]]) -> list[torch.Tensor]:
    """`own_logits` of several sequences whose inputs have equal lengths, in one forward pass."""

    def tensor(rows: Any) -> torch.Tensor:
        return torch.as_tensor(np.stack(rows), dtype=torch.long, device=model.device)

    if model.config.is_encoder_decoder:
        # Some families (mBART) start the decoder with the last label, which must be the end token.
        end = end_token(model)
        labels = [np.concatenate([c, [end] if c[-1] != end else []]) for _, c in pairs]
        contexts = tensor([context for context, _ in pairs])
        logits = model(input_ids=contexts, labels=tensor(labels)).logits
        return [row[: len(c)] for row, (_, c) in zip(logits, pairs, strict=True)]
    fed = [np.concatenate([context, continuation[:-1]]) for context, continuation in pairs]
    logits = model(input_ids=tensor(fed)).logits
    return [row[len(context) - 1 :] for row, (context, _) in zip(logits, pairs, strict=True)]


def log_likelihoods(logits: torch.Tensor, continuation: torch.Tensor) -> torch.Tensor:
    """Log-probability of each token in nats, fp32. Shape (T,).

    Args:
        logits: shape (T, vocabulary).
        continuation: shape (T,).
    """
    return -torch.nn.functional.cross_entropy(logits.float(), continuation, reduction="none")


def end_token(model: Any) -> int:
    """Id of the model's end token (EOS); the first one if the model has several."""
    end = model.generation_config.eos_token_id if model.generation_config else None
    end = model.config.get_text_config(decoder=True).eos_token_id if end is None else end
    return int(end[0] if isinstance(end, list) else end)


def start_token(model: Any) -> int:
    """Id of the first decoder input of an encoder-decoder, from the model's own label shift."""
    if hasattr(model, "prepare_decoder_input_ids_from_labels"):
        labels = torch.tensor([[end_token(model)]], device=model.device)
        return int(model.prepare_decoder_input_ids_from_labels(labels)[0, 0])
    return int(model.config.decoder_start_token_id)


def position_limits(model: Any) -> tuple[int | None, int | None]:
    """Position limits of encoder and decoder in tokens; None: no limit, or no encoder.

    Models with relative positions only (T5, ALiBi) and state-space models have no limit.
    """
    config = model.config

    def limit(side: str) -> int | None:
        part = getattr(config, side, None)  # T5Gemma has one configuration per side
        text = part if isinstance(part, PreTrainedConfig) else config.get_text_config()
        text = text.get_text_config(**{side: True})
        for name in (f"max_{side}_position_embeddings", "max_position_embeddings", "max_seq_len"):
            value = getattr(text, name, None)
            if value is not None and value > 0:  # XLNet has no limit and sets -1
                return int(value)
        return None

    if config.is_encoder_decoder:
        return limit("encoder"), limit("decoder")
    return None, limit("decoder")
