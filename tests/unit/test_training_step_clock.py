"""Measured time of a run's steps, and the remaining time in its log."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import training_cases
from training_cases import tiny_cache, tiny_model, tiny_trainer

from lamini.log import Progress
from lamini.training import step_clock
from lamini.training.estimate import TrainingWork
from lamini.training.gpus import GPUS
from lamini.training.pairs import select_pairs
from lamini.training.step_clock import MEASURED_STEPS, StepClock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that clocks read; tests change it."""
    time = [1000.0]
    monkeypatch.setattr(step_clock.time, "monotonic", lambda: time[0])
    return time


def _clock(work: Path, gpus: int = 2, settings: str = "a", **others: object) -> StepClock:
    return StepClock(work, device="NVIDIA A100", gpus=gpus, settings=settings, **others)


def _run(clock: StepClock, now: list[float], seconds: list[float]) -> None:
    for each in seconds:
        now[0] += each
        clock.tick()


def test_the_first_steps_are_measured_and_kept(tmp_path: Path, now: list[float]) -> None:
    clock = _clock(tmp_path / "work")
    assert clock.seconds() is None
    # Compiling before the first step, and the pause of a checkpoint, are no time of a step.
    _run(clock, now, [60.0, *[2.0] * 20, 90.0, *[2.0] * (MEASURED_STEPS - 22)])
    assert clock.seconds() == 2.0
    assert not (tmp_path / "work").exists()
    _run(clock, now, [2.0])
    kept = json.loads((tmp_path / "work/step_time.json").read_text())
    assert kept == {"device": "NVIDIA A100", "gpus": 2, "seconds": 2.0, "settings": "a"}
    _run(clock, now, [9.0] * 100)
    assert clock.seconds() == 2.0


def test_a_resumed_run_starts_with_the_kept_time(tmp_path: Path, now: list[float]) -> None:
    _run(_clock(tmp_path), now, [2.0] * (MEASURED_STEPS + 1))
    assert _clock(tmp_path, expected=7.0).seconds() == 2.0
    assert _clock(tmp_path, gpus=4, expected=7.0).seconds() == 1.0
    assert _clock(tmp_path, settings="b", expected=7.0).seconds() == 7.0
    other = StepClock(tmp_path, device="cpu", gpus=2, settings="a")
    assert other.seconds() is None
    resumed = _clock(tmp_path)
    _run(resumed, now, [5.0] * 5)
    assert resumed.seconds() == 2.0
    _run(resumed, now, [5.0])
    assert resumed.seconds() == 5.0


def test_only_one_process_writes(tmp_path: Path, now: list[float]) -> None:
    _run(_clock(tmp_path, keeps=False), now, [2.0] * (MEASURED_STEPS + 1))
    assert list(tmp_path.iterdir()) == []


def test_a_run_measures_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_clock, "MEASURED_STEPS", 3)
    trainer = tiny_trainer(tiny_model("gpt2"), tiny_cache(tmp_path / "cache"), tmp_path / "work")
    trainer.run()
    kept = json.loads((tmp_path / "work/step_time.json").read_text())
    assert (kept["device"], kept["gpus"]) == ("cpu", 1)
    assert 0 < kept["seconds"] < 60
    trainer.clean_up()
    again = tiny_trainer(tiny_model("gpt2"), tiny_cache(tmp_path / "cache"), tmp_path / "work")
    assert again._clock.seconds() == kept["seconds"]


def test_before_its_first_step_a_run_has_the_time_of_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, recipe = tiny_cache(tmp_path), training_cases.recipe(batch_pairs=8)
    job = SimpleNamespace(
        architecture="decoder-only",
        recipe=recipe,
        as_params=dict,
    )
    training = select_pairs(cache, recipe).training
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "NVIDIA A100-SXM4-80GB")
    ranks = SimpleNamespace(device=torch.device("cuda"), world=2, first=True)
    model = torch.nn.Linear(1000, 1000)
    clock = step_clock.run_clock(job, model, cache, training, ranks=ranks, work=tmp_path / "work")
    lengths = cache.prompt_lengths[training] + cache.response_lengths[training]
    planned = TrainingWork(
        architecture="decoder-only",
        parameters=1_001_000,
        recipe=recipe,
        pairs=20,
        steps=6,
        tokens=2 * lengths.sum(),
        basis="",
    )
    assert clock.seconds() == pytest.approx(
        planned.gpu_hours(GPUS["A100"], 2) * 3600 / 2 / 6, rel=1e-9
    )


def test_the_time_left_follows_from_the_time_of_a_step() -> None:
    pace: list[float | None] = [30.0]
    log = Progress(100, "steps", 40, pace=lambda: pace[0])
    assert "40/100 steps" in log.line()
    assert "ETA 30 min" in log.line()
    log.advance(30)
    assert "ETA 15 min" in log.line()
    pace[0] = None  # the mean since the start: hardly any time
    assert "ETA 0 s" in log.line()
