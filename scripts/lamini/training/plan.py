"""Pairs of each optimiser step, a function of seed, epoch and step only.

A run that resumes at step N computes the pairs of N directly, without reading earlier steps. The
number of devices has no effect.
"""

import functools
import math

import numpy as np

from lamini.files import derive_seed
from lamini.settings.students import Recipe
from lamini.students.token_cache import Integers


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
