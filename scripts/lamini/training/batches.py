"""Input tensors of one micro-batch, filled from the token cache."""

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
    """Decoder-only: `input_ids` (B, D), and `prefix_ids` (1, P) if the rows continue a shared
    prefix. Encoder-decoder: `input_ids` (B, E), `decoder_input_ids` (B, D), and the segment number
    of each position in `encoder_segments` (B, E) and `decoder_segments` (B, D), -1 on padding."""
    positions: torch.Tensor
    """Position that predicts each supervised token, an index into the flat (B * D). Shape (S,)."""
    labels: torch.Tensor
    """Supervised tokens. Shape (S,)."""
    weights: torch.Tensor
    """Weight of each supervised token in the step's loss, fp32. Shape (S,)."""


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
    """Build the tensors of one micro-batch.

    Args:
        cache: the tokenised pairs.
        pairs: the step's pairs, as rows of the cache.
        weights: loss weight of each supervised token, per pair (`pairs.pair_weights`). Shape
            (pairs,).
        layout: pairs of this micro-batch and the row of each.
        shared: length in tokens of the shared prompt prefix that the rows leave out; 0 for an
            encoder-decoder.
        architecture: of the model.
        start_token: id that fills padding and starts each response of an encoder-decoder.
        device: device of the tensors.
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
    """Length of the prompts' longest common prefix, at most the shortest prompt minus one token.

    With a prompt wrapper, the prefix is the text before the instruction: a quarter of the tokens of
    the paper's pairs.
    """
    least = int(cache.prompt_lengths[pairs].min()) - 1
    heads = np.array([cache.prompt(int(pair))[:least] for pair in pairs])
    alike = (heads == heads[0]).all(axis=0)
    return int(np.append(alike, False).argmin())
