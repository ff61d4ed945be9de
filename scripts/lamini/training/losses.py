"""Cross-entropy of each supervised token of a micro-batch, computed without waste.

The output head, a third of a small model's work, is applied to supervised positions only.
"""

from typing import Any

import torch
from torch.nn import functional

from lamini.settings.students import Architecture
from lamini.students.heads import output_logits
from lamini.training.batches import Batch, segment_mask


def token_losses(model: Any, batch: Batch, architecture: Architecture) -> torch.Tensor:
    """The loss of each supervised token in nats, fp32. Shape (S,).

    Args:
        model: a Hugging Face model with a language-model head.
        batch: the micro-batch.
        architecture: of the model.
    """
    encode = _packed_states if architecture == "encoder-decoder" else _causal_states
    states = encode(model, batch).flatten(0, 1)[batch.positions]
    logits = output_logits(model, states)
    return functional.cross_entropy(logits.float(), batch.labels, reduction="none")


def _causal_states(model: Any, batch: Batch) -> torch.Tensor:
    """Last hidden states (B, D, width) of rows with one pair each.

    No mask is given: what is right of a token can't reach it, and only without a mask do the
    models take their plain causal kernels. The cache is off because some models build masks
    from it.
    """
    outputs = model.base_model(input_ids=batch.inputs["input_ids"], use_cache=False)
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
