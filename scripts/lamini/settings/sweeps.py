"""Settings of sweeps: students trained on several sizes of the data, with several seeds.

Each combination of student, mixture, size and seed is a student of its own, with a name that does
not depend on the sweep: two sweeps share the students that both have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import Field, model_validator

from lamini.settings.base import Name, Settings, Version
from lamini.settings.students import Model, Recipe


class Sweep(Settings):
    """Students trained on several sizes of the data, with several seeds, on several mixtures."""

    students: Annotated[list[Name], Field(min_length=1)]
    """Students; each is trained at all sizes, with all seeds and on all mixtures."""
    samples: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)]
    """Sizes, as shares of the training pairs; a smaller one is part of a larger one of the same
    seed. A size needs no new requests and no new tokenization."""
    seeds: Annotated[list[int], Field(min_length=1)]
    """Seeds, in place of that of the recipe; the held-out pairs stay those of the recipe's seed."""
    mixtures: list[Name] = []
    """Mixtures to train on; empty: that of each student."""
    tasks: list[Name] | None = None
    """Tasks among `evaluated_tasks` on which the students are evaluated; null: all of them; empty:
    only the held-out loss is compared."""
    error: Annotated[float, Field(gt=0)] = 1.0
    """Wanted half-width of the 95 % interval of the score at the largest size, in points;
    `make plan` shows the cheapest part of the sweep that reaches it."""
    seed_deviation: Annotated[float, Field(gt=0)] = 0.5
    """Standard deviation of the mean score between seeds, in points, that `make plan` assumes."""
    version: Version = 1

    @model_validator(mode="after")
    def _each_once(self) -> "Sweep":
        for key in ("students", "samples", "seeds", "mixtures", "tasks"):
            values = getattr(self, key) or []
            if repeated := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"`{key}` has {repeated[0]} twice")
        return self


@dataclass(frozen=True)
class Point:
    """A student of a sweep."""

    key: str
    """Its name in the configuration."""
    student: str
    """The student of `sweeps.{name}.students`."""
    mixture: str
    samples: float
    """Share of the training pairs."""
    seed: int


def sweep_points(
    sweep: Sweep, models: Mapping[str, Model], recipes: Mapping[str, Recipe]
) -> list[Point]:
    """The students of a sweep, by student, mixture, size (ascending) and seed.

    The student itself is the point with all pairs, its own mixture and its recipe's seed. Names
    that are no student's are left out; the configuration refuses them.

    Args:
        sweep: the sweep.
        models: definitions of all models.
        recipes: the recipe of each student, with its changes.
    """
    points = []
    for student in (name for name in sweep.students if name in recipes):
        own = models[student].mixture
        for mixture, share, seed in product(
            sweep.mixtures or [own], sorted(sweep.samples), sweep.seeds
        ):
            itself = (mixture, share, seed) == (own, 1, recipes[student].seed)
            parts = [student, *([mixture] if mixture != own else [])]
            key = ".".join([*parts, f"samples{share:.12g}", f"seed{seed}"])
            points.append(Point(student if itself else key, student, mixture, share, seed))
    return points


def swept_model(point: Point, model: Model, recipe: Recipe) -> Model:
    """Definition of a point that is not the student itself.

    Args:
        point: the point.
        model: definition of its student.
        recipe: the student's recipe, with its changes.
    """
    changes: dict[str, Any] = {}
    if point.samples < 1:
        changes["samples"] = point.samples
    if point.seed != recipe.seed:
        held_out = recipe.seed if recipe.held_out_seed is None else recipe.held_out_seed
        changes |= {"seed": point.seed, "held_out_seed": held_out}
    told = [
        *([point.mixture] if point.mixture != model.mixture else []),
        f"{100 * point.samples:.12g} %",
        f"seed {point.seed}",
    ]
    return model.model_copy(
        update={
            "name": ", ".join([model.name, *told]),
            "mixture": point.mixture,
            "recipe_changes": model.recipe_changes | changes,
            "published_as": None,
            "published_revision": None,
            "recommended": False,
        }
    )
