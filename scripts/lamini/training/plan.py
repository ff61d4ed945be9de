"""Which pairs make up each optimiser step: a function of seed, epoch and step alone.

A run that goes on from step N computes N's pairs by index; nothing is skipped through, and the
number of devices has no part in it.
"""

import functools
import math

import numpy as np

from lamini.files import derive_seed
from lamini.settings.students import Recipe
from lamini.students.token_cache import Integers


class StepPlan:
    """The steps of a run.

    A step takes the next `batch_pairs` pairs of its epoch's permutation; the last step of an epoch
    takes what is left of it.

    Args:
        training: the pairs that are trained on.
        recipe: batch size, epochs and seed.
    """

    def __init__(self, training: Integers, recipe: Recipe) -> None:
        self._training, self._recipe = training, recipe
        self.steps_per_epoch = math.ceil(len(training) / recipe.batch_pairs)
        self.steps = math.ceil(recipe.epochs * self.steps_per_epoch)

    def pairs(self, step: int) -> Integers:
        """The pairs of a step (counted from 0), in the order of the permutation."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        size = self._recipe.batch_pairs
        return self._permutation(epoch)[inside * size : (inside + 1) * size]

    def ends_epoch(self, step: int) -> bool:
        """Whether an epoch, or the run, is over after this step."""
        return (step + 1) % self.steps_per_epoch == 0 or step + 1 == self.steps

    @functools.lru_cache(maxsize=2)  # noqa: B019 -- a plan lives as long as its process
    def _permutation(self, epoch: int) -> Integers:
        seed = derive_seed("step_plan", self._recipe.seed, epoch)
        return np.random.default_rng(seed).permutation(self._training)


def pair_weights(supervised: Integers, recipe: Recipe) -> np.ndarray:
    """The weight of each supervised token of each pair in a step's loss.

    The loss of a step is the sum over its supervised tokens of weight times cross-entropy. As the
    weights are fixed before the pairs are laid out, no layout can change the loss.

    Args:
        supervised: supervised tokens of the step's pairs, in the order of the permutation.
        recipe: `token_mean`: the mean over all tokens; `micro_batch_mean`: the mean over groups of
            `micro_batch_pairs` consecutive pairs of each group's mean, which is what gradient
            accumulation computed in 2023.

    Returns:
        Weights, shape (pairs,); the sum of weight times supervised tokens is one.
    """
    if recipe.loss_reduction == "token_mean":
        return np.full(len(supervised), 1.0 / supervised.sum())
    starts = np.arange(0, len(supervised), recipe.micro_batch_pairs)
    tokens = np.add.reduceat(supervised, starts)
    group = np.arange(len(supervised)) // recipe.micro_batch_pairs
    return 1.0 / (len(starts) * tokens[group])
