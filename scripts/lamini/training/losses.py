"""Cross-entropy of each supervised token of a micro-batch.

The output head is a third of a small model's work, so it is applied only to supervised positions.
The hidden states are computed in the micro-batch's way (`ways`).
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from lamini.forward.flat import flat_arguments
from lamini.forward.masks import as_attention_mask, segment_mask
from lamini.forward.own import log_likelihoods
from lamini.forward.states import head_logits, last_states
from lamini.training.batches import Batch
from lamini.training.ways import Way

Likelihoods = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Log-probability of each token from logits and tokens."""


def token_losses(
    model: Any, batch: Batch, way: Way, likelihoods: Likelihoods = log_likelihoods
) -> torch.Tensor:
    """Loss of each supervised token in nats, fp32. Shape (S,).

    Args:
        model: a Hugging Face model with a language-model head.
        batch: the micro-batch, laid out for `way`.
        way: way of computation.
        likelihoods: `log_likelihoods`, or the same compiled.
    """
    if way == "alone":
        logits = _own_logits(model, batch)
    else:
        compute = _STATES[way]
        states = compute(model, batch).flatten(0, 1)
        logits = head_logits(model, states[batch.positions])
    return -likelihoods(logits, batch.labels)


def _own_logits(model: Any, batch: Batch) -> torch.Tensor:
    """Logits of a micro-batch with one pair, by the model's own forward. Shape (S, vocabulary)."""
    ids = batch.inputs["input_ids"]
    if model.config.is_encoder_decoder:
        logits: torch.Tensor = model(input_ids=ids, labels=batch.labels[None]).logits[0]
        return logits
    return model(input_ids=ids).logits[0][batch.positions]  # type: ignore[no-any-return]


def _flat(model: Any, batch: Batch) -> torch.Tensor:
    """Last hidden states (1, D, width) of a flat row."""
    return last_states(
        model,
        input_ids=batch.inputs["input_ids"],
        position_ids=batch.inputs["position_ids"],
        use_cache=False,
        **flat_arguments(batch.inputs["boundaries"], batch.longest),
    )


def _rows(model: Any, batch: Batch) -> torch.Tensor:
    """Last hidden states (B, D, width) of rows with one pair each.

    The decoder gets no mask: padding is to the right and a causal model does not attend to it.
    Without a mask the models use their fast causal kernels. The cache is off because some models
    build masks from it.
    """
    ids = batch.inputs["input_ids"]
    if not model.config.is_encoder_decoder:
        return last_states(model, input_ids=ids, use_cache=False)
    return last_states(
        model,
        input_ids=ids,
        attention_mask=(batch.inputs["encoder_segments"] >= 0).long(),
        decoder_input_ids=batch.inputs["decoder_input_ids"],
        use_cache=False,
    )


def _after_prefix(model: Any, batch: Batch) -> torch.Tensor:
    """Last hidden states (B, D, width) of rows that continue a shared prefix.

    The prefix is computed once and all rows use its keys and values. With dropout, the pairs of a
    micro-batch therefore share the prefix's dropout mask; the expected gradient is the same.

    Raises:
        ValueError: when the model's cache holds other states than keys and values, or stops the
            gradient.
    """
    ids = batch.inputs["input_ids"]
    if "prefix_ids" not in batch.inputs:
        return _rows(model, batch)
    prefix = batch.inputs["prefix_ids"]
    cache = model.base_model(input_ids=prefix, use_cache=True).past_key_values
    # With frozen embeddings (an adapter), keys and values of the first layer may have no gradient.
    starts = torch.is_grad_enabled() and model.get_input_embeddings().weight.requires_grad
    for layer in cache.layers:
        if not isinstance(layer, DynamicLayer):
            raise ValueError(f"its cache has layers of type {type(layer).__name__}")
        keys, values = layer.keys, layer.values
        assert keys is not None and values is not None  # filled by the prefix
        if starts and not keys.requires_grad:
            raise ValueError("its cache stops the gradient")
        layer.keys = keys.expand(len(ids), -1, -1, -1)
        layer.values = values.expand(len(ids), -1, -1, -1)
    return last_states(model, input_ids=ids, past_key_values=cache, use_cache=True)


def _packed(model: Any, batch: Batch) -> torch.Tensor:
    """Last hidden states of the decoder (B, D, width) of packed rows.

    Packing does not change relative positions (T5). With masks that hide the other pairs of the
    row, each pair gets the same states as in a row of its own.
    """
    encoder, decoder = batch.inputs["encoder_segments"], batch.inputs["decoder_segments"]
    encoded = model.get_encoder()(
        input_ids=batch.inputs["input_ids"],
        attention_mask=as_attention_mask(segment_mask(encoder, encoder), model),
    )
    return last_states(
        model,
        encoder_outputs=encoded,
        attention_mask=as_attention_mask(segment_mask(decoder, encoder), model),
        decoder_input_ids=batch.inputs["decoder_input_ids"],
        decoder_attention_mask=as_attention_mask(
            segment_mask(decoder, decoder, causal=True), model
        ),
        use_cache=False,
    )


_STATES = {"packed": _packed, "flat": _flat, "shared_prefix": _after_prefix, "rows": _rows}
"""Last hidden states by way."""
