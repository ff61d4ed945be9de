"""Comparisons of two models on the same examples, with every kind of chance that the run measured.

A student that a sweep trains with several seeds is compared by the sweep's mixed model, which has
the variance between seeds beside that between examples. A student that was trained once is compared
by its examples alone.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lamini.catalogue.params.common import ModelPair, SeedRuns
from lamini.evaluation.comparison import Comparison, compare
from lamini.evaluation.conditions import same_examples
from lamini.evaluation.results import EvaluationResult, ResultsByModel
from lamini.sweeps.two_levels import TwoLevelMean, ValuesByTask, two_level_mean


def _all_values(result: EvaluationResult) -> Sequence[float]:
    return result.values


def compare_pair(
    results: ResultsByModel,
    pair: ModelPair,
    task: str,
    seed: int,
    values: Callable[[EvaluationResult], Sequence[float]] = _all_values,
) -> Comparison | None:
    """Compare a student with its baseline on one task; None if their examples differ.

    Args:
        results: of both, and of the trainings with other seeds.
        pair: the student and its baseline.
        task: key of the task.
        seed: of the sign permutations.
        values: selects the compared values of a result.
    """
    after, before = results[pair.student.key][task], results[pair.baseline.key][task]
    if not same_examples(before, after):
        return None
    mean = with_seeds(results, (pair.student.key, pair.baseline.key), pair.seeds, [task], values)
    if mean is None or mean.p_value is None:
        return compare(values(before), values(after), seed)
    return Comparison(mean.mean, mean.interval, mean.p_value, "mixed model")


def with_seeds(
    results: ResultsByModel,
    pair: tuple[str, str],
    seeds: SeedRuns,
    tasks: Sequence[str],
    values: Callable[[EvaluationResult], Sequence[float]] = _all_values,
) -> TwoLevelMean | None:
    """The mean difference of two models, with seeds and examples as sources of chance.

    Args:
        results: of both, and of the trainings with other seeds.
        pair: keys of the student and of its baseline.
        seeds: the student's trainings with several seeds.
        tasks: keys of the tasks that the difference is averaged over.
        values: selects the compared values of a result.

    Returns:
        None if no size has several seeds that are evaluated on these tasks and examples.
    """
    own = {task: results[pair[0]][task] for task in tasks}

    def is_measured(run: tuple[str, str]) -> bool:
        return all(
            (result := results.get(key, {}).get(task)) and same_examples(own[task], result)
            for key in run
            for task in tasks
        )

    def differences(runs: Sequence[tuple[str, str]]) -> ValuesByTask:
        return {
            task: np.array(
                [
                    np.subtract(values(results[first][task]), values(results[second][task]))
                    for first, second in runs
                ]
            )
            for task in tasks
        }

    measured = [[run for run in size if is_measured(run)] for size in seeds]
    sizes = [size for size in measured if len(size) > 1]
    if not sizes or not is_measured(pair):
        return None
    return two_level_mean(differences([pair]), [differences(size) for size in sizes])


def one_seed_note(sample: str = "examples") -> str:
    """Note of intervals of students that are shown as they were trained once."""
    return (
        f"Intervals are of the {sample} alone: how much another seed of a student's training would"
        " change is not in them."
    )


def chance_notes(seeds: Iterable[SeedRuns]) -> list[str]:
    """What the intervals of some comparisons cover.

    Args:
        seeds: the trainings of each compared student with several seeds.
    """
    repeated = [bool(runs) for runs in seeds]
    if not any(repeated):
        return [one_seed_note()]
    return [
        "The interval of a student that a sweep trains with several seeds is that of a mixed model"
        " with seeds and examples as random factors: this student is one of all its seeds, and the"
        " variance between seeds is that of all sizes of the sweep.",
        *([] if all(repeated) else [f"Other students: {one_seed_note()}"]),
    ]
