"""Layout of a step's pairs in micro-batches with little padding.

Decoder-only, on a GPU with flash attention: all pairs of a micro-batch in one row, without padding.
Elsewhere one pair per row. Rows of similar length form a micro-batch, as many as fit in the token
budget. With right padding a causal model needs no mask, so the fast attention kernels are used.

Encoder-decoder: several pairs per row, packed by prompt and response length together; masks
separate them (`losses`). Without packing, padding stays above a seventh: a batch sorted by prompt
length has responses of all lengths, and the reverse. Models with absolute positions get one pair
per row. Where the fixed cost of a micro-batch is large (on GPUs), all packed rows have one of a few
shapes (`choose_shapes`), so that few micro-batches hold them with little padding.

This module only does arithmetic on lengths. A layout changes speed and memory, not the result.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lamini.arrays import Integers
from lamini.settings.students import Architecture

ROW_TOKENS = 512
"""Encoder plus decoder positions of a packed row; attention cost grows with its square."""
_ALIGNMENT = 16
"""Lengths of `row_shapes` are multiples of this; GPU kernels compute other lengths more slowly."""


@dataclass(frozen=True)
class MicroBatch:
    """Rows that one device computes in one forward pass."""

    rows: tuple[tuple[int, ...], ...]
    """Pairs of each row, as indices into the step's list of pairs; empty rows are padding."""
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
    row_shapes: Integers | None = None,
) -> list[list[MicroBatch]]:
    """Micro-batches of a step for each rank.

    Args:
        architecture: of the model.
        prompts: prompt tokens of the step's pairs. Shape (pairs,).
        responses: response tokens of the step's pairs, the end token included. Shape (pairs,).
        budget: most padded tokens of a micro-batch; a single row may exceed it.
        ranks: number of processes that share the step; the costs of their micro-batches are about
            equal.
        packed: whether a row of an encoder-decoder may hold several pairs (`ways`).
        overhead: fixed cost of a micro-batch, in tokens that are computed in the same time.
        row_shapes: the shapes of packed rows (`choose_shapes`); numbers of rows are then rounded
            up, too. None, or a budget below one row: each micro-batch has the lengths of its
            longest rows.
    """
    alone: list[tuple[int, ...]] = [(pair,) for pair in range(len(prompts))]
    if architecture == "decoder-only":
        # The end token is a label, never an input.
        shapes = np.stack([np.zeros_like(prompts), prompts + responses - 1], axis=1)
        rows = alone
    elif packed and row_shapes is not None and budget >= ROW_TOKENS:
        rows, shapes = _pack_into(row_shapes, prompts, responses)
    else:
        rows = pack_rows(prompts, responses, min(budget, ROW_TOKENS)) if packed else alone
        sides = (prompts, responses)
        shapes = np.array([[side[list(row)].sum() for side in sides] for row in rows])
    if ranks > 1:  # smaller micro-batches, so that every rank gets work
        budget = min(budget, max(1, int(1.1 * shapes.sum() / ranks)))
    batches = _fill(rows, shapes, budget, overhead, few=row_shapes is not None)
    shares: list[list[MicroBatch]] = [[] for _ in range(ranks)]
    loads = [0] * ranks
    for batch in sorted(batches, key=lambda b: -b.padded_tokens):
        lightest = loads.index(min(loads))
        shares[lightest].append(batch)
        loads[lightest] += batch.padded_tokens + overhead
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
    rows: Sequence[tuple[int, ...]], shapes: Integers, budget: int, overhead: int, *, few: bool
) -> list[MicroBatch]:
    """Group rows, longest first, into micro-batches of at most `budget` padded tokens.

    Dynamic programming finds the grouping with the least padded tokens plus fixed cost per
    micro-batch. With `few`, empty rows are added up to one of a few numbers of rows.
    """
    # Longest first: if memory is too small, the first micro-batch of a run fails.
    order = np.lexsort((np.arange(len(rows)), -shapes[:, 1], -shapes.sum(axis=1)))
    ordered, count = shapes[order], len(order)
    numbers = np.arange(count + 1)
    if few:
        numbers = _rounded_up(numbers)
    least = np.full(count + 1, np.inf)
    least[0] = 0
    cut_before = np.zeros(count + 1, dtype=np.int64)
    for start in range(count):
        widest = np.maximum.accumulate(ordered[start:], axis=0).sum(axis=1)
        padded = widest * numbers[1 : count - start + 1]
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
        empty = ((),) * int(numbers[end - start] - (end - start))
        batches.append(MicroBatch(taken + empty, int(encoder), int(decoder)))
        end = start
    return batches[::-1]


