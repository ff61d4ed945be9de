"""Which epoch a run keeps, when it stops early, and that a resumed run decides alike."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from training_cases import recipe, tiny_cache, tiny_model, tiny_trainer

from lamini.forward.proof import Choice
from lamini.students.token_cache import TokenCache
from lamini.training.export import model_card, training_manifest
from lamini.training.kept_epoch import best_row, stops_early
from lamini.training.loop import Trainer
from lamini.training.manifest import TrainingManifest
from lamini.training.metrics import StepMetrics
from lamini.training.pairs import select_pairs

PER_EPOCH = 3
SETTINGS = {"epochs": 5, "batch_pairs": 8, "held_out_pairs": 4}
LOSSES = [9.0, 3.0, 2.0, 2.5, 2.0, 1.0]
"""Of the initial model and of five epochs; only the fifth epoch is better than the second."""
Scripted = Callable[..., Trainer]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TokenCache:
    return tiny_cache(tmp_path_factory.mktemp("cache"), pairs=24)


@pytest.fixture
def scripted(cache: TokenCache, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Makes trainers whose held-out losses are `LOSSES`, and which may be killed after a step."""

    def make(work: Path, killed_after: int | None = None, **changes: Any) -> Trainer:
        trainer = tiny_trainer(tiny_model("gpt2"), cache, work, **{**SETTINGS, **changes})
        step = trainer.step
        finished = [0]

        def counted(number: int) -> StepMetrics:
            if number == killed_after:
                raise KeyboardInterrupt
            finished[0] = number + 1
            return step(number)

        monkeypatch.setattr(trainer, "step", counted)
        monkeypatch.setattr(trainer, "held_out_loss", lambda: LOSSES[finished[0] // PER_EPOCH])
        return trainer

    return make


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer._parameters.items()}


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def after_epoch(scripted: Scripted, tmp_path: Path) -> Callable[[int], dict[str, torch.Tensor]]:
    """Weights after an epoch of a run that keeps the last ones."""

    def weights(epoch: int) -> dict[str, torch.Tensor]:
        trainer = scripted(tmp_path / "by_hand", patience=None)
        for step in range(PER_EPOCH * epoch):
            trainer.step(step)
        return _weights(trainer)

    return weights


def _rows(*losses: float | None) -> list[StepMetrics]:
    empty = StepMetrics.untrained(None)
    return [
        empty.model_copy(update={"step": step, "held_out_loss": loss})
        for step, loss in enumerate(losses)
    ]


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        ([0.1], None),  # the initial model is no candidate
        ([0.1, None], None),
        ([0.1, 3.0, None, 2.0, 2.0, 2.5], 3),  # the first of equal ones
        ([0.1, math.nan, 2.0], 2),
        ([0.1, 2.0, math.nan, math.inf], 1),
    ],
)
def test_the_first_lowest_held_out_loss_is_the_best(
    losses: list[float | None], step: int | None
) -> None:
    row = best_row(_rows(*losses))
    assert (row.step if row else None) == step


@pytest.mark.parametrize(
    ("losses", "patience", "stops"),
    [
        ([1.0], 1, False),
        ([1.0, 3.0], 1, False),
        ([1.0, 3.0, 3.0], 1, True),
        ([1.0, 3.0, 3.0], 2, False),
        ([1.0, 3.0, 4.0, 2.9], 2, False),
        ([1.0, 3.0, 4.0, 3.5], 2, True),
        ([1.0, 3.0, 4.0, 3.5, None], 2, False),  # only a new loss ends a run
        ([1.0, 3.0, 4.0, 3.5], None, False),
    ],
)
def test_patience_counts_losses_without_a_new_lowest_one(
    losses: list[float | None], patience: int | None, stops: bool
) -> None:
    assert stops_early(_rows(*losses), recipe(patience=patience)) == stops


