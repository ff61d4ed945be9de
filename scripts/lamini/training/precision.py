"""Mixed precision: weights, gradients and optimiser stay fp32, matrix products may be shorter."""

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
    """Run matrix products in `precision`; everything delicate stays in fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=_SHORT[precision])


class LossScale:
    """The factor that keeps small fp16 gradients from vanishing.

    It is halved, but not below one, when a gradient overflows, that step being skipped, and doubled
    after many steps without. Every rank keeps its own; all see the same gradients.

    Args:
        enabled: otherwise the factor is always one.
    """

    INITIAL = 2.0**16
    GROWS_AFTER = 2000
    """Steps in a row with finite gradients."""
    MOST_SKIPPED_IN_A_ROW = 20
    """After so many the scale is one, and no smaller one would help."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.value = self.INITIAL if enabled else 1.0
        self.skipped_in_a_row = 0
        self._steps = 0

    def undo(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Divide the gradients by the factor."""
        if self.enabled:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.div_(self.value)

    def adapt(self, finite: bool) -> None:
        """Take note of whether a step's gradient was finite; if not, the step is skipped."""
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
        """What `load_state` takes; empty without a scale."""
        if not self.enabled:
            return {}
        return {
            "value": self.value,
            "steps": self._steps,
            "skipped_in_a_row": self.skipped_in_a_row,
        }

    def load_state(self, state: dict[str, float]) -> None:
        """Go on from a saved state.

        A run may go on in another precision, where `auto` means another one on another GPU: from a
        state without a scale it starts with a new one, and it needs none outside of fp16.
        """
        if self.enabled and state:
            self.value, self._steps = state["value"], int(state["steps"])
            # Checkpoints of version 0.1 do not have it.
            self.skipped_in_a_row = int(state.get("skipped_in_a_row", 0))


def protect_t5_from_overflow(model: torch.nn.Module) -> int:
    """Compute T5's `wo`, whose results exceed fp16's range, in fp32 even under autocast.

    transformers does so only for a model cast to fp16 as a whole, and not under autocast, where
    fp16 T5 training becomes NaN. The product that is `wo`'s input is formed in fp32 as well.

    The blocks are found by their parts, as each family of T5's kind (mT5, UMT5, LongT5, Switch with
    its experts ...) has classes of its own for them.

    Returns:
        How many feed-forward blocks were changed.
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
        # A method, and no closure: in a copy of the model it then uses the copy's weights.
        block.forward = MethodType(forward, block)
        changed += 1
    return changed


def _plain_in_fp32(block: Any, states: torch.Tensor) -> torch.Tensor:
    return _leave(block, block.act(block.wi(states)).float())


def _gated_in_fp32(block: Any, states: torch.Tensor) -> torch.Tensor:
    return _leave(block, block.act(block.wi_0(states)).float() * block.wi_1(states).float())


def _leave(block: Any, inner: torch.Tensor) -> torch.Tensor:
    with torch.autocast(inner.device.type, enabled=False):
        return block.wo(block.dropout(inner))