def _rounded_up(numbers: Integers) -> Integers:
    """The next number of 0 to 8, 10, 12, 14, 16, 20, 24, 28, 32, 40 ...: four per doubling."""
    exponents = np.log2(np.maximum(numbers - 1, 1)).astype(np.int64)
    steps = 2 ** np.maximum(exponents - 2, 0)
    return -(-numbers // steps) * steps


def choose_shapes(
    prompts: Integers,
    responses: Integers,
    *,
    pairs: int,
    budget: int,
    overhead: int,
    ranks: int = 1,
) -> Integers | None:
    """Shapes for all packed rows of a run, if they cost less than rows of any shape; else None.

    A micro-batch pads its rows to the longest encoder and the longest decoder input. Where its
    fixed cost is large, a step has few micro-batches, so rows of any shape need much padding.

    Args:
        prompts: prompt tokens of the run's pairs. Shape (pairs,).
        responses: response tokens of the run's pairs. Shape (pairs,).
        pairs: number of pairs of a step.
        budget: see `lay_out`, like the following arguments.
        overhead: see `lay_out`.
        ranks: see `lay_out`.

    Returns:
        Encoder and decoder lengths. Shape (shapes, 2).
    """
    spread = np.linspace(0, len(prompts) - 1, num=min(pairs, len(prompts))).astype(np.int64)
    shapes = row_shapes(prompts, responses)

    def cost(shapes: Integers | None) -> int:
        step = prompts[spread], responses[spread]
        layout = lay_out(
            "encoder-decoder", *step, budget, ranks, overhead=overhead, row_shapes=shapes
        )
        return sum(batch.padded_tokens + overhead for share in layout for batch in share)

    return shapes if cost(shapes) < cost(None) else None


def row_shapes(prompts: Integers, responses: Integers) -> Integers:
    """Encoder and decoder lengths of packed rows that hold any pair. Shape (shapes, 2).

    The first shape has `ROW_TOKENS` positions in the ratio of prompt and response tokens. Each next
    one is twice as long, on both sides at most the longest pair. All are multiples of `_ALIGNMENT`.
    """
    share = prompts.sum() / (prompts.sum() + responses.sum())
    parts = ROW_TOKENS // _ALIGNMENT
    encoder = _ALIGNMENT * min(max(round(parts * share), 1), parts - 1)
    shapes = [np.array([encoder, ROW_TOKENS - encoder])]
    longest = -(-np.array([prompts.max(), responses.max()]) // _ALIGNMENT) * _ALIGNMENT
    longest = np.maximum(longest, shapes[0])
    while (shapes[-1] < longest).any():
        shapes.append(np.minimum(2 ** len(shapes) * shapes[0], longest))
    return np.array(shapes)


def _pack_into(
    shapes: Integers, prompts: Integers, responses: Integers
) -> tuple[list[tuple[int, ...]], Integers]:
    """Pack pairs into rows of the given shapes; also returns the shape of each row.

    A row gets the first shape that holds its first pair.
    """
    sizes = np.stack([prompts, responses], axis=1)
    holds = (sizes[:, None] <= shapes).all(axis=2)
    capacities = shapes[holds.argmax(axis=1)]
    rows = _first_fit(sizes, capacities, shapes[0])
    return rows, capacities[[row[0] for row in rows]]


def pack_rows(
    prompts: Integers, responses: Integers, positions: int = ROW_TOKENS
) -> list[tuple[int, ...]]:
    """Pack pairs into rows of at most so many encoder plus decoder positions.

    Encoder and decoder capacity of a row have the ratio of the step's prompt and response tokens,
    so that both sides fill up together. A pair longer than the capacity gets its own row.
    """
    share = prompts.sum() / (prompts.sum() + responses.sum())
    capacity = np.array([positions * share, positions * (1 - share)]).round().astype(np.int64)
    capacity = np.maximum(capacity, 1)
    sizes = np.stack([prompts, responses], axis=1)
    return _first_fit(sizes, np.maximum(capacity, sizes), capacity)


def _first_fit(sizes: Integers, capacities: Integers, unit: Integers) -> list[tuple[int, ...]]:
    """Pack by first-fit decreasing on both lengths.

    Args:
        sizes: prompt and response tokens. Shape (pairs, 2).
        capacities: lengths of the row that a pair opens. Shape (pairs, 2).
        unit: lengths that define the order: largest first, as a multiple of these. Shape (2,).
    """
    order = np.argsort(-(sizes / unit).max(axis=1), kind="stable")
    free = np.zeros((len(sizes), 2), dtype=np.int64)
    rows: list[list[int]] = []
    for pair in order:
        fits = (free[: len(rows)] >= sizes[pair]).all(axis=1)
        index = int(fits.argmax()) if fits.any() else len(rows)
        if index == len(rows):
            rows.append([])
            free[index] = capacities[pair]
        rows[index].append(int(pair))
        free[index] -= sizes[pair]
    return [tuple(row) for row in rows]
