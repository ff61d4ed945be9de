"""Checkpoints to resume from, written atomically and verified by hashes.

A checkpoint is written into a hidden folder, synced to disk, listed in a manifest and renamed to
`step-NNNNNNN`. The newest two are kept. If the newest is damaged, the previous one is used.

A run that keeps its best epoch has the weights of this epoch in each checkpoint (a hard link).
"""

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lamini.errors import LaminiError
from lamini.files import (
    copy_file,
    damage_of,
    read_json,
    sync_folder,
    write_folder_manifest,
)
from lamini.training.metrics import StepMetrics
from lamini.training.optimization import Optimizer
from lamini.training.ranks import Ranks

logger = logging.getLogger("lamini")
KEPT_CHECKPOINTS = 2
_MODEL, _BEST = "model.safetensors", "best.safetensors"


@dataclass
class TrainingState:
    """State of a run, without weights and optimizer state."""

    step: int
    """Number of finished steps."""
    metrics: list[StepMetrics]
    """Rows of `metrics.jsonl` so far."""
    scale: dict[str, float]
    """State of the fp16 loss scale; empty in other precisions."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: the run's working folder.
        fingerprint: fingerprint of the run (`TrainingJob.fingerprint`); a checkpoint with another
            fingerprint is not loaded.
        ranks: the processes of the run.
    """

    def __init__(self, folder: Path, fingerprint: str, ranks: Ranks) -> None:
        self._folder, self._fingerprint, self._ranks = folder, fingerprint, ranks
        self._newest: Path | None = None  # saved or loaded by this process

    def save(
        self,
        state: TrainingState,
        parameters: dict[str, torch.nn.Parameter],
        optimizer: Optimizer | None,
        best_step: int | None = None,
    ) -> None:
        """Write a checkpoint, then delete all but the newest two.

        Args:
            state: state of the run.
            parameters: the weights.
            optimizer: its state is two thirds of a checkpoint; None after the last step.
            best_step: this step, or an earlier one whose weights are in the newest checkpoint: the
                checkpoint also gets the weights of this step. None: no weights are kept.

        Raises:
            LaminiError: when the checkpoint can't be written (a full disk); earlier checkpoints
                stay intact.
        """
        final = self._folder / f"step-{state.step:07}"
        draft = self._folder / f".step-{state.step:07}.draft"
        try:
            if self._ranks.first:
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir(parents=True)
            self._ranks.wait()
            if optimizer and (self._ranks.first or optimizer.sharded):
                _save(optimizer.state(), draft / f"optimizer-{self._ranks.rank:03}.safetensors")
            if self._ranks.first:
                _save({n: p.detach() for n, p in parameters.items()}, draft / _MODEL)
                if best_step is not None:
                    self._keep_best(draft, is_new=best_step == state.step)
            self._ranks.wait()
            if self._ranks.first:
                metrics = [row.as_json() for row in state.metrics]
                own = {"metrics": metrics, "fingerprint": self._fingerprint}
                write_folder_manifest(draft, {"state": vars(state) | own})
                shutil.rmtree(final, ignore_errors=True)
                os.replace(draft, final)
                sync_folder(self._folder)
                self._newest = final
                for old in self._existing()[KEPT_CHECKPOINTS:]:
                    shutil.rmtree(old)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise LaminiError(
                f"{final}: the checkpoint can't be written ({error}); make room and run the same"
                " command again: it resumes from the previous checkpoint"
            ) from error

    def load(
        self, parameters: dict[str, torch.nn.Parameter], optimizer: Optimizer
    ) -> TrainingState | None:
        """Load the newest valid checkpoint; None if there is none and training starts at step 1."""
        chosen = self._ranks.share(self._newest_sound() if self._ranks.first else None)
        if chosen is None:
            return None
        _load(parameters, chosen / _MODEL)
        state: dict[str, torch.Tensor] = {}
        for path in sorted(chosen.glob("optimizer-*.safetensors")):
            state |= load_file(path)
        if state:
            optimizer.load(state)
        saved = read_json(chosen / "manifest.json")["state"]
        saved.pop("fingerprint")
        logger.info("resuming from %s", chosen)
        self._newest = chosen
        metrics = [StepMetrics(**row) for row in saved.pop("metrics")]
        return TrainingState(metrics=metrics, **saved)

    def load_best(self, parameters: dict[str, torch.nn.Parameter]) -> None:
        """Load the weights of the kept epoch from the newest checkpoint, on rank 0 only."""
        if self._newest is not None and self._ranks.first:
            _load(parameters, self._newest / _BEST)

    def remove(self) -> None:
        """Delete all checkpoints; call after the result is written."""
        for path in [*self._existing(), *self._folder.glob(".step-*.draft")]:
            shutil.rmtree(path, ignore_errors=True)

    def _keep_best(self, draft: Path, *, is_new: bool) -> None:
        """Link the weights of the kept epoch, from the draft itself or the newest checkpoint."""
        assert is_new or self._newest is not None
        source = draft / _MODEL if is_new else Path(self._newest or "") / _BEST
        try:
            os.link(source, draft / _BEST)
        except OSError:  # a file system without hard links
            copy_file(source, draft / _BEST)

    def _existing(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"), reverse=True)

    def _newest_sound(self) -> Path | None:
        for path in self._existing():
            damage = _damage(path)
            if damage is not None:
                logger.warning("%s is damaged (%s); trying the previous checkpoint", path, damage)
                continue
            fingerprint = read_json(path / "manifest.json")["state"]["fingerprint"]
            if fingerprint == self._fingerprint:
                return path
            logger.warning(
                "%s belongs to other settings, data or code and is removed; training starts at"
                " step 1",
                path,
            )
            shutil.rmtree(path)
        return None


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def _load(parameters: dict[str, torch.nn.Parameter], path: Path) -> None:
    weights = load_file(path)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights.pop(name))


def _damage(folder: Path) -> str | None:
    """Reason why a checkpoint is invalid; None if it is valid."""
    try:
        return damage_of(folder, read_json(folder / "manifest.json")["files"])
    except (LaminiError, OSError, KeyError, TypeError) as error:
        return str(error) or type(error).__name__
