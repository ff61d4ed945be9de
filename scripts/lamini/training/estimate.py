"""Estimated time of a training: the only one, for `make plan`, time limits and remaining time.

Before a run, the time follows from the number of tokens, the GPU's data sheet and the cost of
starting kernels (`gpus`). During a run, its first steps are measured (`step_clock`); the measured
time is kept in `work/` and replaces the estimate.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_json, stable_hash, write_json
from lamini.settings.params.students import TrainModel
from lamini.settings.students import Architecture, Recipe
from lamini.training.gpus import Gpu, training_seconds, width_times_layers

STEP_TIME = "step_time.json"
"""File in a training's `work/` with the measured time of a step."""
AUTO_TOKENS = 2**15
"""Tokens of a micro-batch that the estimate assumes for `tokens_per_micro_batch: auto`; a run
measures what fits: 2^14 for GPT-2 XL on 80 GB, 2^17 for small students."""


@dataclass(frozen=True, slots=True)
class TrainingWork:
    """Size of one student's training."""

    architecture: Architecture
    parameters: int
    recipe: Recipe
    pairs: int
    """Training pairs per epoch."""
    steps: int
    tokens: float
    """Prompt and response tokens of all epochs."""
    basis: str
    """Source of the lengths: `token cache` or `estimated`."""

    @property
    def flops(self) -> float:
        """Floating-point operations: six per weight and token, forward and backward; four per
        frozen weight, which has no gradient.

        In a decoder-only model every token passes all weights. In an encoder-decoder, about half of
        the weights process the prompts and the other half the responses. Attention scores are left
        out: below three percent at these lengths.
        """
        share = 0.5 if self.architecture == "encoder-decoder" else 1.0
        frozen = self.parameters if self.recipe.lora else 0
        trained = self.trained_parameters
        return share * self.tokens * (4 * frozen + 6 * trained)

    @property
    def trained_parameters(self) -> int:
        """Number of parameters with gradients: all, or about those of the adapter in all layers.

        A LoRA adapter has rank * (inputs + outputs) parameters for each matrix. Those of a layer of
        GPT-2 have together 16 times its width of inputs and outputs.
        """
        if self.recipe.lora is None:
            return self.parameters
        return round(16 * self.recipe.lora.rank * width_times_layers(self.parameters))

    def gpu_hours(self, gpu: Gpu, gpus: int) -> float:
        """Estimated GPU-hours on this number of GPUs."""
        most = self.recipe.tokens_per_micro_batch
        budget = AUTO_TOKENS if most == "auto" else most
        per_gpu = math.ceil(self.tokens / self.steps / gpus / budget)
        seconds = training_seconds(
            gpu,
            self.architecture,
            self.parameters,
            self.tokens,
            self.flops,
            micro_batches=self.steps * gpus * per_gpu,
        )
        return seconds / 3600


@dataclass(frozen=True, slots=True)
class StepTime:
    """Measured time of a step."""

    device: str
    """GPU's name as the driver reports it, or `cpu`."""
    gpus: int
    """Processes of the run, one per GPU."""
    seconds: float
    """Median time of a step."""
    settings: str
    """Hash of the training's settings (`settings_key`)."""

    def gpu_hours(self, steps: int) -> float:
        """GPU-hours of so many steps."""
        return steps * self.seconds * self.gpus / 3600

    def write(self, folder: Path) -> None:
        """Write to `work/`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / STEP_TIME, asdict(self))

    @classmethod
    def read(cls, folder: Path, settings: str) -> "StepTime | None":
        """Read from `work/`; None if the file is missing, damaged or of other settings."""
        try:
            fields: Mapping[str, Any] = read_json(folder / STEP_TIME)
            step_time = cls(**fields)
        except (OSError, LaminiError, TypeError):
            return None
        return step_time if step_time.settings == settings else None


def settings_key(job: TrainModel) -> str:
    """Hash of the settings that the time of a step depends on."""
    return stable_hash(job.as_params(), job.recipe.speed_params())
