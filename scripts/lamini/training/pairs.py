"""Pairs of a run and of each of its optimizer steps.

`select_pairs` splits the pairs into training, held-out and excluded ones. `StepPlan` gives the
pairs of each step, a function of seed, epoch and step only: a run that resumes at step N computes
the pairs of N directly, without reading earlier steps, and the number of devices has no effect.
"""

import functools
import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamini.arrays import Integers
from lamini.errors import LaminiError
from lamini.files import derive_seed, read_jsonl
from lamini.settings.students import Recipe
from lamini.students.token_cache import UNUSABLE, TokenCache

logger = logging.getLogger("lamini")


@dataclass(frozen=True)
class Selection:
    """Training, held-out and excluded pairs, as rows of the token cache."""

    training: Integers
    held_out: Integers
    left_out: list[dict[str, Any]]
    """Pair, reason and lengths of each excluded pair."""

    def counts(self) -> dict[str, int]:
        """Number of excluded pairs by reason."""
        reasons = sorted({item["reason"] for item in self.left_out})
        return {r: sum(item["reason"] == r for item in self.left_out) for r in reasons}


def select_pairs(cache: TokenCache, recipe: Recipe) -> Selection:
    """Exclude unusable pairs and draw the held-out pairs with the recipe's seed.

    The answers of one conversation are all held out, or none of them.

    Raises:
        LaminiError: when no pair is left to train on.
    """
    prompts, responses = cache.prompt_lengths, cache.response_lengths
    reasons = np.full(len(cache), "", dtype="U17")
    reasons[responses > recipe.max_response_tokens] = "response_too_long"
    reasons[prompts > recipe.max_prompt_tokens] = "prompt_too_long"
    for row in read_jsonl(cache.folder / UNUSABLE):
        reasons[row["pair"]] = row["reason"]
    usable = np.flatnonzero(reasons == "")
    conversations = cache.conversations[usable]
    drawn = np.unique(conversations)
    if len(drawn) <= recipe.held_out_pairs:
        raise LaminiError(
            f"{cache.folder}: {len(drawn)} of {cache.dataset_rows} pairs can be trained on, and"
            f" held_out_pairs is {recipe.held_out_pairs}: nothing is left; lower held_out_pairs or"
            " raise max_prompt_tokens and max_response_tokens"
        )
    generator = np.random.default_rng(derive_seed("held_out_pairs", recipe.seed))
    held_out = np.isin(conversations, generator.permutation(drawn)[: recipe.held_out_pairs])
    left_out = [
        {
            "pair": int(pair),
            "reason": str(reasons[pair]),
            "prompt_tokens": int(prompts[pair]),
            "response_tokens": int(responses[pair]),
        }
        for pair in np.flatnonzero(reasons != "")
    ]
    selection = Selection(
        training=usable[~held_out],
        held_out=usable[held_out],
        left_out=left_out,
    )
    logger.info(
        "%d training pairs, %d held-out pairs, excluded: %s",
        len(selection.training),
        len(selection.held_out),
        selection.counts() or "none",
    )
    return selection


class StepPlan:
    """Assignment of pairs to the steps of a run.

    A step takes the next `batch_pairs` pairs of its epoch's permutation. The last step of an epoch
    takes the remaining pairs.

    Args:
        training: training pairs, as rows of the token cache.
        recipe: batch size, epochs and seed.
    """

    def __init__(self, training: Integers, recipe: Recipe) -> None:
        self._training, self._recipe = training, recipe
        self.steps_per_epoch = math.ceil(len(training) / recipe.batch_pairs)
        self.steps = math.ceil(recipe.epochs * self.steps_per_epoch)

    def pairs(self, step: int) -> Integers:
        """Pairs of a step (counted from 0), in the order of the epoch's permutation."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        size = self._recipe.batch_pairs
        return self._permutation(epoch)[inside * size : (inside + 1) * size]

    def ends_epoch(self, step: int) -> bool:
        """Whether this step (counted from 0) is the last of its epoch or of the run."""
        return (step + 1) % self.steps_per_epoch == 0 or step + 1 == self.steps

    @functools.lru_cache(maxsize=2)  # noqa: B019 -- a plan lives as long as its process
    def _permutation(self, epoch: int) -> Integers:
        seed = derive_seed("step_plan", self._recipe.seed, epoch)
        return np.random.default_rng(seed).permutation(self._training)


def pair_weights(supervised: Integers, recipe: Recipe) -> np.ndarray:
    """Loss weight of each pair's supervised tokens in a step.

    The loss of a step is the sum of weight times cross-entropy over its supervised tokens. The
    weights are computed before the layout, so the layout does not change the loss.

    Args:
        supervised: number of supervised tokens of each pair of the step, in the order of the
            permutation. Shape (pairs,).
        recipe: its `loss_reduction`. `token_mean`: mean over all tokens. `micro_batch_mean`: mean
            token loss of each group of `micro_batch_pairs` consecutive pairs, averaged over groups,
            as gradient accumulation did in 2023.

    Returns:
        Weights, shape (pairs,); the sum of weight times supervised tokens is one.
    """
    if recipe.loss_reduction == "token_mean":
        return np.full(len(supervised), 1.0 / supervised.sum())
    starts = np.arange(0, len(supervised), recipe.micro_batch_pairs)
    tokens = np.add.reduceat(supervised, starts)
    group = np.arange(len(supervised)) // recipe.micro_batch_pairs
    return 1.0 / (len(starts) * tokens[group])
