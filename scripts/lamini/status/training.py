"""Progress of unfinished trainings, from the checkpoints in their working folders."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lamini.errors import LaminiError
from lamini.files import read_json
from lamini.paths import STUDENT, within
from lamini.training.metrics import StepMetrics, held_out_losses


@dataclass(frozen=True, slots=True)
class SavedTraining:
    """The newest checkpoint of one training."""

    model: str
    step: int
    loss: float | None
    """Loss of the last step, per supervised token."""
    held_out_loss: float | None
    """Last measured held-out loss."""
    saved: float
    """Time of the checkpoint, in seconds since the epoch."""


def saved_trainings(results: Path) -> list[SavedTraining]:
    """Trainings that can resume from a checkpoint; finished trainings keep none.

    Args:
        results: the results folder.
    """
    newest: dict[str, Path] = {}
    students = within(results, STUDENT, model="*").parent
    for manifest in sorted(students.glob("*/work/step-*/manifest.json")):
        newest[manifest.parents[2].name] = manifest
    trainings = (_read(model, manifest) for model, manifest in newest.items())
    return [training for training in trainings if training]


def saved_step(results: Path, model: str) -> int:
    """Step of a training's newest checkpoint; 0 without checkpoints."""
    saved = sorted(within(results, STUDENT, model=model).glob("work/step-*/manifest.json"))
    return int(saved[-1].parent.name.removeprefix("step-")) if saved else 0


def _read(model: str, manifest: Path) -> SavedTraining | None:
    try:
        state = read_json(manifest)["state"]
        rows = [StepMetrics.model_validate(row) for row in state["metrics"]]
        held_out = held_out_losses(rows)
        return SavedTraining(
            model=model,
            step=state["step"],
            loss=rows[-1].loss if rows else None,
            held_out_loss=held_out[-1] if held_out else None,
            saved=manifest.stat().st_mtime,
        )
    except (LaminiError, OSError, KeyError, TypeError, ValidationError):
        return None  # damaged, or just replaced by a newer checkpoint
