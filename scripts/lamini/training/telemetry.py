"""Speed, utilization and TensorBoard curves of a run in progress.

They are written to the log and the working folder. The results contain no timings.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lamini.settings.students import Architecture
from lamini.training.gpus import gpu_peak
from lamini.training.metrics import StepMetrics
from lamini.training.ranks import Ranks

logger = logging.getLogger("lamini")
_SMOOTHING = 0.9


class Telemetry:
    """Speeds and curves of one run.

    Args:
        work: folder for TensorBoard's files.
        model: the model; its size gives the FLOPs per token.
        architecture: of the model.
        ranks: the processes of the run; rank 0 writes.
    """

    def __init__(self, work: Path, model: Any, architecture: Architecture, ranks: Ranks) -> None:
        self._ranks = ranks
        self._work = MatmulWork(model, architecture)
        self._writer: Any = None
        if ranks.first:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._writer = SummaryWriter(str(work / "tensorboard"))
        self._speeds: dict[str, float] = {}
        self._row: StepMetrics | None = None

    def measure(self, prompt_tokens: int, response_tokens: int, seconds: float) -> None:
        """Record the tokens of one step, summed over ranks, and its time in seconds."""
        speeds = {
            "tokens_per_second": (prompt_tokens + response_tokens) / seconds,
            "supervised_tokens_per_second": response_tokens / seconds,
        }
        peak = self._peak()
        if peak is not None:
            flops = self._work.flops(prompt_tokens, response_tokens)
            speeds["model_flops_utilisation"] = flops / seconds / peak
        for name, value in speeds.items():
            before = self._speeds.get(name, value)
            self._speeds[name] = _SMOOTHING * before + (1 - _SMOOTHING) * value

    def record(self, row: StepMetrics) -> None:
        """Add a step's row of metrics to the TensorBoard curves."""
        self._row = row
        if self._writer is None:
            return
        values = {**row.as_json(), **self._speeds}
        if self._ranks.device.type == "cuda":
            values["memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        with self._or_no_curves():
            for name, value in values.items():
                if name not in ("step", "epoch") and value is not None:
                    self._writer.add_scalar(name, value, row.step)

    def line(self) -> str:
        """Loss, learning rate, speed and padding as one log line; "" before the first step."""
        if self._row is None:
            return ""
        speed = self._speeds
        parts = [
            f"loss {self._row.loss:.4f}",
            f"learning rate {self._row.learning_rate:.2e}",
            f"{speed['tokens_per_second']:,.0f} tokens/s",
            f"{speed['supervised_tokens_per_second']:,.0f} supervised/s",
            f"padding {self._row.padding_share:.1%}",
        ]
        if "model_flops_utilisation" in speed:
            parts.append(f"MFU {speed['model_flops_utilisation']:.1%}")
        return ", ".join(parts)

    def close(self) -> None:
        """Flush and close the TensorBoard writer."""
        if self._writer is not None:
            with self._or_no_curves():
                self._writer.close()

    @contextlib.contextmanager
    def _or_no_curves(self) -> Iterator[None]:
        """On a write error, stop writing TensorBoard curves and continue the training."""
        try:
            yield
        except OSError as error:
            logger.warning("TensorBoard curves can't be written and stop here (%s)", error)
            self._writer = None

    def _peak(self) -> float | None:
        if self._ranks.device.type != "cuda":
            return None
        peak = gpu_peak(torch.cuda.get_device_name(self._ranks.device))
        return peak * self._ranks.world if peak else None


class MatmulWork:
    """Floating-point operations of a model's matrix products, forward and backward.

    Six per weight and token, four if the weight is frozen: it has no gradient. Encoder weights
    count prompt tokens, decoder weights count response tokens (in a decoder-only model also prompt
    tokens), the head counts supervised tokens. Attention scores are not counted; at these lengths
    they are below three percent.

    Args:
        model: a Hugging Face model.
        architecture: of the model.
    """

    def __init__(self, model: Any, architecture: Architecture) -> None:
        self._causal = architecture == "decoder-only"
        self._head = _passes(model.get_output_embeddings().weight)
        self._encoder = 0 if self._causal else _matrix_weights(model.get_encoder())
        decoder = model.base_model if self._causal else model.get_decoder()
        self._decoder = _matrix_weights(decoder)

    def flops(self, prompt_tokens: int, response_tokens: int) -> float:
        """FLOPs of one forward and backward pass over these tokens."""
        decoded = response_tokens + (prompt_tokens if self._causal else 0)
        products = (
            self._encoder * prompt_tokens + self._decoder * decoded + self._head * response_tokens
        )
        return 2.0 * products


def _matrix_weights(module: torch.nn.Module) -> int:
    """Multiplications of a token with all weight matrices of a module (`_passes`)."""
    tables = {id(m.weight) for m in module.modules() if isinstance(m, torch.nn.Embedding)}
    return sum(_passes(p) for p in module.parameters() if p.ndim == 2 and id(p) not in tables)


def _passes(weight: torch.Tensor) -> int:
    """Multiplications of a token with a weight matrix, forward and backward."""
    return (3 if weight.requires_grad else 2) * weight.numel()
