"""Optimization: learning rate schedule, AdamW, and mixed precision with its loss scale.

Weights, gradients and optimizer state are fp32; matrix products may be bf16 or fp16.

With `shard_optimizer` each rank keeps the moments of the pieces of the weights that it updates
(`gradients`): 8 bytes per parameter divided by the number of ranks. The state is stored by
parameter name and position in the parameter, so a run may resume with another number of ranks.
"""

import contextlib
import math
from collections import defaultdict
from collections.abc import Iterable
from types import MethodType
from typing import Any

import torch

from lamini.settings.students import Recipe
from lamini.students.numerics import DTYPES, Precision
from lamini.training.gradients import GradientSums, Piece

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of a step (counted from 0) in a run of `steps` steps.

    Warm-up takes `ceil(warmup_ratio * steps)` steps and starts at zero, as in transformers, with
    which Alpaca's published configuration was run.
    """
    warmup = math.ceil(recipe.warmup_ratio * steps)
    if step < warmup:
        return recipe.learning_rate * step / warmup
    done = (step - warmup) / max(1, steps - warmup)
    factor = {
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        "linear": 1 - done,
        "constant": 1.0,
    }[recipe.schedule]
    return recipe.learning_rate * factor


class Optimizer:
    """AdamW with a learning rate per step.

    Args:
        gradients: the weights that this rank updates, and their gradients.
        recipe: settings of AdamW.
    """

    def __init__(self, gradients: GradientSums, recipe: Recipe) -> None:
        self._gradients, self.sharded = gradients, gradients.sharded
        decay: dict[bool, list[torch.Tensor]] = {True: [], False: []}
        for piece in gradients.pieces:
            decay[piece.is_decayed].append(piece.tensor)
        groups = [
            {"params": decay[True], "weight_decay": recipe.weight_decay},
            {"params": decay[False], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(
            groups,
            lr=recipe.learning_rate,
            betas=recipe.adam_betas,
            eps=recipe.adam_epsilon,
            fused=gradients.device.type == "cuda",
        )

    def step(self, learning_rate: float) -> None:
        """Update the weights by the gradients summed over ranks; all ranks then have all weights.

        Args:
            learning_rate: rate of this step.
        """
        for group in self._adam.param_groups:
            group["lr"] = learning_rate
        self._adam.step()
        if self.sharded:
            self._gradients.share_weights()

    def state(self) -> dict[str, torch.Tensor]:
        """State of this rank on the CPU, with keys `{moment}/{parameter}/{first element}`."""
        return {
            f"{moment}/{piece.name}/{piece.start}": moments[moment].detach().cpu()
            for piece in self._gradients.pieces
            if (moments := self._adam.state.get(piece.tensor))
            for moment in MOMENTS
        }

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Load a state, saved by any number of ranks, that contains at least this rank's pieces."""
        saved = SavedMoments(state)
        fused = bool(self._adam.param_groups[0]["fused"])
        for piece in self._gradients.pieces:
            tensor = piece.tensor
            self._adam.state[tensor] = {
                "exp_avg": saved.part("exp_avg", piece).to(tensor.device),
                "exp_avg_sq": saved.part("exp_avg_sq", piece).to(tensor.device),
                # AdamW keeps `step` on the CPU unless it is fused.
                "step": saved.step(piece).to(tensor.device if fused else "cpu"),
            }


class SavedMoments:
    """Moments of whole parameters, from the pieces that all ranks of a run saved.

    Args:
        state: states of all ranks in one dictionary (`Optimizer.state`).
    """

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self._state = state
        self._starts: dict[str, list[int]] = defaultdict(list)
        for key in state:
            moment_and_name, _, start = key.rpartition("/")
            self._starts[moment_and_name].append(int(start))

    def part(self, moment: str, piece: Piece) -> torch.Tensor:
        """A moment of a piece, in the piece's shape."""
        starts = sorted(self._starts[f"{moment}/{piece.name}"])
        parts = [self._state[f"{moment}/{piece.name}/{start}"].flatten() for start in starts]
        whole = torch.cat(parts)
        return whole[piece.start : piece.start + piece.tensor.numel()].view_as(piece.tensor)

    def step(self, piece: Piece) -> torch.Tensor:
        """Number of updates; the same for all pieces of a parameter."""
        start = self._starts[f"step/{piece.name}"][0]
        return self._state[f"step/{piece.name}/{start}"]


