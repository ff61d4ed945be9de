"""How the pairs of a step are laid out in micro-batches, to compute next to no padding.

Decoder-only: one pair a row, rows of like length together, as many as the token budget holds.
Right padding needs no mask in a causal model, so the fast attention kernels stay in use.

Encoder-decoder: several pairs a row, packed by both of their lengths at once; masks keep
them apart (`losses`). Only by packing does padding fall below a seventh, as a batch sorted by
prompts has responses of all lengths (and the other way round). Models that know a token's absolute
position get one pair a row.

Everything here is arithmetic on lengths; a layout decides speed and memory, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lamini.settings.students import Architecture
from lamini.students.token_cache import Integers

_MICRO_BATCH_COST = 128
"""What starting one more micro-batch costs, in tokens that could be computed in that time."""
ROW_TOKENS = 512
"""Encoder and decoder positions of a packed row; attention within it costs its square."""


@dataclass(frozen=True)
class MicroBatch:
    """What one device computes at once."""

    rows: tuple[tuple[int, ...], ...]
    """Positions, in the step's list of pairs, of the pairs in each row."""
    encoder: int
    """Padded length of the prompts' side; 0 for a decoder-only model."""
    decoder: int
    """Padded length of the side with the loss."""

    @property
    def padded_tokens(self) -> int:
        """Positions that are computed."""
        return len(self.rows) * (self.encoder + self.decoder)


def lay_out(
    architecture: Architecture,
    prompts: Integers,
    responses: Integers,
    budget: int,
    ranks: int = 1,
    *,
    packed: bool = True,
) -> list[list[MicroBatch]]:
    """Micro-batches of a step for each rank.

    Args:
        architecture: of the model.
        prompts: prompt tokens of the step's pairs. Shape (pairs,).
        responses: response tokens of the step's pairs, the end token among them.
        budget: padded tokens at once; a single row may be longer.
        ranks: number of processes that share the step; their work is about equal.
        packed: whether a row of an encoder-decoder may hold several pairs (`ways`).
    """
    alone: list[tuple[int, ...]] = [(pair,) for pair in range(len(prompts))]
    if architecture == "decoder-only":
        # The end token is predicted but never fed.
        shapes = np.stack([np.zeros_like(prompts), prompts + responses - 1], axis=1)
        rows = alone
    else:
        rows = pack_rows(prompts, responses) if packed else alone
        sides = (prompts, responses)
        shapes = np.array([[side[list(row)].sum() for side in sides] for row in rows])
    if ranks > 1:  # enough micro-batches that no rank stands idle
        budget = min(budget, max(1, int(1.1 * shapes.sum() / ranks)))
    batches = _fill(rows, shapes, budget)
    shares: list[list[MicroBatch]] = [[] for _ in range(ranks)]
    loads = [0] * ranks
    for batch in sorted(batches, key=lambda b: -b.padded_tokens):
        lightest = loads.index(min(loads))
        shares[lightest].append(batch)
        loads[lightest] += batch.padded_tokens
    return shares


def _fill(rows: Sequence[tuple[int, ...]], shapes: Integers, budget: int) -> list[MicroBatch]:
    """Cut rows, longest first, into micro-batches of at most `budget` padded tokens.

    The cuts are the best there are (dynamic programming): padding and the fixed cost of a
    micro-batch, together, are least.
    """
    # Longest first: if memory does not suffice, the first micro-batch of a run says so.
    order = np.lexsort((np.arange(len(rows)), -shapes[:, 1], -shapes.sum(axis=1)))
    ordered, count = shapes[order], len(order)
    least = np.full(count + 1, np.inf)
    least[0] = 0
    cut_before = np.zeros(count + 1, dtype=np.int64)
    for start in range(count):
        widest = np.maximum.accumulate(ordered[start:], axis=0).sum(axis=1)
        padded = widest * np.arange(1, count - start + 1)
        # Padded tokens only grow with the rows, so those that fit are a prefix, of one at least.
        fitting = max(1, int(np.searchsorted(padded, budget, side="right")))
        cost = least[start] + padded[:fitting] + _MICRO_BATCH_COST
        ends = slice(start + 1, start + 1 + fitting)
        cut_before[ends] = np.where(cost < least[ends], start, cut_before[ends])
        least[ends] = np.minimum(cost, least[ends])
    batches = []
    end = count
    while end > 0:
        start = int(cut_before[end])
        encoder, decoder = ordered[start:end].max(axis=0)
        taken = tuple(rows[i] for i in order[start:end])
        batches.append(MicroBatch(taken, int(encoder), int(decoder)))
        end = start
    return batches[::-1]


def pack_rows(prompts: Integers, responses: Integers) -> list[tuple[int, ...]]:
    """Put pairs into rows by first-fit decreasing in both lengths.

    A row's capacity is split between encoder and decoder as the step's tokens are, so that both
    sides fill up together. A pair beyond the capacity has a row to itself.
    """
    share = prompts.sum() / (prompts.sum() + responses.sum())
    capacity = np.array([ROW_TOKENS * share, ROW_TOKENS * (1 - share)]).round().astype(np.int64)
    sizes = np.stack([prompts, responses], axis=1)
    order = np.argsort(-(sizes / capacity).max(axis=1), kind="stable")
    free = np.zeros((len(sizes), 2), dtype=np.int64)
    rows: list[list[int]] = []
    for pair in order:
        fits = (free[: len(rows)] >= sizes[pair]).all(axis=1)
        place = int(fits.argmax()) if fits.any() else len(rows)
        if place == len(rows):
            rows.append([])
            free[place] = np.maximum(capacity, sizes[pair])
        rows[place].append(int(pair))
        free[place] -= sizes[pair]
    return [tuple(row) for row in rows]
