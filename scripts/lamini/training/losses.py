"""Cross-entropy of each supervised token of a micro-batch, computed without waste.

The output head, a third of a small model's work, is applied to supervised positions only.
"""

from typing import Any

import torch
from torch.nn import functional

from lamini.settings.students import Architecture
from lamini.students.heads import output_logits
from lamini.training.batches import Batch, segment_mask

_OF_DISTANCES = ("t5", "mt5", "umt5")
_WITH_PLAIN_CACHE = ("gpt2", "gpt_neo", "llama")


def may_pack(model: Any) -> bool:
    """Whether pairs of an encoder-decoder may share a row.

    T5's positions are distances alone, so that a pair's place in the row does not matter; other
    families number their positions (BART), or attend in blocks (LongT5).
    """
    return model.config.model_type in _OF_DISTANCES


def may_share_prefix(model: Any) -> bool:
    """Whether a decoder-only model's rows may go on from a prefix that is computed once.

    The families for which this is tested. Others may keep something else than all keys and values,
    such as those of a window alone; and a layer that is computed again on the way back
    (gradient checkpointing) would not find those of another call.
    """
    return model.config.model_type in _WITH_PLAIN_CACHE and not model.is_activation_checkpointing


def token_losses(model: Any, batch: Batch, architecture: Architecture) -> torch.Tensor:
    """The loss of each supervised token in nats, fp32. Shape (S,).

    Args:
        model: a Hugging Face model with a language-model head.
        batch: the micro-batch.
        architecture: of the model.
    """
    if architecture == "decoder-only":
        encode = _causal_states
    else:
        encode = _packed_states if may_pack(model) else _paired_states
    states = encode(model, batch).flatten(0, 1)[batch.positions]
    logits = output_logits(model, states)
    return functional.cross_entropy(logits.float(), batch.labels, reduction="none")


def _causal_states(model: Any, batch: Batch) -> torch.Tensor:
    """Last hidden states (B, D, width) of rows with one pair each.

    No mask is given: what is right of a token can't reach it, and only without a mask do the
    models take their plain causal kernels. The cache is off because some models build masks
    from it.

    A prefix that all rows go on from is computed once, and its keys and values are those of all
    rows. Where a model drops out activations, the micro-batch's pairs thus share what is dropped
    in the prefix; the gradient's expectation is the same.
    """
    ids = batch.inputs["input_ids"]
    if "prefix_ids" not in batch.inputs:
        return model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    cache = model.base_model(input_ids=batch.inputs["prefix_ids"], use_cache=True).past_key_values
    for layer in cache.layers:
        layer.keys = layer.keys.expand(len(ids), -1, -1, -1)
        layer.values = layer.values.expand(len(ids), -1, -1, -1)
    outputs = model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    return outputs.last_hidden_state


def _packed_states(model: Any, batch: Batch) -> torch.Tensor:
    """The decoder's last hidden states (B, D, width) of packed rows.

    T5's position bias depends on distances alone, which packing leaves as they are; so masks that
    hide the row's other pairs suffice to compute each pair as if it were alone.
    """
    encoder_segments = batch.inputs["encoder_segments"]
    decoder_segments = batch.inputs["decoder_segments"]
    dtype = model.dtype
    encoded = model.encoder(
        input_ids=batch.inputs["input_ids"],
        attention_mask=segment_mask(encoder_segments, encoder_segments, dtype),
    )
    outputs = model.decoder(
        input_ids=batch.inputs["decoder_input_ids"],
        attention_mask=segment_mask(decoder_segments, decoder_segments, dtype, causal=True),
        encoder_hidden_states=encoded.last_hidden_state,
        encoder_attention_mask=segment_mask(decoder_segments, encoder_segments, dtype),
        use_cache=False,
    )
    return outputs.last_hidden_state


def _paired_states(model: Any, batch: Batch) -> torch.Tensor:
    """The decoder's last hidden states (B, D, width) of rows with one pair each.

    The decoder needs no mask of its own, for the reason that `_causal_states` needs none.
    """
    seen = (batch.inputs["encoder_segments"] >= 0).long()
    encoded = model.get_encoder()(input_ids=batch.inputs["input_ids"], attention_mask=seen)
    outputs = model.get_decoder()(
        input_ids=batch.inputs["decoder_input_ids"],
        encoder_hidden_states=encoded.last_hidden_state,
        encoder_attention_mask=seen,
        use_cache=False,
    )
    return outputs.last_hidden_state
