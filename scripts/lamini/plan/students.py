"""Steps, floating-point operations, GPU-hours and memory of each student's training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lamini.settings.students import Recipe
from lamini.training.estimate import StepTime, TrainingWork
from lamini.training.gpus import GPUS, width_times_layers
from lamini.training.micro_batches import CPU_COSTS
from lamini.workflow import Workflow


@dataclass(frozen=True, slots=True)
class GpuModel:
    """GPU model with its memory and the price of an hour."""

    name: str
    memory_gb: float
    dollars: float


# Prices on demand: RunPod's Secure Cloud, https://www.runpod.io/pricing, of 2026-09-25 (A100 and
# H100: SXM); V100: Akash, https://akash.network/pricing/gpus/, of 2026-09-20. Other vendors ask up
# to four times as much.
GPU_MODELS = (
    GpuModel("RTX 4090", 24, 0.74),
    GpuModel("V100", 32, 0.17),
    GpuModel("L40S", 48, 1.09),
    GpuModel("A100", 80, 1.59),
    GpuModel("H100", 80, 3.49),
    GpuModel("B200", 180, 6.79),
)
"""GPUs of the plan's tables."""


@dataclass(frozen=True, slots=True)
class StudentPlan:
    """Training cost of one student."""

    model: str
    work: TrainingWork
    gpus: int
    """GPUs that the training rule requests."""
    measured: StepTime | None = None
    """Time of a step that an attempt of the training measured."""

    def hours(self, gpu: GpuModel) -> float:
        """GPU-hours: measured on this GPU model, else estimated."""
        if self.measured and gpu.name in self.measured.device:
            return self.measured.gpu_hours(self.work.steps)
        return self.work.gpu_hours(GPUS[gpu.name], self.gpus)

    @property
    def basis(self) -> str:
        """Source of the lengths, and the GPU with measured steps."""
        if self.measured is None:
            return self.work.basis
        return f"{self.work.basis}, {self.measured.gpus} x {self.measured.device} measured"

    def advice(self, gpu: GpuModel) -> str:
        """Settings needed to fit the training on a GPU; `fits` if none are needed."""
        recipe = self.work.recipe
        most = _tokens_at_once(recipe)
        automatic = recipe.tokens_per_micro_batch == "auto"
        for checkpointing in (recipe.gradient_checkpointing, True):
            for tokens in (most, most // 2, most // 4):
                for shared in (recipe.shard_optimizer, True):
                    shares = self.gpus if shared else 1
                    if self._gigabytes(shares, tokens, checkpointing) <= gpu.memory_gb:
                        changed = (
                            "shard_optimizer" * (shared and not recipe.shard_optimizer),
                            f"{tokens} tokens" * (tokens < most and not automatic),
                            "checkpointing" * (checkpointing and not recipe.gradient_checkpointing),
                        )
                        return ", ".join(filter(None, changed)) or "fits"
        return "too large"

    @property
    def gigabytes(self) -> float:
        """Memory per GPU with the current recipe, in GB."""
        recipe = self.work.recipe
        shares = self.gpus if recipe.shard_optimizer else 1
        return self._gigabytes(shares, _tokens_at_once(recipe), recipe.gradient_checkpointing)

    def _gigabytes(self, shares: int, tokens: int, checkpointing: bool) -> float:
        """Weights, gradients, 16-bit copy, optimizer states, activations and the rest, in GB.

        Frozen weights are held in the run's precision only.
        """
        state = (4 + 4 + 2 + 8 / shares) * self.work.trained_parameters
        if self.work.recipe.lora:
            state += (4 if self.work.recipe.precision == "fp32" else 2) * self.work.parameters
        layers = _activation_bytes(self.work.parameters) * (0.1 if checkpointing else 1.0)
        return (state + tokens * (layers + _LOGIT_BYTES)) / 1e9 + _OTHER_GB


def _tokens_at_once(recipe: Recipe) -> int:
    """Tokens of a micro-batch; `auto` takes more if the memory holds more, less if it must."""
    if recipe.tokens_per_micro_batch == "auto":
        return CPU_COSTS.budget
    return recipe.tokens_per_micro_batch


# Logits and their gradients for one third of the tokens (the supervised ones), vocabulary of 50k.
_LOGIT_BYTES = 150e3
_OTHER_GB = 1.0  # the CUDA context and buffers


def _activation_bytes(parameters: int) -> float:
    """Activation memory of one token in all layers, in bytes, without attention scores.

    34 bytes per unit of width and layer (Korthikanti et al. 2022).
    """
    return 34 * width_times_layers(parameters)


def planned_students(flow: Workflow, results: Path) -> Iterator[StudentPlan]:
    """Plan of each student.

    Args:
        flow: the configuration.
        results: folder of results; its token caches and measured steps replace estimates.
    """
    for student in flow.trained_students:
        yield student_plan(flow, student, results)


def student_plan(flow: Workflow, student: str, results: Path) -> StudentPlan:
    """Plan of one student, as `planned_students` gives it."""
    return StudentPlan(
        model=student,
        work=flow.training_work(student, results),
        gpus=flow.training_gpus(student),
        measured=flow.step_time(student, results),
    )
