"""Checkpoints to go on from: each complete and proven by its hashes, or not there.

A checkpoint is written into a hidden folder, synced, listed in a manifest and renamed to
`step-NNNNNNN`. The newest two are kept; a damaged one is passed over for the one before it.
"""

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lamini.errors import LaminiError
from lamini.files import damage_of, read_json, sync_folder, write_folder_manifest
from lamini.training.optimizer import Optimizer
from lamini.training.ranks import Ranks

logger = logging.getLogger("lamini")
KEPT = 2


@dataclass
class Progress:
    """Where a run stands, besides weights and optimiser."""

    step: int
    """Steps done."""
    metrics: list[dict[str, Any]]
    """The rows of `metrics.jsonl` so far."""
    scale: dict[str, float]
    """State of the fp16 loss scale; empty in other precisions."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: the run's working folder.
        fingerprint: of what the run computes; another run's checkpoints are no use to it.
        ranks: the processes of the run.
    """

    def __init__(self, folder: Path, fingerprint: str, ranks: Ranks) -> None:
        self._folder, self._fingerprint, self._ranks = folder, fingerprint, ranks

    def save(
        self,
        progress: Progress,
        parameters: dict[str, torch.nn.Parameter],
        optimizer: Optimizer | None,
    ) -> None:
        """Write a checkpoint and drop all but the newest two.

        Args:
            progress: where the run stands.
            parameters: the weights.
            optimizer: its state, two thirds of a checkpoint; none when no step follows.

        Raises:
            LaminiError: when it can't be written (a full disk); the earlier ones are untouched.
        """
        final = self._folder / f"step-{progress.step:07}"
        draft = self._folder / f".step-{progress.step:07}.draft"
        try:
            if self._ranks.first:
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir(parents=True)
            self._ranks.wait()
            if optimizer and (self._ranks.first or optimizer.sharded):
                _save(optimizer.state(), draft / f"optimizer-{self._ranks.rank:03}.safetensors")
            if self._ranks.first:
                _save({n: p.detach() for n, p in parameters.items()}, draft / "model.safetensors")
            self._ranks.wait()
            if self._ranks.first:
                state = vars(progress) | {"fingerprint": self._fingerprint}
                write_folder_manifest(draft, {"state": state})
                shutil.rmtree(final, ignore_errors=True)
                os.replace(draft, final)
                sync_folder(self._folder)
                for old in self._existing()[KEPT:]:
                    shutil.rmtree(old)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise LaminiError(
                f"{final}: the checkpoint can't be written ({error}); make room and run the same"
                " command again: it goes on from the checkpoint before"
            ) from error

    def load(
        self, parameters: dict[str, torch.nn.Parameter], optimizer: Optimizer
    ) -> Progress | None:
        """Take over the newest sound checkpoint; none when the run has to start anew."""
        chosen = self._ranks.share(self._newest_sound() if self._ranks.first else None)
        if chosen is None:
            return None
        weights = load_file(chosen / "model.safetensors")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights.pop(name))
        state: dict[str, torch.Tensor] = {}
        for path in sorted(chosen.glob("optimizer-*.safetensors")):
            state |= load_file(path)
        if state:
            optimizer.load(state)
        facts = read_json(chosen / "manifest.json")["state"]
        facts.pop("fingerprint")
        logger.info("going on from %s", chosen)
        return Progress(**facts)

    def remove(self) -> None:
        """Delete all checkpoints, once the run's result is safe."""
        for path in [*self._existing(), *self._folder.glob(".step-*.draft")]:
            shutil.rmtree(path, ignore_errors=True)

    def _existing(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"), reverse=True)

    def _newest_sound(self) -> Path | None:
        for path in self._existing():
            damage = _damage(path)
            if damage is not None:
                logger.warning("%s is damaged (%s); trying the one before", path, damage)
                continue
            found = read_json(path / "manifest.json")["state"]["fingerprint"]
            if found == self._fingerprint:
                return path
            logger.warning(
                "%s belongs to other settings or data, and is removed; training starts anew", path
            )
            shutil.rmtree(path)
        return None


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def _damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint, if anything is."""
    try:
        return damage_of(folder, read_json(folder / "manifest.json")["files"])
    except (LaminiError, OSError, KeyError, TypeError) as error:
        return str(error) or type(error).__name__
