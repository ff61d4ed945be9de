"""Layouts at their limits: largest fit, acceptable padding, minimum cost."""

import itertools
from typing import Any

import numpy as np
import pytest

from lamini.training.layout import (
    MicroBatch,
    choose_shapes,
    lay_out,
    lay_out_flat,
    pack_rows,
    row_shapes,
)


def _decoder_only(widths: list[int], budget: int, ranks: int = 1) -> list[list[MicroBatch]]:
    """Rows of the given widths; a response of one token is predicted and never an input."""
    prompts = np.array(widths)
    return lay_out("decoder-only", prompts, np.ones_like(prompts), budget, ranks)


def _rows(shares: list[list[MicroBatch]]) -> list[list[list[int]]]:
    """The pairs of each micro-batch of each rank."""
    return [[[pair for (pair,) in batch.rows] for batch in share] for share in shares]


def test_padded_lengths_are_those_of_the_longest() -> None:
    prompts, responses = np.array([5, 9, 7]), np.array([6, 1, 3])
    ((batch,),) = lay_out("decoder-only", prompts, responses, 1000)
    assert batch == MicroBatch(((0,), (1,), (2,)), encoder=0, decoder=10)  # 5 + 6 - 1
    assert batch.padded_tokens == 30
    ((batch,),) = lay_out("encoder-decoder", prompts, responses, 1000, packed=False)
    assert batch == MicroBatch(((0,), (2,), (1,)), encoder=9, decoder=6)
    assert batch.padded_tokens == 45
    ((batch,),) = lay_out("encoder-decoder", prompts, responses, 1000)
    assert batch == MicroBatch(((0, 1, 2),), encoder=21, decoder=10)


def test_a_budget_is_used_up_to_its_last_token() -> None:
    assert _rows(_decoder_only([100] * 4, 200)) == [[[0, 1], [2, 3]]]
    assert _rows(_decoder_only([100] * 4, 199)) == [[[0], [1], [2], [3]]]
    assert _rows(_decoder_only([100] * 2, 1)) == [[[0], [1]]]


def test_another_micro_batch_costs_128_tokens_of_padding() -> None:
    assert _rows(_decoder_only([300, 300 - 128], 1000)) == [[[0, 1]]]
    assert _rows(_decoder_only([300, 300 - 129], 1000)) == [[[0], [1]]]


def test_the_longest_rows_come_first() -> None:
    assert _rows(_decoder_only([10, 900, 500, 900], 900)) == [[[1], [3], [2], [0]]]
    # Of rows as long as each other, that with the longer response.
    prompts, responses = np.array([300, 200]), np.array([100, 200])
    shares = lay_out("encoder-decoder", prompts, responses, 400, packed=False)
    assert _rows(shares) == [[[1], [0]]]


def test_ranks_have_as_much_work_as_each_other() -> None:
    # Each has one and a tenth of its part at once, at most.
    assert _rows(_decoder_only([110, 110, 90, 90], 10_000, 2)) == [[[0, 1]], [[2, 3]]]
    assert _rows(_decoder_only([115, 115, 85, 85], 10_000, 2)) == [[[2, 3]], [[0], [1]]]
    # The next largest goes to the rank that has least.
    shares = _rows(_decoder_only([900, 700, 500, 100], 900, 2))
    assert shares == [[[0], [3]], [[1], [2]]]


@pytest.mark.parametrize(("overhead", "second"), [(0, [1, 2, 3, 4]), (100, [1, 2, 3])])
def test_ranks_have_the_same_cost_rather_than_the_same_tokens(
    overhead: int, second: list[int]
) -> None:
    """One micro-batch of 500 tokens; four short ones have as many, and four fixed costs."""
    lengths = np.array([500, 140, 130, 120, 110])
    ones = np.ones_like(lengths)
    shares = lay_out("decoder-only", lengths, ones, 1, ranks=2, overhead=overhead)
    assert _rows(shares)[1] == [[pair] for pair in second]


