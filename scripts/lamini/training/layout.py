"""Layout of a step's pairs in micro-batches with little padding.

Decoder-only, on a GPU with flash attention: all pairs of a micro-batch in one row, without padding.
Elsewhere one pair per row. Rows of similar length form a micro-batch, as many as fit in the token
budget. With right padding a causal model needs no mask, so the fast attention kernels are used.

Encoder-decoder: several pairs per row, packed by prompt and response length together; masks
separate them (`losses`). Without packing, padding stays above a seventh: a batch sorted by prompt
length has responses of all lengths, and the reverse. Models with absolute positions get one pair
per row.

This module only does arithmetic on lengths. A layout changes speed and memory, not the result.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lamini.settings.students import Architecture
from lamini.students.token_cache import Integers

ROW_TOKENS = 512
"""Encoder plus decoder positions of a packed row; attention cost grows with its square."""


@dataclass(frozen=True)
class MicroBatch:
    """Rows that one device computes in one forward pass."""

    rows: tuple[tuple[int, ...], ...]
    """Pairs of each row, as indices into the step's list of pairs."""
    encoder: int
    """Padded length of the encoder input; 0 for a decoder-only model."""
    decoder: int
    """Padded length of the decoder input."""

    @property
    def padded_tokens(self) -> int:
        """Number of computed positions, padding included."""
        return len(self.rows) * (self.encoder + self.decoder)


def lay_out(
    architecture: Architecture,
    prompts: Integers,
    responses: Integers,
    budget: int,
    ranks: int = 1,
    *,
    packed: bool = True,
    overhead: int = 128,
) -> list[list[MicroBatch]]:
    """Micro-batches of a step for each rank.

    Args:
        architecture: of the model.
        prompts: prompt tokens of the step's pairs. Shape (pairs,).
        responses: response tokens of the step's pairs, the end token included. Shape (pairs,).
        budget: most padded tokens of a micro-batch; a single row may exceed it.
        ranks: number of processes that share the step; each gets about the same work.
        packed: whether a row of an encoder-decoder may hold several pairs (`ways`).
        overhead: fixed cost of a micro-batch, in tokens that are computed in the same time.
    """
    alone: list[tuple[int, ...]] = [(pair,) for pair in range(len(prompts))]
    if architecture == "decoder-only":
        # The end token is a label, never an input.
        shapes = np.stack([np.zeros_like(prompts), prompts + responses - 1], axis=1)
        rows = alone
    else:
        rows = pack_rows(prompts, responses) if packed else alone
        sides = (prompts, responses)
        shapes = np.array([[side[list(row)].sum() for side in sides] for row in rows])
    if ranks > 1:  # smaller micro-batches, so that every rank gets work
        budget = min(budget, max(1, int(1.1 * shapes.sum() / ranks)))
    batches = _fill(rows, shapes, budget, overhead)
    shares: list[list[MicroBatch]] = [[] for _ in range(ranks)]
    loads = [0] * ranks
    for batch in sorted(batches, key=lambda b: -b.padded_tokens):
        lightest = loads.index(min(loads))
        shares[lightest].append(batch)
        loads[lightest] += batch.padded_tokens
    return shares


def lay_out_flat(
    prompts: Integers, responses: Integers, budget: int, ranks: int = 1
) -> list[list[MicroBatch]]:
    """Micro-batches of one flat row each, for each rank; all have about the same length.

    The fewest rows that fit are taken, the same number for each rank unless the step has fewer
    pairs. The arguments are those of `lay_out`.
    """
    lengths = prompts + responses - 1  # the end token is a label, never an input
    longest_first = np.argsort(-lengths, kind="stable")
    count = ranks * math.ceil(lengths.sum() / budget / ranks)
    while True:
        count = min(count, len(lengths))
        rows: list[list[int]] = [[] for _ in range(count)]
        lightest = [(0, row) for row in range(count)]
        for pair in longest_first.tolist():
            tokens, row = heapq.heappop(lightest)
            rows[row].append(pair)
            heapq.heappush(lightest, (tokens + int(lengths[pair]), row))
        if max(lightest)[0] <= max(budget, int(lengths.max())) or count == len(lengths):
            break
        count += ranks
    batches = [MicroBatch((tuple(row),), 0, int(lengths[row].sum())) for row in rows]
    return [batches[rank::ranks] for rank in range(ranks)]


def _fill(
    rows: Sequence[tuple[int, ...]], shapes: Integers, budget: int, overhead: int
) -> list[MicroBatch]:
    """Group rows, longest first, into micro-batches of at most `budget` padded tokens.

    Dynamic programming finds the grouping with the least padded tokens plus fixed cost per
    micro-batch.
    """
    # Longest first: if memory is too small, the first micro-batch of a run fails.
    order = np.lexsort((np.arange(len(rows)), -shapes[:, 1], -shapes.sum(axis=1)))
    ordered, count = shapes[order], len(order)
    least = np.full(count + 1, np.inf)
    least[0] = 0
    cut_before = np.zeros(count + 1, dtype=np.int64)
    for start in range(count):
        widest = np.maximum.accumulate(ordered[start:], axis=0).sum(axis=1)
        padded = widest * np.arange(1, count - start + 1)
        # Padded tokens grow with the number of rows, so the rows that fit are a prefix.
        # At least one row is taken.
        fitting = max(1, int(np.searchsorted(padded, budget, side="right")))
        cost = least[start] + padded[:fitting] + overhead
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
    """Pack pairs into rows by first-fit decreasing on both lengths.

    Encoder and decoder capacity of a row have the ratio of the step's prompt and response tokens,
    so that both sides fill up together. A pair longer than the capacity gets its own row.
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
