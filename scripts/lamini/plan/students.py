"""Steps, floating-point operations, GPU-hours and memory of each student's training.

Training takes six operations per weight and token, forward and backward. In a decoder-only model
every token passes all weights. In an encoder-decoder, about half of the weights process the
prompts and the other half the responses. Attention scores are left out: below three percent here.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lamini.paths import TOKENIZED, within
from lamini.plan.tokens import Lengths, estimated_tokens, published_lengths
from lamini.prompt_formats import render_prompt
from lamini.settings.students import Architecture, Recipe
from lamini.students.token_cache import MANIFEST, TokenCache
from lamini.training.gpus import GPUS, training_seconds, width_times_layers
from lamini.training.micro_batches import CPU_COSTS
from lamini.training.pairs import StepPlan, select_pairs
from lamini.workflow import Workflow


@dataclass(frozen=True, slots=True)
class GpuModel:
    """GPU model with its memory."""

    name: str
    memory_gb: float


GPU_MODELS = (
    GpuModel("RTX 4090", 24),
    GpuModel("V100", 32),
    GpuModel("L40S", 48),
    GpuModel("A100", 80),
    GpuModel("H100", 80),
    GpuModel("B200", 180),
)
"""GPUs of the plan's tables."""


@dataclass(frozen=True, slots=True)
class StudentPlan:
    """Training cost of one student."""

    model: str
    architecture: Architecture
    parameters: int
    recipe: Recipe
    pairs: int
    """Training pairs per epoch."""
    steps: int
    tokens: float
    """Prompt and response tokens of all epochs."""
    flops: float
    gpus: int
    """GPUs that the training rule requests."""
    basis: str
    """Source of the lengths: `token cache` or `estimated`."""

    def hours(self, gpu: GpuModel) -> float:
        """Estimated GPU-hours."""
        speed = GPUS[gpu.name]
        work = self.architecture, self.parameters, self.tokens, self.flops
        return training_seconds(speed, *work) / 3600

    def advice(self, gpu: GpuModel) -> str:
        """Settings needed to fit the training on a GPU; `fits` if none are needed."""
        recipe = self.recipe
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
        recipe = self.recipe
        shares = self.gpus if recipe.shard_optimizer else 1
        return self._gigabytes(shares, _tokens_at_once(recipe), recipe.gradient_checkpointing)

    def _gigabytes(self, shares: int, tokens: int, checkpointing: bool) -> float:
        """Weights, gradients, 16-bit copy, optimizer states, activations and the rest, in GB."""
        state = (4 + 4 + 2 + 8 / shares) * self.parameters
        layers = _activation_bytes(self.parameters) * (0.1 if checkpointing else 1.0)
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
        results: folder of results; its token caches replace estimates.
    """
    lengths = published_lengths()
    for student in flow.trained_students:
        definition, recipe = flow.config.models[student], flow.config.recipe(student)
        folder = within(results, flow.tokenized(student, TOKENIZED))
        made = (folder / MANIFEST).exists()
        if made:
            pairs, prompt, response = _counted(folder, recipe)
        else:
            pairs, prompt, response = _estimated(flow, student, recipe, lengths)
        passes = recipe.epochs * definition.parameters * 6
        work = passes * (prompt + response)
        yield StudentPlan(
            model=student,
            architecture=definition.architecture,
            parameters=definition.parameters,
            recipe=recipe,
            pairs=pairs,
            steps=StepPlan(np.arange(pairs), recipe).steps,
            tokens=recipe.epochs * (prompt + response),
            flops=work / 2 if definition.architecture == "encoder-decoder" else work,
            gpus=flow.training_gpus(student),
            basis="token cache" if made else "estimated",
        )


@functools.lru_cache(maxsize=32)
def _counted(folder: Path, recipe: Recipe) -> tuple[int, float, float]:
    """Numbers of training pairs, prompt and response tokens of a recipe, from a token cache."""
    cache = TokenCache(folder)
    training = select_pairs(cache, recipe).training
    prompt, response = cache.prompt_lengths[training], cache.response_lengths[training]
    return len(training), float(prompt.sum()), float(response.sum())


def _estimated(
    flow: Workflow, student: str, recipe: Recipe, lengths: dict[str, Lengths]
) -> tuple[int, float, float]:
    """Same values, estimated from the sizes of the sources and the mean lengths in Table 1."""
    definition = flow.config.models[student]
    form = flow.config.tokenizers[definition.tokenizer].prompt_format
    sources = flow.config.mixtures[definition.mixture].sources
    samples = {source: flow.source(source).samples for source in sources}
    count = sum(samples.values())
    ends = definition.architecture == "encoder-decoder"  # its prompts have an end token too
    fixed = estimated_tokens(render_prompt(form, "")) + ends
    prompt, response = (
        sum(n * getattr(lengths.get(source, lengths[""]), part) for source, n in samples.items())
        for part in ("instruction", "response")
    )
    pairs = max(count - recipe.held_out_pairs, 1)
    share = pairs / count
    return pairs, share * (prompt + count * fixed), share * (response + count)
