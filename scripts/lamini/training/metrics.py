"""Rows of `metrics.jsonl`: losses, rates and sizes of each step of a training."""

from collections.abc import Iterable

from lamini.json_file import JsonRow


class StepMetrics(JsonRow):
    """Row of one optimizer step; the row of step 0 has only the held-out loss of the initial model.

    Losses are in nats per supervised token.
    """

    step: int
    """Number of finished steps."""
    epoch: float
    """Number of finished epochs."""
    loss: float | None
    """Weighted mean over the pairs of the step; null in the row of step 0."""
    held_out_loss: float | None
    """Loss on the held-out pairs after the step; null if not measured."""
    learning_rate: float | None
    gradient_norm: float | None
    """Norm of the gradient before clipping; null if not finite, and in the row of step 0."""
    pairs: int | None
    supervised_tokens: int | None
    """Number of tokens with a loss."""
    tokens: int | None
    """Number of input tokens without padding."""
    padding_share: float | None
    """Share of padding among the computed positions."""

    @classmethod
    def untrained(cls, held_out_loss: float | None) -> "StepMetrics":
        """Row of step 0."""
        empty = dict.fromkeys(cls.model_fields)
        return cls(**{**empty, "step": 0, "epoch": 0.0, "held_out_loss": held_out_loss})

    @property
    def skipped(self) -> bool:
        """Whether the step changed no weight, because its gradient was not finite."""
        return self.step > 0 and self.gradient_norm is None


def held_out_losses(rows: Iterable[StepMetrics]) -> list[float]:
    """The measured held-out losses, in the order of the steps."""
    return [row.held_out_loss for row in rows if row.held_out_loss is not None]
