"""Pairs of a step, their layout, and the share of padding."""

from pathlib import Path

import numpy as np
import pytest
from training_cases import recipe, tiny_cache

from lamini.errors import LaminiError
from lamini.files import write_jsonl
from lamini.students.token_cache import UNUSABLE
from lamini.training.layout import lay_out
from lamini.training.optimization import learning_rate
from lamini.training.pairs import StepPlan, pair_weights, select_pairs


def _lengths(mean: float, spread: float, count: int, seed: int) -> np.ndarray:
    """Lengths like the paper's pairs (lognormal, with the paper's mean tokens)."""
    generator = np.random.default_rng(seed)
    drawn = generator.lognormal(np.log(mean) - spread**2 / 2, spread, count)
    return np.clip(drawn, 1, 511).astype(np.int64)


def test_each_epoch_takes_every_pair_once_in_its_own_order() -> None:
    training = np.arange(100, 150)
    plan = StepPlan(training, recipe(epochs=3, batch_pairs=16))
    assert (plan.steps_per_epoch, plan.steps) == (4, 12)
    epochs = [np.concatenate([plan.pairs(4 * e + s) for s in range(4)]) for e in range(3)]
    for epoch in epochs:
        assert (np.sort(epoch) == training).all()
    assert (epochs[0] != epochs[1]).any()
    assert [plan.ends_epoch(step) for step in range(4)] == [False, False, False, True]
    again = StepPlan(training, recipe(epochs=3, batch_pairs=16))
    assert (again.pairs(9) == plan.pairs(9)).all()


def test_a_step_takes_the_next_pairs_of_its_epoch() -> None:
    plan = StepPlan(np.arange(50), recipe(epochs=3, batch_pairs=16))
    assert [len(plan.pairs(step)) for step in range(8)] == [16, 16, 16, 2, 16, 16, 16, 2]
    other = StepPlan(np.arange(50), recipe(epochs=3, batch_pairs=16, seed=43))
    assert (other.pairs(0) != plan.pairs(0)).any()
    exact = StepPlan(np.arange(48), recipe(epochs=1, batch_pairs=16))
    assert [len(exact.pairs(step)) for step in range(exact.steps)] == [16, 16, 16]


@pytest.mark.parametrize(
    ("epochs", "steps", "ends"),
    [
        (0.01, 1, [0]),
        (0.25, 1, [0]),
        (0.26, 2, [1]),
        (1, 4, [3]),
        (1.5, 6, [3, 5]),
        (2, 8, [3, 7]),
    ],
)
def test_a_part_of_an_epoch_is_rounded_up_to_whole_steps(
    epochs: float, steps: int, ends: list[int]
) -> None:
    plan = StepPlan(np.arange(50), recipe(epochs=epochs, batch_pairs=16))
    assert plan.steps == steps
    assert [step for step in range(steps) if plan.ends_epoch(step)] == ends


@pytest.mark.parametrize("architecture", ["decoder-only", "encoder-decoder"])
@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("budget", [1, 700, 8192])
def test_a_layout_holds_each_pair_once_within_its_budget(
    architecture: str, ranks: int, budget: int
) -> None:
    prompts, responses = _lengths(46, 0.9, 200, 1), _lengths(31, 0.9, 200, 2)
    shares = lay_out(architecture, prompts, responses, budget, ranks)
    assert len(shares) == ranks
    batches = [batch for share in shares for batch in share]
    pairs = sorted(pair for batch in batches for row in batch.rows for pair in row)
    assert pairs == list(range(200))
    for batch in batches:
        assert batch.padded_tokens <= budget or len(batch.rows) == 1
        for row in batch.rows:
            sums = prompts[list(row)].sum(), responses[list(row)].sum()
            if architecture == "encoder-decoder":
                assert sums[0] <= batch.encoder
                assert sums[1] <= batch.decoder
            else:
                assert sum(sums) - 1 <= batch.decoder
    if ranks > 1 and budget > 1:
        loads = [sum(batch.padded_tokens for batch in share) for share in shares]
        assert max(loads) < 1.5 * min(loads)


