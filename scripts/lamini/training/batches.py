"""From pairs to tensors: the inputs of one micro-batch."""

from dataclasses import dataclass

import numpy as np
import torch

from lamini.settings.students import Architecture
from lamini.students.token_cache import Integers, TokenCache
from lamini.training.layout import MicroBatch

_PADDING = -1


@dataclass(frozen=True)
class Batch:
    """One micro-batch on its device.

    Shapes: B rows, E encoder and D decoder positions, S supervised tokens.
    """

    inputs: dict[str, torch.Tensor]
    """`input_ids` (B, D) for a decoder-only model, and, if its rows go on from a common prefix,
    `prefix_ids` (1, P); for an encoder-decoder `input_ids` (B, E),
    `decoder_input_ids` (B, D) and the segment of each position, `encoder_segments` and
    `decoder_segments`, -1 on padding."""
    positions: torch.Tensor
    """Where each supervised token is predicted, as an index into the flat (B * D). Shape (S,)."""
    labels: torch.Tensor
    """The supervised tokens. Shape (S,)."""
    weights: torch.Tensor
    """Their weights in the step's loss, fp32. Shape (S,)."""


def make_batch(
    cache: TokenCache,
    pairs: Integers,
    weights: np.ndarray,
    layout: MicroBatch,
    *,
    shared: int = 0,
    architecture: Architecture,
    start_token: int,
    device: torch.device,
) -> Batch:
    """Fill one micro-batch.

    Args:
        cache: the tokenised pairs.
        pairs: the step's pairs, as rows of the cache.
        weights: of each supervised token of each of them (`plan.pair_weights`).
        layout: which of them are in this micro-batch, and where.
        shared: tokens that all prompts begin with and that the rows leave out; none for an
            encoder-decoder.
        architecture: of the model.
        start_token: fills padding, and starts each response of an encoder-decoder.
        device: where the tensors go.
    """
    shape = (len(layout.rows), layout.decoder)
    decoder = np.full(shape, start_token)
    decoder_segments = np.full(shape, _PADDING)
    encoder = np.full((shape[0], layout.encoder), start_token)
    encoder_segments = np.full(encoder.shape, _PADDING)
    positions, labels, token_weights = [], [], []
    for number, row in enumerate(layout.rows):
        at_encoder = at_decoder = 0
        for segment, item in enumerate(row):
            prompt, response = cache.prompt(int(pairs[item])), cache.response(int(pairs[item]))
            if architecture == "encoder-decoder":
                encoder[number, at_encoder : at_encoder + len(prompt)] = prompt
                encoder_segments[number, at_encoder : at_encoder + len(prompt)] = segment
                at_encoder += len(prompt)
                fed, first = np.concatenate([[start_token], response[:-1]]), 0
            else:
                own = prompt[shared:]
                fed, first = np.concatenate([own, response[:-1]]), len(own) - 1
            decoder[number, at_decoder : at_decoder + len(fed)] = fed
            decoder_segments[number, at_decoder : at_decoder + len(fed)] = segment
            base = number * layout.decoder + at_decoder
            positions.append(np.arange(base + first, base + len(fed)))
            labels.append(response)
            token_weights.append(np.full(len(response), weights[item]))
            at_decoder += len(fed)

    def tensor(values: np.ndarray, dtype: torch.dtype = torch.long) -> torch.Tensor:
        return torch.as_tensor(values, dtype=dtype).to(device, non_blocking=True)

    if architecture == "decoder-only":
        inputs = {"input_ids": tensor(decoder)}
        if shared:
            prefix = cache.prompt(int(pairs[layout.rows[0][0]]))[:shared]
            inputs["prefix_ids"] = tensor(prefix[None])
    else:
        inputs = {
            "input_ids": tensor(encoder),
            "decoder_input_ids": tensor(decoder),
            "encoder_segments": tensor(encoder_segments),
            "decoder_segments": tensor(decoder_segments),
        }
    return Batch(
        inputs=inputs,
        positions=tensor(np.concatenate(positions)),
        labels=tensor(np.concatenate(labels)),
        weights=tensor(np.concatenate(token_weights), torch.float32),
    )


def shared_prefix(cache: TokenCache, pairs: Integers) -> int:
    """How many tokens the prompts of all pairs begin with; each keeps one token of its own.

    It is the wrapper's head: a quarter of the tokens of the paper's pairs.
    """
    least = int(cache.prompt_lengths[pairs].min()) - 1
    heads = np.array([cache.prompt(int(pair))[:least] for pair in pairs])
    alike = (heads == heads[0]).all(axis=0)
    return int(np.append(alike, False).argmin())
