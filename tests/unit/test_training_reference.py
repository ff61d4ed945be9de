"""Training equals a plain loop: losses, gradient norms, learning rates and weights."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from training_cases import CONFIGS, recipe, tiny_cache, tiny_model, tiny_trainer

from lamini.students.token_cache import TokenCache
from lamini.training.gradients import GradientSums
from lamini.training.optimization import Optimizer
from lamini.training.pairs import select_pairs
from lamini.training.ranks import Ranks

STEPS, PAIRS, GROUP, WARMUP = 20, 36, 16, 2
RECIPE = {
    "epochs": 4,  # of five steps, the last of which is smaller
    "batch_pairs": PAIRS,
    "held_out_pairs": 8,
    "warmup_ratio": WARMUP / STEPS,
    "learning_rate": 5e-3,
    # None of these is a default, so a value that is not passed on is noticed.
    "weight_decay": 0.3,
    "adam_betas": (0.8, 0.95),
    "adam_epsilon": 1e-4,
    "micro_batch_pairs": GROUP,
    "tokens_per_micro_batch": 600,
    "save_minutes": 1000,
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    folder = tmp_path_factory.mktemp("cache")
    return tiny_cache(folder, pairs=4 * PAIRS + 20 + 8, longest=60, shared=4)


def _padded(rows: list[np.ndarray], filler: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])


def _mean_loss(model: Any, cache: TokenCache, pairs: np.ndarray) -> torch.Tensor:
    """The model's own loss of some pairs, padded at the right: the mean of their tokens' losses."""
    prompts = [cache.prompt(int(pair)) for pair in pairs]
    labels = [cache.response(int(pair)) for pair in pairs]
    if not model.config.is_encoder_decoder:
        ignored = [np.full(len(prompt), -100) for prompt in prompts]
        prompts = [np.append(*both) for both in zip(prompts, labels, strict=True)]
        labels = [np.append(*both) for both in zip(ignored, labels, strict=True)]
    return model(
        input_ids=_padded(prompts, 0),
        attention_mask=_padded([np.ones(len(prompt), int) for prompt in prompts], 0),
        labels=_padded(labels, -100),
    ).loss


def _plain_loop(
    model: Any,
    cache: TokenCache,
    steps: list[np.ndarray],
    held_out: np.ndarray,
    recipe: dict[str, Any],
) -> list[dict[str, float]]:
    """Train `model` with torch and transformers only, accumulating gradients over groups."""
    names = transformers.Trainer.get_decay_parameter_names(None, model)  # type: ignore[arg-type]
    parameters = dict(model.named_parameters())
    groups = [
        {"params": [p for n, p in parameters.items() if n in names], "weight_decay": 0.3},
        {"params": [p for n, p in parameters.items() if n not in names], "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=5e-3, betas=(0.8, 0.95), eps=1e-4)
    rates = transformers.get_scheduler(recipe["schedule"], adam, WARMUP, STEPS)
    rows = []
    for pairs in steps:
        tokens = cache.response_lengths
        parts = [pairs[at : at + GROUP] for at in range(0, len(pairs), GROUP)]
        loss = 0.0
        for part in parts:
            share = 1 / len(parts)
            if recipe["loss_reduction"] == "token_mean":
                share = tokens[part].sum() / tokens[pairs].sum()
            weighted = share * _mean_loss(model, cache, part)
            weighted.backward()
            loss += weighted.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe["max_gradient_norm"])
        rate = rates.get_last_lr()[0]
        adam.step()
        rates.step()
        adam.zero_grad()
        with torch.no_grad():
            after = _mean_loss(model, cache, held_out).item()
        rows.append(
            {
                "loss": loss,
                "gradient_norm": norm.item(),
                "learning_rate": rate,
                "held_out_loss": after,
            }
        )
    return rows


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (
            "gpt2",
            {"loss_reduction": "token_mean", "schedule": "cosine", "max_gradient_norm": 0.28},
        ),
        (
            "t5-v1.1",
            {"loss_reduction": "micro_batch_mean", "schedule": "linear", "max_gradient_norm": 0.65},
        ),
    ],
)
def test_twenty_steps_are_those_of_a_plain_loop(
    name: str, changes: dict[str, Any], cache: TokenCache, tmp_path: Path
) -> None:
    model = tiny_model(name)
    start, plain = copy.deepcopy(model), copy.deepcopy(model).train()
    trainer = tiny_trainer(model, cache, tmp_path, **RECIPE, **changes)
    untrained, *rows = trainer.run()
    assert len(rows) == STEPS
    columns = "step epoch loss held_out_loss learning_rate gradient_norm pairs supervised_tokens"
    assert list(rows[0].as_json()) == [*columns.split(), "tokens", "padding_share"]
    assert untrained.as_json().keys() == rows[0].as_json().keys()
    # No micro-batch has more tokens than the budget, so each step had several.
    assert min(row.tokens for row in rows) > 600
    norms = [row.gradient_norm for row in rows]
    largest = changes["max_gradient_norm"]
    assert sum(norm > largest for norm in norms) >= 5
    assert sum(norm < largest for norm in norms) >= 5

    steps = [trainer.plan.pairs(step) for step in range(STEPS)]
    assert [row.pairs for row in rows] == [len(pairs) for pairs in steps]
    held_out = select_pairs(cache, recipe(**RECIPE)).held_out
    first = _mean_loss(plain, cache, held_out).item()
    assert untrained.held_out_loss == pytest.approx(first, rel=1e-6)
    expected = _plain_loop(plain, cache, steps, held_out, changes)
    ends = [4, 9, 14, 19]
    measured = [at for at, row in enumerate(rows) if row.held_out_loss is not None]
    assert measured == ends
    assert [rows[at].held_out_loss for at in ends] == pytest.approx(
        [expected[at]["held_out_loss"] for at in ends], rel=1e-6
    )
    for key, error in (("loss", 1e-6), ("gradient_norm", 1e-5), ("learning_rate", 1e-12)):
        found = [getattr(row, key) for row in rows]
        assert found == pytest.approx([row[key] for row in expected], rel=error), key
    for (key, ours), theirs, before in zip(
        model.named_parameters(), plain.parameters(), start.parameters(), strict=True
    ):
        moved = (theirs - before).norm()
        assert moved > 0.005 * before.norm(), key
        assert (ours - theirs).norm() < 1e-5 * moved, key


@pytest.mark.parametrize("name", CONFIGS)
def test_weight_decay_applies_to_the_parameters_of_transformers(name: str) -> None:
    model = tiny_model(name)
    parameters = dict(model.named_parameters())
    before = {n: parameter.detach().clone() for n, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    sums = GradientSums(parameters, Ranks(0), sharded=False)
    Optimizer(sums, recipe(weight_decay=0.25)).step(1.0)
    decayed = {n for n, p in parameters.items() if not torch.equal(p, before[n])}
    theirs = transformers.Trainer.get_decay_parameter_names(None, model)  # type: ignore[arg-type]
    assert decayed == parameters.keys() & set(theirs)
    for n in decayed:
        torch.testing.assert_close(parameters[n].detach(), 0.75 * before[n])


def _one_of(rank: int, world: int) -> Ranks:
    ranks = Ranks(0)
    ranks.rank, ranks.world = rank, world
    return ranks


def test_dropout_has_a_seed_for_each_step_and_rank(
    cache: TokenCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SimpleNamespace(wait=lambda: None)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda values, async_op=False: done)

    def take(step: int, rank: int, seed: int = 42) -> tuple[int, float]:
        model = tiny_model("gpt2", dropout=True)
        trainer = tiny_trainer(model, cache, tmp_path, _one_of(rank, 2), batch_pairs=16, seed=seed)
        loss = trainer.step(step).loss
        return torch.initial_seed(), loss

    cases = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 0, 43)]
    assert len({take(*case)[0] for case in cases}) == 5
    assert take(1, 1) == take(1, 1)