def autocast(
    precision: Precision, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    """Context for matrix products in `precision`; torch keeps sensitive operations in fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


class LossScale:
    """Dynamic loss scale, which prevents underflow of small fp16 gradients.

    If a gradient overflows, the step is skipped and the scale is halved, to at least one. After
    many finite steps the scale is doubled. Every rank keeps the same scale, because all ranks see
    the same gradients.

    Args:
        enabled: if False, the scale is always one.
    """

    INITIAL = 2.0**16
    GROWS_AFTER = 2000
    """Number of consecutive finite steps after which the scale doubles."""
    MOST_SKIPPED_IN_A_ROW = 20
    """Limit of consecutive skipped steps; the scale has then reached one, its minimum."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.value = self.INITIAL if enabled else 1.0
        self.skipped_in_a_row = 0
        self._steps = 0

    def undo(self, parameters: Iterable[torch.Tensor]) -> None:
        """Divide the gradients by the scale."""
        if self.enabled:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.div_(self.value)

    def adapt(self, finite: bool) -> None:
        """Update the scale after a step.

        Args:
            finite: whether the step's gradient was finite; if not, the step was skipped.
        """
        if not self.enabled:
            return
        if finite:
            self.skipped_in_a_row = 0
            self._steps += 1
            if self._steps % self.GROWS_AFTER == 0:
                self.value *= 2
        else:
            self.skipped_in_a_row += 1
            self._steps = 0
            self.value = max(1.0, self.value / 2)

    def state(self) -> dict[str, float]:
        """State for `load_state`; empty if the scale is disabled."""
        if not self.enabled:
            return {}
        return {
            "value": self.value,
            "steps": self._steps,
            "skipped_in_a_row": self.skipped_in_a_row,
        }

    def load_state(self, state: dict[str, float]) -> None:
        """Restore a saved state.

        A run may resume in another precision, because `auto` depends on the GPU. An empty state
        leaves the initial scale; a disabled scale ignores the state.
        """
        if self.enabled and state:
            self.value, self._steps = state["value"], int(state["steps"])
            # Checkpoints of version 0.1 lack this key.
            self.skipped_in_a_row = int(state.get("skipped_in_a_row", 0))


def protect_t5_from_overflow(model: torch.nn.Module) -> int:
    """Compute T5's `wo` projection in fp32 under autocast, because its results overflow fp16.

    transformers keeps `wo` in fp32 only for a model that is cast to fp16 as a whole. Under
    autocast, fp16 training of T5 becomes NaN. The input of `wo` is also computed in fp32.

    Feed-forward blocks are recognized by their submodules, because each family related to T5 (mT5,
    UMT5, LongT5, Switch with its experts ...) has its own classes.

    Returns:
        Number of changed feed-forward blocks.
    """
    changed = 0
    for block in model.modules():
        parts = dict(block.named_children())
        if {"wi", "wo", "act", "dropout"} <= parts.keys():
            forward = _plain_in_fp32
        elif {"wi_0", "wi_1", "wo", "act", "dropout"} <= parts.keys():
            forward = _gated_in_fp32
        else:
            continue
        # A bound method, not a closure: a deep copy of the model then uses its own weights.
        block.forward = MethodType(forward, block)
        changed += 1
    return changed


def _plain_in_fp32(block: Any, states: torch.Tensor) -> torch.Tensor:
    return _project_out(block, block.act(block.wi(states)).float())


def _gated_in_fp32(block: Any, states: torch.Tensor) -> torch.Tensor:
    return _project_out(block, block.act(block.wi_0(states)).float() * block.wi_1(states).float())


def _project_out(block: Any, inner: torch.Tensor) -> torch.Tensor:
    with torch.autocast(inner.device.type, enabled=False):
        return block.wo(block.dropout(inner))
