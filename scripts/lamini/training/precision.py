"""Mixed precision: fp32 weights, gradients and optimiser; matrix products in bf16 or fp16."""

import contextlib
from collections.abc import Iterable
from types import MethodType
from typing import Any

import torch

from lamini.students.numerics import Precision

_SHORT = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
