"""The learning rate of each step, computed as in the papers' training scripts."""

import math

from lamini.settings.students import Recipe


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of a step (counted from 0) in a run of `steps` steps.

    Warm-up takes `ceil(warmup_ratio * steps)` steps and starts at zero, as in transformers, with
    which Alpaca's published configuration was run.
    """
    warmup = math.ceil(recipe.warmup_ratio * steps)
    if step < warmup:
        return recipe.learning_rate * step / warmup
    done = (step - warmup) / max(1, steps - warmup)
    factor = {
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        "linear": 1 - done,
        "constant": 1.0,
    }[recipe.schedule]
    return recipe.learning_rate * factor