@pytest.mark.parametrize(
    ("prompts", "responses", "rows"),
    [
        # 512 tokens are split as the step's are: here into halves, which two pairs fill.
        ([128] * 4, [128] * 4, [(0, 1), (2, 3)]),
        # Three quarters and one.
        ([192] * 4, [64] * 4, [(0, 1), (2, 3)]),
        ([193, 192, 191, 192], [64] * 4, [(0, 2), (1, 3)]),
        # 257 and 255 tokens: two of these prompts are one too many.
        ([129] * 2, [128] * 2, [(0,), (1,)]),
        ([128] * 2, [129] * 2, [(0,), (1,)]),
        # Largest first, each into the first row that has room on both sides (for 259 and 253).
        ([20, 200, 60, 150], [10, 200, 60, 150], [(1, 0), (3, 2)]),
        # A pair that is longer than a row has one to itself.
        ([900, 10, 10], [300, 5, 5], [(0,), (1, 2)]),
    ],
)
def test_packed_rows_are_filled_to_the_last_token(
    prompts: list[int], responses: list[int], rows: list[tuple[int, ...]]
) -> None:
    assert pack_rows(np.array(prompts), np.array(responses)) == rows


def test_packed_rows_need_less_padding_than_rows_of_one_pair() -> None:
    # A long prompt with a short response and the reverse fill a row of 256 and 256 positions.
    prompts, responses = np.array([200, 56, 200, 56]), np.array([56, 200, 56, 200])
    ((batch,),) = lay_out("encoder-decoder", prompts, responses, 2000)
    assert batch == MicroBatch(((0, 1), (2, 3)), encoder=256, decoder=256)
    assert batch.padded_tokens == prompts.sum() + responses.sum()  # no padding
    ((one, other),) = lay_out("encoder-decoder", prompts, responses, 2000, packed=False)
    assert one == MicroBatch(((1,), (3,)), encoder=56, decoder=200)
    assert other == MicroBatch(((0,), (2,)), encoder=200, decoder=56)


def test_row_shapes_have_the_ratio_of_the_tokens_and_hold_each_pair() -> None:
    # A quarter of 512 positions for prompts; a prompt of 300 needs twice that and more.
    prompts, responses = np.array([300, 10, 10]), np.array([100, 400, 460])
    assert row_shapes(prompts, responses).tolist() == [[128, 384], [256, 464], [304, 464]]
    assert row_shapes(np.array([5]), np.array([5])).tolist() == [[256, 256]]
    # Each side has 16 positions at least.
    assert row_shapes(np.array([500]), np.array([1])).tolist() == [[496, 16], [512, 16]]


def _shapes(layout: list[MicroBatch]) -> list[tuple[int, int, int]]:
    """Rows, encoder and decoder length of each micro-batch."""
    return [(len(batch.rows), batch.encoder, batch.decoder) for batch in layout]


def test_rows_of_few_shapes_are_filled_and_padded_with_empty_rows() -> None:
    shapes = np.array([[256, 256], [512, 512]])
    # 17 pairs of half a row fill eight rows and a half, and ten rows are the next number of rows.
    halves = np.full(17, 128)
    (layout,) = lay_out("encoder-decoder", halves, halves, 10_000, row_shapes=shapes)
    assert _shapes(layout) == [(8, 256, 256), (1, 256, 256)]  # 128 tokens less than two more rows
    (layout,) = lay_out("encoder-decoder", halves, halves, 10_000, row_shapes=shapes, overhead=1000)
    assert _shapes(layout) == [(10, 256, 256)]
    assert layout[0].rows == (*((2 * n, 2 * n + 1) for n in range(8)), (16,), ())
    # A long response has a row of the next shape, which short pairs fill.
    prompts, responses = np.array([100, 256, 100, 256]), np.array([400, 256, 100, 256])
    (layout,) = lay_out("encoder-decoder", prompts, responses, 1024, row_shapes=shapes)
    assert [(b.rows, b.encoder, b.decoder) for b in layout] == [
        (((0, 2),), 512, 512),
        (((1,), (3,)), 256, 256),
    ]


