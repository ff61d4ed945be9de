"""The epoch whose weights a run keeps, and its early stop, from the held-out losses.

Both are functions of the rows of metrics, so a resumed run decides as an uninterrupted one. The
initial model is no candidate. Of equal losses, the first is kept.
"""

import math
from collections.abc import Sequence
from typing import Any

from lamini.settings.students import Recipe
from lamini.training.metrics import StepMetrics


def best_row(metrics: Sequence[StepMetrics]) -> StepMetrics | None:
    """The first row with the lowest held-out loss; None before the first epoch's end.

    Args:
        metrics: rows of `metrics.jsonl`; the first one is of the initial model.
    """
    measured = [row for row in metrics[1:] if row.held_out_loss is not None]
    return min(measured, key=_loss, default=None)


def stops_early(metrics: Sequence[StepMetrics], recipe: Recipe) -> bool:
    """Whether none of the last `patience` held-out losses is below all earlier ones.

    Args:
        metrics: rows of `metrics.jsonl` so far. Only a row with a held-out loss ends a run.
        recipe: its `patience`.
    """
    if recipe.patience is None or metrics[-1].held_out_loss is None:
        return False
    losses = [_loss(row) for row in metrics[1:] if row.held_out_loss is not None]
    return bool(losses) and len(losses) - losses.index(min(losses)) > recipe.patience


def kept_fields(metrics: Sequence[StepMetrics], recipe: Recipe, steps: int) -> dict[str, Any]:
    """Fields of `TrainingManifest` on the kept epoch and the early stop, if the recipe has them.

    Args:
        metrics: rows of `metrics.jsonl` of the whole run.
        recipe: its `keep` and `patience`.
        steps: number of steps of a run that does not stop early.
    """
    fields: dict[str, Any] = {}
    if recipe.keep == "best":
        best = best_row(metrics)
        assert best is not None  # the recipe has held-out pairs
        fields |= {"kept_step": best.step, "kept_epoch": best.epoch}
    if recipe.patience is not None:
        fields["steps_planned"] = steps
    return fields


def _loss(row: StepMetrics) -> float:
    """Held-out loss; one that is not a number is worse than all others."""
    loss = row.held_out_loss
    return loss if loss is not None and math.isfinite(loss) else math.inf
