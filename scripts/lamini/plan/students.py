"""Steps, floating-point operations, GPU-hours and memory of each student's training.

Operations are six for each weight and token that passes it, forward and backward. In a decoder-only
model that is every weight and token; of an encoder-decoder about one half of the weights sees the
prompts, the other the responses. Attention scores are left out: below three percent here.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lamini.plan.tokens import Lengths, estimated_tokens, published_lengths
from lamini.prompt_formats import render_prompt
from lamini.settings.students import Recipe
from lamini.students.token_cache import MANIFEST, TokenCache
from lamini.training.gpus import PEAKS
from lamini.training.pairs import StepPlan, select_pairs
from lamini.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU and what is asked of it."""

    name: str
    memory_gb: float
    utilisation: float
    """Share of its 16-bit peak that training reaches."""

    def hours(self, flops: float) -> float:
        """GPU-hours of so many operations."""
        return flops / (PEAKS[self.name] * self.utilisation) / 3600


CARDS = (Card("V100", 32, 0.4), Card("A100", 40, 0.5), Card("H100", 80, 0.5))
"""The cards of the paper's time, and one of today's."""


@dataclass(frozen=True, slots=True)
class StudentPlan:
    """What training one student takes."""

    model: str
    parameters: int
    recipe: Recipe
    pairs: int
    """Trained on in an epoch."""
    steps: int
    tokens: float
    """Prompt and response tokens of all epochs."""
    flops: float
    gpus: int
    """Of its job, as the rule asks for them."""
    basis: str
    """`token cache` or `estimated`."""

    def advice(self, card: Card) -> str:
        """What must be set for the model to fit on a card; `fits` when nothing."""
        recipe = self.recipe
        most = recipe.tokens_per_micro_batch
        for checkpointing in (recipe.gradient_checkpointing, True):
            for tokens in (most, most // 2, most // 4):
                for shared in (recipe.shard_optimizer, True):
                    shares = self.gpus if shared else 1
                    if self._gigabytes(shares, tokens, checkpointing) <= card.memory_gb:
                        changed = (
                            "shard_optimizer" * (shared and not recipe.shard_optimizer),
                            f"{tokens} tokens" * (tokens < most),
                            "checkpointing" * (checkpointing and not recipe.gradient_checkpointing),
                        )
                        return ", ".join(filter(None, changed)) or "fits"
        return "too large"

    @property
    def gigabytes(self) -> float:
        """Memory in GB of each GPU with the recipe as it is."""
        recipe = self.recipe
        shares = self.gpus if recipe.shard_optimizer else 1
        return self._gigabytes(shares, recipe.tokens_per_micro_batch, recipe.gradient_checkpointing)

    def _gigabytes(self, shares: int, tokens: int, checkpointing: bool) -> float:
        """Weights, gradients and a 16-bit copy, the optimiser's share, activations, the rest."""
        state = (4 + 4 + 2 + 8 / shares) * self.parameters
        layers = _activation_bytes(self.parameters) * (0.1 if checkpointing else 1.0)
        return (state + tokens * (layers + _LOGIT_BYTES)) / 1e9 + _OTHER_GB


# Logits of the supervised third of 50k-token vocabularies, with their gradients.
_LOGIT_BYTES = 150e3
_OTHER_GB = 1.0  # the CUDA context and buffers


def _activation_bytes(parameters: int) -> float:
    """Activations of one token, in all layers, without attention scores.

    34 bytes for each unit of width and layer (Korthikanti et al. 2022). Width times layers follows
    from the parameters by what GPT-2's four sizes have; other families differ by up to a third.
    """
    return 34 * 9216 * (parameters / 124.4e6) ** 0.84


def planned_students(flow: Workflow, results: Path) -> Iterator[StudentPlan]:
    """The plan of each student.

    Args:
        flow: the configuration.
        results: the results folder, whose token caches are used where there are any.
    """
    lengths = published_lengths()
    for student in flow.config.students:
        definition, recipe = flow.config.models[student], flow.config.recipe(student)
        folder = results.parent / flow.tokenized(student)
        made = (folder / MANIFEST).exists()
        if made:
            pairs, prompt, response = _counted(folder, recipe)
        else:
            pairs, prompt, response = _estimated(flow, student, recipe, lengths)
        passes = recipe.epochs * definition.parameters * 6
        work = passes * (prompt + response)
        yield StudentPlan(
            model=student,
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
    """Pairs that a recipe trains on, and their prompt and response tokens, from a token cache."""
    cache = TokenCache(folder)
    training = select_pairs(cache, recipe).training
    prompt, response = cache.prompt_lengths[training], cache.response_lengths[training]
    return len(training), float(prompt.sum()), float(response.sum())


def _estimated(
    flow: Workflow, student: str, recipe: Recipe, lengths: dict[str, Lengths]
) -> tuple[int, float, float]:
    """As `_counted`, from the sources' sizes and Table 1; its tokens are taken for the model's."""
    definition = flow.config.models[student]
    form = flow.config.tokenizers[definition.tokenizer].prompt_format
    sources = flow.config.mixtures[definition.mixture].sources
    samples = {source: flow.source(source).samples for source in sources}
    count = sum(samples.values())
    ends = definition.architecture == "encoder-decoder"  # prompts, too, have an end token there
    fixed = estimated_tokens(render_prompt(form, "")) + ends
    prompt, response = (
        sum(n * getattr(lengths.get(source, lengths[""]), part) for source, n in samples.items())
        for part in ("instruction", "response")
    )
    pairs = max(count - recipe.held_out_pairs, 1)
    share = pairs / count
    return pairs, share * (prompt + count * fixed), share * (response + count)
