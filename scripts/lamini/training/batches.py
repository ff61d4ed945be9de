"""Input tensors of one micro-batch, filled from the token cache."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lamini.arrays import Integers
from lamini.settings.students import Architecture
from lamini.students.token_cache import TokenCache
from lamini.training.layout import MicroBatch

_PADDING = -1


@dataclass(frozen=True)
class Batch:
    """One micro-batch on its device.

    Shapes: B rows, E encoder and D decoder positions, S supervised tokens.
    """

    inputs: dict[str, torch.Tensor]
    """Decoder-only: `input_ids` (B, D), and `prefix_ids` (1, P) if the rows continue a shared
    prefix; for a flat row also `position_ids` (1, D) and `boundaries` of its N pairs (N + 1,).
    Encoder-decoder: `input_ids` (B, E), `decoder_input_ids` (B, D), and the segment number
    of each position in `encoder_segments` (B, E) and `decoder_segments` (B, D), -1 on padding."""
    positions: torch.Tensor
    """Position that predicts each supervised token, an index into the flat (B * D). Shape (S,)."""
    labels: torch.Tensor
    """Supervised tokens. Shape (S,)."""
    weights: torch.Tensor
    """Weight of each supervised token in the step's loss, fp32. Shape (S,)."""
    longest: int = 0
    """Tokens of the longest pair of a flat row."""

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        """A batch with changed tensors, such as on another device."""
        return Batch(
            inputs={name: change(tensor) for name, tensor in self.inputs.items()},
            positions=change(self.positions),
            labels=change(self.labels),
            weights=change(self.weights),
            longest=self.longest,
        )


def make_batch(
    cache: TokenCache,
    pairs: Integers,
    weights: np.ndarray,
    micro_batch: MicroBatch,
    *,
    shared: int = 0,
    architecture: Architecture,
    start_token: int,
) -> Batch:
    """Build the tensors of one micro-batch, on the CPU.

    Args:
        cache: the tokenized pairs.
        pairs: the step's pairs, as rows of the cache.
        weights: loss weight of each supervised token, per pair (`pairs.pair_weights`). Shape
            (pairs,).
        micro_batch: the pairs of each of its rows, and the lengths of the rows.
        shared: length in tokens of the shared prompt prefix that the rows leave out; 0 for an
            encoder-decoder.
        architecture: of the model.
        start_token: id that fills padding and starts each response of an encoder-decoder.
    """
    shape = (len(micro_batch.rows), micro_batch.decoder)
    decoder = np.full(shape, start_token)
    decoder_segments = np.full(shape, _PADDING)
    encoder = np.full((shape[0], micro_batch.encoder), start_token)
    encoder_segments = np.full(encoder.shape, _PADDING)
    positions, labels, token_weights = [], [], []
    for number, row in enumerate(micro_batch.rows):
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
            base = number * micro_batch.decoder + at_decoder
            positions.append(np.arange(base + first, base + len(fed)))
            labels.append(response)
            token_weights.append(np.full(len(response), weights[item]))
            at_decoder += len(fed)
    if architecture == "decoder-only":
        inputs = {"input_ids": torch.from_numpy(decoder)}
        if shared:
            prefix = cache.prompt(int(pairs[micro_batch.rows[0][0]]))[:shared]
            inputs["prefix_ids"] = torch.from_numpy(prefix[None])
    else:
        inputs = {
            "input_ids": torch.from_numpy(encoder),
            "decoder_input_ids": torch.from_numpy(decoder),
            "encoder_segments": torch.from_numpy(encoder_segments),
            "decoder_segments": torch.from_numpy(decoder_segments),
        }
    return Batch(
        inputs=inputs,
        positions=torch.from_numpy(np.concatenate(positions)),
        labels=torch.from_numpy(np.concatenate(labels)),
        weights=torch.from_numpy(np.concatenate(token_weights).astype(np.float32)),
    )


def make_flat_batch(
    cache: TokenCache, pairs: Integers, weights: np.ndarray, micro_batch: MicroBatch
) -> Batch:
    """Build the tensors of one micro-batch with a flat row (`forward.flat`), on the CPU.

    The arguments are those of `make_batch`.
    """
    (row,) = micro_batch.rows
    items = np.array(row)
    taken = pairs[items]
    prompts, responses = cache.prompt_lengths[taken], cache.response_lengths[taken]
    fed_lengths = prompts + responses - 1
    ids, position_ids = cache.end_to_end(taken)
    supervised = position_ids >= np.repeat(prompts, fed_lengths + 1)
    fed = position_ids < np.repeat(fed_lengths, fed_lengths + 1)  # the end token is a label only
    predicts = position_ids[fed] >= np.repeat(prompts - 1, fed_lengths)
    boundaries = np.append(0, fed_lengths.cumsum()).astype(np.int32)
    return Batch(
        inputs={
            "input_ids": torch.from_numpy(ids[fed][None]),
            "position_ids": torch.from_numpy(position_ids[fed][None]),
            "boundaries": torch.from_numpy(boundaries),
        },
        positions=torch.from_numpy(predicts.nonzero()[0]),
        labels=torch.from_numpy(ids[supervised]),
        weights=torch.from_numpy(np.repeat(weights[items], responses).astype(np.float32)),
        longest=int(fed_lengths.max()),
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
