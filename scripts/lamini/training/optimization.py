"""Optimisation: learning rate schedule, AdamW, and mixed precision with its loss scale.

Weights, gradients and optimiser state are fp32; matrix products may be bf16 or fp16.

With `shard_optimizer` each rank keeps the moments of its share of the parameters, updates these
parameters and sends them to the other ranks. Memory per rank is 8 bytes per parameter divided by
the number of ranks. The state is stored by parameter name, so a run may resume with another number
of ranks.
"""

import contextlib
import math
from collections.abc import Iterable
from types import MethodType
from typing import Any

import torch

from lamini.settings.students import Recipe
from lamini.students.numerics import Precision
from lamini.training.ranks import Ranks

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_SHORT = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
        parameters: the model's trainable parameters by name.
        recipe: settings of AdamW.
        ranks: the processes of the run.
    """

    def __init__(
        self, parameters: dict[str, torch.nn.Parameter], recipe: Recipe, ranks: Ranks
    ) -> None:
        self._parameters, self._ranks = parameters, ranks
        shares = ranks.world if recipe.shard_optimizer else 1
        self._owners = _assign(parameters, shares)
        self.sharded = shares > 1
        mine = [n for n in parameters if not self.sharded or self._owners[n] == ranks.rank]
        decayed = [parameters[n] for n in mine if _is_decayed(n, parameters[n])]
        others = [parameters[n] for n in mine if not _is_decayed(n, parameters[n])]
        groups = [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=recipe.learning_rate,
            betas=recipe.adam_betas,
            eps=recipe.adam_epsilon,
            fused=ranks.device.type == "cuda",
        )
        self._mine = mine

    def step(self, learning_rate: float) -> None:
        """Update the parameters; every rank holds the gradients summed over all ranks."""
        for group in self._adam.param_groups:
            group["lr"] = learning_rate
        self._adam.step()
        if self.sharded:
            for name, parameter in self._parameters.items():
                self._ranks.send(parameter.data, self._owners[name])

    def state(self) -> dict[str, torch.Tensor]:
        """State of this rank on the CPU, with keys `{moment}/{parameter}`."""
        return {
            f"{moment}/{name}": self._adam.state[self._parameters[name]][moment].detach().cpu()
            for name in self._mine
            if self._parameters[name] in self._adam.state
            for moment in _MOMENTS
        }

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Load a state, saved by any number of ranks, that contains at least this rank's share."""
        for name in self._mine:
            parameter = self._parameters[name]
            self._adam.state[parameter] = {
                # AdamW keeps `step` on the CPU unless it is fused.
                moment: state[f"{moment}/{name}"].to(
                    parameter.device if moment != "step" or self._fused() else "cpu"
                )
                for moment in _MOMENTS
            }

    def _fused(self) -> bool:
        return bool(self._adam.param_groups[0]["fused"])


def _is_decayed(name: str, parameter: torch.nn.Parameter) -> bool:
    """Whether weight decay applies: not to biases, T5's relative position biases, norm weights.

    transformers' Trainer does the same.
    """
    return parameter.ndim > 1 and "bias" not in name


def _assign(parameters: dict[str, torch.nn.Parameter], shares: int) -> dict[str, int]:
    """Rank that owns each parameter: largest first, to the rank with the fewest elements so far."""
    loads = [0] * shares
    owners = {}
    for name in sorted(parameters, key=lambda name: (-parameters[name].numel(), name)):
        owners[name] = loads.index(min(loads))
        loads[owners[name]] += parameters[name].numel()
    return owners


def autocast(
    precision: Precision, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    """Context for matrix products in `precision`; torch keeps sensitive operations in fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=_SHORT[precision])


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

    def undo(self, parameters: Iterable[torch.nn.Parameter]) -> None:
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

    Feed-forward blocks are recognised by their submodules, because each family related to T5 (mT5,
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
