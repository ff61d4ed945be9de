"""Simulated sweeps: students of a known law, known seeds and known examples."""

from dataclasses import dataclass

import numpy as np
from score_cases import result_file

from lamini.settings.params.students import FitSweep, SweepPoint
from lamini.sweeps.fit import fit_sweep
from lamini.training.manifest import InitialWeights, TrainingManifest

SIZES = np.array([2500.0, 10_000.0, 25_000.0, 75_000.0, 250_000.0])
Tables = dict[str, np.ndarray]
"""By task. Shape (seeds, examples)."""


@dataclass(frozen=True)
class Simulated:
    """What the sweeps are drawn from; scores in shares of 1."""

    a: float = 0.62
    b: float = -1.5
    c: float = 0.3
    seeds: int = 3
    deviation: float = 0.006
    """Standard deviation of a seed's effect at the largest size."""
    growth: float = 1.0
    """That at the smallest size, as a multiple; between them it changes with the size's log."""
    common: float = 0.0
    """Correlation of a seed's effects at two sizes."""
    tasks: int = 3
    examples: int = 400

    def law(self, sizes: np.ndarray) -> np.ndarray:
        return self.a + self.b * sizes ** (-self.c)

    def draw(self, generator: np.random.Generator, students: int) -> list[list[Tables]]:
        """Right and wrong answers of equal students; by student and size.

        An example is as hard for all students by `shared`, and for each student by `own`.
        """
        shape = (self.tasks, self.examples)
        shared = 0.15 * generator.choice([-1, 1], size=shape)
        place = np.log(SIZES / SIZES[-1]) / np.log(SIZES[0] / SIZES[-1])
        width = self.deviation * (1 + (self.growth - 1) * place)
        found = []
        for _ in range(students):
            own = shared + 0.1 * generator.choice([-1, 1], size=shape)
            always, alone = (generator.normal(size=(n, self.seeds)) for n in (1, len(SIZES)))
            effects = np.sqrt(self.common) * always + np.sqrt(1 - self.common) * alone
            means = self.law(SIZES)[:, None] + width[:, None] * effects
            chances = means[..., None, None] + own
            assert chances.min() > 0 and chances.max() < 1
            right = generator.random(chances.shape) < chances
            found.append(
                [
                    {f"task{t}": size[:, t].astype(float) for t in range(self.tasks)}
                    for size in right
                ]
            )
        return found


def scores(tables: Tables) -> np.ndarray:
    """Score of each seed, in points. Shape (seeds,)."""
    return 100 * np.mean([table.mean(axis=1) for table in tables.values()], axis=0)


@dataclass(frozen=True)
class Files:
    """Files of a simulated sweep, as the run has them."""

    manifests: list[str]
    evals: list[str]
    settings: FitSweep

    def fit(self, path: str = "sweep.json") -> str:
        """Fit the sweep; returns the path of its facts."""
        fit_sweep(manifests=self.manifests, evals=self.evals, fitted=path, settings=self.settings)
        return path


def write_files(
    simulated: dict[tuple[str, str], Simulated], *, tasks: bool = True, seed: int = 1
) -> Files:
    """Write a sweep's manifests and evaluation results into the current folder.

    Args:
        simulated: what each student on each mixture is drawn from.
        tasks: whether the students are evaluated.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    points, manifests, evals = [], [], []
    for (student, mixture), drawn in simulated.items():
        (tables,) = drawn.draw(generator, 1)
        losses = 1.9 + 9 * SIZES**-0.25
        for size, of_size, loss in zip(SIZES, tables, losses, strict=True):
            samples = float(size / SIZES[-1])
            for number in range(drawn.seeds):
                model = f"{student}.{mixture}.samples{samples:g}.seed{number}"
                point = {"student": student, "mixture": mixture, "samples": samples}
                points.append(SweepPoint(model=model, seed=number, **point))
                manifests.append(f"{model}.json")
                _manifest(model, int(size), float(loss + generator.normal(0, 0.01))).write(
                    manifests[-1]
                )
                for task, table in of_size.items() if tasks else ():
                    evals.append(result_file(model, task, values=table[number].tolist()))
    names = [f"task{number}" for number in range(next(iter(simulated.values())).tasks)]
    settings = FitSweep(points=points, tasks=names if tasks else [], version=1)
    return Files(manifests, evals, settings)


def _manifest(model: str, pairs: int, loss: float) -> TrainingManifest:
    return TrainingManifest(
        model=model,
        initialization=InitialWeights(path="start", revision=None),
        steps=9,
        loss_first=3.0,
        loss_last=2.0,
        held_out_before=5.0,
        held_out_after=loss,
        pairs_used=pairs,
        pairs_held_out=16,
        pairs_left_out={},
        supervised_tokens=1,
        tokens=2,
        dataset_sha256="0" * 64,
    )