@pytest.mark.parametrize(
    ("architecture", "wrapper", "most"),
    # Of the wrapper's 34 tokens, 27 are the head, which is computed once and not in rows.
    [("decoder-only", 34, 0.04), ("decoder-only", 7, 0.04), ("encoder-decoder", 0, 0.06)],
)
def test_padding_at_the_papers_batch(architecture: str, wrapper: int, most: float) -> None:
    prompts = _lengths(50.6 if wrapper else 46.4, 0.85, 1024, 1) + wrapper
    responses = _lengths(32.9 if wrapper else 30.7, 0.95, 1024, 2)
    batches = lay_out(architecture, prompts, responses, 8192)[0]
    fed = prompts.sum() + responses.sum() - (1024 if wrapper else 0)
    assert 1 - fed / sum(batch.padded_tokens for batch in batches) < most


def test_weights_are_those_of_the_two_reductions() -> None:
    supervised = np.array([3, 5, 2, 10, 7])
    mean = pair_weights(supervised, recipe())
    assert mean == pytest.approx(np.full(5, 1 / 27))
    older = pair_weights(supervised, recipe(loss_reduction="micro_batch_mean", micro_batch_pairs=2))
    assert older == pytest.approx([1 / 24, 1 / 24, 1 / 36, 1 / 36, 1 / 21])
    assert (older * supervised).sum() == pytest.approx(1.0)


def test_unusable_pairs_are_counted_and_listed(tmp_path: Path) -> None:
    cache = tiny_cache(tmp_path)
    write_jsonl(tmp_path / UNUSABLE, [{"pair": 2, "reason": "empty_response"}])
    selection = select_pairs(cache, recipe(max_prompt_tokens=30, max_response_tokens=25))
    counts = selection.counts()
    assert set(counts) == {"empty_response", "prompt_too_long", "response_too_long"}
    assert len(selection.training) + 4 + sum(counts.values()) == len(cache)
    kept = np.concatenate([selection.training, selection.held_out])
    assert len(np.unique(kept)) == len(kept)
    assert 2 not in kept
    assert cache.prompt_lengths[kept].max() <= 30
    assert cache.response_lengths[kept].max() <= 25


def test_a_pair_of_exactly_the_most_tokens_is_trained_on(tmp_path: Path) -> None:
    cache = tiny_cache(tmp_path)
    prompts, responses = cache.prompt_lengths, cache.response_lengths
    most = {"max_prompt_tokens": prompts.max(), "max_response_tokens": responses.max()}
    assert select_pairs(cache, recipe(**most)).left_out == []
    for key, reason, lengths in (
        ("max_prompt_tokens", "prompt_too_long", prompts),
        ("max_response_tokens", "response_too_long", responses),
    ):
        selection = select_pairs(cache, recipe(**{**most, key: lengths.max() - 1}))
        assert selection.left_out == [
            {
                "pair": pair,
                "reason": reason,
                "prompt_tokens": prompts[pair],
                "response_tokens": responses[pair],
            }
            for pair in np.flatnonzero(lengths == lengths.max())
        ]
        assert selection.counts() == {reason: (lengths == lengths.max()).sum()}


def test_held_out_pairs_depend_only_on_the_seed(tmp_path: Path) -> None:
    cache = tiny_cache(tmp_path)
    selection = select_pairs(cache, recipe(held_out_pairs=5))
    assert (len(selection.held_out), len(selection.training)) == (5, 19)
    everything = np.concatenate([selection.training, selection.held_out])
    assert sorted(everything) == list(range(24))
    again = select_pairs(cache, recipe(held_out_pairs=5, batch_pairs=3))
    assert (again.held_out == selection.held_out).all()
    other = select_pairs(cache, recipe(held_out_pairs=5, seed=43))
    assert set(other.held_out) != set(selection.held_out)
    assert len(select_pairs(cache, recipe(held_out_pairs=23)).training) == 1


def test_nothing_left_to_train_on_says_what_to_change(tmp_path: Path) -> None:
    cache = tiny_cache(tmp_path)
    with pytest.raises(LaminiError, match="held_out_pairs is 24"):
        select_pairs(cache, recipe(held_out_pairs=24))


@pytest.mark.parametrize("ratio", [0.0, 0.03, 0.1, 0.25, 1.0])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_schedules_are_those_of_transformers(schedule: str, ratio: float) -> None:
    import torch
    from transformers import get_scheduler

    name = "constant_with_warmup" if schedule == "constant" else schedule
    warmup = {0.0: 0, 0.03: 1, 0.1: 3, 0.25: 8, 1.0: 30}[ratio]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
    theirs = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=30)
    ours = recipe(schedule=schedule, learning_rate=3e-4, warmup_ratio=ratio)
    for step in range(30):
        assert learning_rate(ours, step, 30) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        theirs.step()