def test_expensive_micro_batches_have_few_shapes() -> None:
    """Steps of mixed pairs, such as short questions with long answers and the reverse."""
    generator = np.random.default_rng(3)
    lengths = np.exp(generator.normal(3.4, 0.9, size=(4096, 2))).clip(2, 512).astype(np.int64)
    lengths[::2] = lengths[::2, ::-1] // 3 + 1
    shapes = choose_shapes(*lengths.T, pairs=1024, budget=32768, overhead=4096)
    assert (shapes == row_shapes(*lengths.T)).all()
    assert choose_shapes(*lengths.T, pairs=1024, budget=8192, overhead=128) is None
    counts, found, computed = [], [], []
    for some in (None, shapes):
        steps = [
            lay_out("encoder-decoder", *part.T, 32768, overhead=4096, row_shapes=some)[0]
            for part in np.split(lengths, 4)
        ]
        pairs = [sorted(p for b in layout for row in b.rows for p in row) for layout in steps]
        assert pairs == [list(range(1024))] * 4
        counts.append(sum(map(len, steps)))
        found.append(len({shape for layout in steps for shape in _shapes(layout)}))
        computed.append(sum(b.padded_tokens for layout in steps for b in layout))
    assert (counts, found) == ([17, 12], [17, 7])
    padding = 1 - lengths.sum() / np.array(computed)
    assert padding[0] > 0.12
    assert padding[1] < 0.09


def _least_cost(shapes: list[tuple[int, int]], budget: int) -> int:
    """Minimum cost over all splits of sorted rows: padded tokens plus 128 per micro-batch."""
    ordered = sorted(shapes, key=lambda shape: (-sum(shape), -shape[1]))
    costs = []
    for cuts in itertools.product([False, True], repeat=len(ordered) - 1):
        ends = [i + 1 for i, cut in enumerate(cuts) if cut]
        parts = [ordered[a:b] for a, b in itertools.pairwise([0, *ends, len(ordered)])]
        sizes = [len(p) * sum(max(side) for side in zip(*p, strict=True)) for p in parts]
        if all(s <= budget or len(p) == 1 for s, p in zip(sizes, parts, strict=True)):
            costs.append(sum(sizes) + 128 * len(parts))
    return min(costs)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("architecture", ["decoder-only", "encoder-decoder"])
def test_no_other_cuts_cost_less(seed: int, architecture: Any) -> None:
    generator = np.random.default_rng(seed)
    prompts, responses = generator.integers(1, 400, size=(2, 8))
    budget = int(generator.integers(500, 3000))
    (batches,) = lay_out(architecture, prompts, responses, budget, packed=False)
    causal = architecture == "decoder-only"
    shapes = [
        (0, int(p + r - 1)) if causal else (int(p), int(r))
        for p, r in zip(prompts, responses, strict=True)
    ]
    cost = sum(batch.padded_tokens + 128 for batch in batches)
    assert cost == _least_cost(shapes, budget)


def _flat(lengths: list[int], budget: int, ranks: int = 1) -> list[list[list[int]]]:
    """The pairs of each flat row of each rank."""
    shares = lay_out_flat(np.array(lengths), np.ones(len(lengths), np.int64), budget, ranks)
    batches = [batch for share in shares for batch in share]
    assert all(len(b.rows) == 1 and b.encoder == 0 for b in batches)
    assert [b.decoder for b in batches] == [sum(lengths[i] for i in b.rows[0]) for b in batches]
    return [[list(batch.rows[0]) for batch in share] for share in shares]


def test_flat_rows_are_few_and_as_long_as_each_other() -> None:
    assert _flat([5, 4, 3, 2], 14) == [[[0, 1, 2, 3]]]
    assert _flat([5, 4, 3, 2], 13) == [[[0, 3], [1, 2]]]
    # Two rows of six would be enough, but the pairs are not placed that well.
    assert _flat([3, 3, 2, 2, 2], 6) == [[[0, 4], [1], [2, 3]]]
    assert _flat([9, 1, 1], 4) == [[[0], [1], [2]]]  # a pair is never cut


def test_ranks_have_as_many_flat_rows_as_each_other() -> None:
    assert _flat([5, 4, 3, 2], 100, ranks=2) == [[[0, 3]], [[1, 2]]]
    assert _flat([5, 4, 3, 2], 5, ranks=2) == [[[0], [2]], [[1], [3]]]
    assert _flat([5, 4], 100, ranks=3) == [[[0]], [[1]], []]
    # 26 tokens are three rows of ten, so two for each of two ranks.
    assert _flat([6, 5, 5, 4, 3, 3], 10, ranks=2) == [[[0], [2]], [[1, 5], [3, 4]]]


@pytest.mark.parametrize("overhead", [0, 100, 10_000])
def test_expensive_micro_batches_permit_more_padding(overhead: int) -> None:
    lengths = np.array([300, 200])
    (batches,) = lay_out("decoder-only", lengths, np.ones_like(lengths), 1000, overhead=overhead)
    assert len(batches) == (1 if overhead >= 100 else 2)
