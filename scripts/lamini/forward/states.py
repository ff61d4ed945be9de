"""A model's own forward, cut in two before the output head.

The head's cost grows with the vocabulary, so it is applied to chosen states instead of to all. What
a family does between its last hidden states and its logits (scaling, soft caps, biases, prediction
heads) is its own code, which runs here as it stands: the first half of the forward runs with a head
that sees one state, the second half with a decoder that returns the chosen states.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutput


def last_states(model: Any, **inputs: Any) -> torch.Tensor:
    """The decoder's last hidden states, by the model's own forward. Shape (B, N, width).

    Args:
        model: a Hugging Face model with a language-model head.
        inputs: what its forward takes.
    """
    kept: list[torch.Tensor] = []

    def keep(module: Any, arguments: Any, output: Any) -> Any:
        kept.append(output[0])
        first = output[0][:1, :1]  # the head must see something
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
    """Scores of all tokens after each state, by the model's own forward. Shape (S, vocabulary).

    Args:
        model: a Hugging Face model with a language-model head.
        states: last hidden states of its decoder. Shape (S, width).
    """
    tokens = torch.zeros((1, len(states)), dtype=torch.long, device=states.device)
    inputs: dict[str, Any] = {"input_ids": tokens}
    if model.config.is_encoder_decoder:
        encoded = BaseModelOutput(last_hidden_state=states[None, :1].detach())
        inputs = {"encoder_outputs": encoded, "decoder_input_ids": tokens}
    with _replaced_forward(_decoder(model), lambda *_, **__: _GivenStates(states[None])):
        logits: torch.Tensor = model(**inputs, use_cache=False).logits[0]
    return logits


def _decoder(model: Any) -> torch.nn.Module:
    """The module whose last hidden states go to the head."""
    decoder = model.get_decoder()
    found: torch.nn.Module = model.base_model if decoder is model else decoder
    if found is model:
        raise ValueError("has no decoder apart from its head")
    return found


class _GivenStates:
    """A decoder's output that holds its last hidden states and nothing else."""

    def __init__(self, states: torch.Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, key: Any) -> Any:
        return (self.last_hidden_state,)[key]

    def __getattr__(self, name: str) -> None:
        return None  # caches, attentions and the like


@contextmanager
def _replaced_forward(module: torch.nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    own = vars(module).get("forward")  # accelerate puts one there for a model over several devices
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own
