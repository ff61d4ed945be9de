"""A model's own forward, split in two before the output head.

The cost of the head grows with the vocabulary, so it is applied only to selected states. The
family's own code between last hidden states and logits (scaling, soft caps, biases, prediction
heads) runs unchanged. In the first half, the head gets a single state. In the second half, the
decoder is replaced by a function that returns the selected states.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutput


def last_states(model: Any, **inputs: Any) -> torch.Tensor:
    """Last hidden states of the decoder, by the model's own forward. Shape (B, N, width).

    Args:
        model: a Hugging Face model with a language-model head.
        inputs: arguments of its forward.
    """
    kept: list[torch.Tensor] = []

    def keep(module: Any, arguments: Any, output: Any) -> Any:
        kept.append(output[0])
        first = output[0][:1, :1]  # the head needs at least one state
        if isinstance(output, tuple):
            return (first, *output[1:])
        output["last_hidden_state"] = first
        return output

    hook = _decoder(model).register_forward_hook(keep)
    try:
        model(**inputs)
    finally:
        hook.remove()
    (states,) = kept
    return states


def head_logits(model: Any, states: torch.Tensor) -> torch.Tensor:
    """Logits of each state, by the model's own forward. Shape (S, vocabulary).

    Args:
        model: a Hugging Face model with a language-model head.
        states: last hidden states of its decoder. Shape (S, width).
    """
    tokens = torch.zeros((1, len(states)), dtype=torch.long, device=states.device)
    inputs: dict[str, Any] = {"input_ids": tokens}
    if model.config.is_encoder_decoder:
        encoded = BaseModelOutput(last_hidden_state=states[None, :1].detach())
        inputs = {"encoder_outputs": encoded, "decoder_input_ids": tokens}
    with _replaced_forward(_decoder(model), lambda *_, **__: _DecoderOutput(states[None])):
        logits: torch.Tensor = model(**inputs, use_cache=False).logits[0]
    return logits


def _decoder(model: Any) -> torch.nn.Module:
    """The module whose last hidden states are the input of the head."""
    decoder = model.get_decoder()
    body: torch.nn.Module = model.base_model if decoder is model else decoder
    if body is model:
        raise ValueError("has no decoder apart from its head")
    return body


class _DecoderOutput:
    """Decoder output that contains only last hidden states; all other fields are None."""

    def __init__(self, states: torch.Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, key: Any) -> Any:
        return (self.last_hidden_state,)[key]

    def __getattr__(self, name: str) -> None:
        return None  # cache, attentions and other outputs


@contextmanager
def _replaced_forward(module: torch.nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    # accelerate sets an instance attribute `forward` on a model that is spread over devices.
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own