@pytest.mark.parametrize(
    ("changes", "steps_and_kept"),
    [
        ({}, (15, 5)),
        ({"keep": "best"}, (15, 5)),
        ({"patience": 2}, (12, 4)),
        ({"keep": "best", "patience": 2}, (12, 2)),
        ({"keep": "best", "patience": 1}, (9, 2)),
    ],
)
def test_kept_weights_and_number_of_steps(
    scripted: Scripted,
    after_epoch: Callable[[int], dict[str, torch.Tensor]],
    tmp_path: Path,
    changes: dict[str, Any],
    steps_and_kept: tuple[int, int],
) -> None:
    # With save_minutes of days, a checkpoint is saved only where one is needed.
    trainer = scripted(tmp_path / "run", save_minutes=9999, **changes)
    metrics = trainer.run()
    steps, kept = steps_and_kept
    assert [row.step for row in metrics] == list(range(steps + 1))
    assert _equal(_weights(trainer), after_epoch(kept))
    trainer.clean_up()
    assert not list((tmp_path / "run").glob("*step-*"))


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("torn", [False, True])
def test_a_run_killed_at_any_step_keeps_the_same_epoch(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool, torn: bool
) -> None:
    if not links:

        def refuse(*_: Any) -> None:
            raise OSError("no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    changes = {"keep": "best", "patience": 2, "save_minutes": 1e-9}
    whole = scripted(tmp_path / "whole", **changes)
    metrics, weights = whole.run(), _weights(whole)
    for step in (2, 5, 6, 7, 10, 11):
        with pytest.raises(KeyboardInterrupt):
            scripted(tmp_path / "killed", killed_after=step, **changes).run()
        if torn:  # the step before is the newest then
            newest = max((tmp_path / "killed").glob("step-*"))
            (newest / "model.safetensors").write_bytes(b"torn")
    resumed = scripted(tmp_path / "killed", **changes)
    assert resumed.run() == metrics
    assert _equal(_weights(resumed), weights)
    # Killed after the last step, before the export.
    again = scripted(tmp_path / "killed", killed_after=12, **changes)
    assert again.run() == metrics
    assert _equal(_weights(again), weights)


def _trained(scripted: Scripted, cache: TokenCache, work: Path, **changes: Any) -> TrainingManifest:
    trainer = scripted(work, **changes)
    selection = select_pairs(cache, trainer._recipe)
    choice = Choice("rows", 1, 1, 0.0)
    return training_manifest(trainer._job, trainer.run(), cache, selection, choice)


def test_manifest_and_card_name_the_kept_epoch_and_the_early_stop(
    scripted: Scripted, cache: TokenCache, tmp_path: Path
) -> None:
    def card(manifest: TrainingManifest, **changes: Any) -> str:
        job = scripted(tmp_path / "card", **changes)._job
        return model_card(job, manifest, chat_template=False)

    plain = _trained(scripted, cache, tmp_path / "plain")
    assert not {"kept_step", "kept_epoch", "steps_planned"} & plain.as_json().keys()
    assert (plain.held_out_after, plain.stopped_early) == (1.0, False)
    assert "kept" not in card(plain)

    best = {"keep": "best", "patience": 2}
    early = _trained(scripted, cache, tmp_path / "early", **best)
    assert (early.steps, early.steps_planned, early.stopped_early) == (12, 15, True)
    assert (early.kept_step, early.kept_epoch) == (6, 2.0)
    assert (early.held_out_before, early.held_out_after) == (9.0, 2.0)
    text = card(early, **best)
    assert "| weights kept | of epoch 2 (step 6), the lowest held-out loss |" in text
    assert "| stopped | early, as the held-out loss did not fall; planned: 15 steps |" in text
    assert "| keep | best |" in text

    late = _trained(scripted, cache, tmp_path / "late", **best | {"patience": 3})
    assert (late.steps, late.steps_planned, late.stopped_early) == (15, 15, False)
    assert "| stopped | after the last step |" in card(late, **best)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": "best"}, "`keep: best` needs held-out pairs; set `held_out_pairs`"),
        ({"patience": 2}, "`patience` needs held-out pairs; set `held_out_pairs`"),
    ],
)
def test_without_held_out_pairs_both_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(held_out_pairs=0, **changes)


def test_default_values_leave_the_params_as_they_were() -> None:
    assert not {"keep", "patience"} & recipe().result_params().keys()
    changed = recipe(keep="best", patience=2).result_params()
    assert (changed["keep"], changed["patience"]) == ("best", 2)
