"""Averages over all tasks: gain of each student over its initialization, distance to references."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lamini.catalogue.params.common import ScoredModel
from lamini.catalogue.params.evaluation import AveragesParams
from lamini.evaluation.bootstrap import Interval
from lamini.evaluation.conditions import same_examples
from lamini.evaluation.results import NORMAL_95, EvaluationResult
from lamini.tables.chance import chance_notes, with_seeds
from lamini.tables.evaluation_tables import (
    Scores,
    average,
    average_interval,
    read_scores,
)
from lamini.tables.published import published_scores
from lamini.tables.reproduction_table import GROUPS
from lamini.tables.row_records import eval_files, swept_models
from lamini.tables.rows import cells, column, headings
from lamini.tables.table import Cell, Table

MILLION = 1e6


@dataclass(frozen=True)
class AverageRow:
    """A row of `averages_table`; after its columns there is one per reference model."""

    model: str = column("Model", ours=False)
    group: str = column("Models", ours=False)
    parameters: float = column("Parameters, M", ours=False, digits=1)
    average: float | None = column("Average", digits=1)
    initialization: str | None = column("Base model", ours=False)
    initial_average: float | None = column("Average of the base", digits=1)
    gain: float | None = column("Gain over the base", digits=1, signed=True)
    published: float | None = column("Published average", ours=False, digits=1)
    difference: float | None = column("Ours less published", digits=1, signed=True)


def averages_table(evals: list[Path], published: Path, params: AveragesParams) -> Table:
    """Average of each evaluated model, its gain, its distances, and the published average.

    Args:
        evals: evaluation results.
        published: CSV of published scores.
        params: models, the initialization of each student, reference models, and tasks.
    """
    results = read_scores(evals)
    theirs = _published_averages(published, params.tasks.values())
    names = {model.key: model.name for model in params.models}
    means = {key: average(r.score for r in _ordered(results[key], params)) for key in names}
    lines = [key for key in params.reference_lines if key in names]
    rows = []
    for model in params.models:
        initial = params.bases.get(model.key)
        made = _row(
            model,
            names[initial] if initial else None,
            means[initial] if initial else None,
            means[model.key],
            theirs,
        )
        shown = cells(made)
        shown[3] = replace(
            shown[3], interval=average_interval(_ordered(results[model.key], params))
        )
        if initial:
            interval = _gain_interval(results, initial, model.key, params)
            shown[6] = replace(shown[6], interval=interval)
        distances = [_less(means[model.key], means[k]) if k != model.key else None for k in lines]
        rows.append([*shown, *(Cell(d, ours=True, digits=1, signed=True) for d in distances)])
    return Table(
        columns=[*headings(AverageRow), *(f"Distance to {names[key]}" for key in lines)],
        rows=rows,
        notes=[
            "Average is the unweighted mean of the tasks, as in the paper.",
            "Gain: the student's average minus that of the model that it started from. Its interval"
            " is that of the differences example by example; – where the examples differ.",
            *chance_notes(params.seeds.get(student, []) for student in params.bases),
            "Distance: the average minus that of the reference model.",
        ],
        row_files=[eval_files(_models(model.key, params), params.tasks) for model in params.models],
    )


def _models(model: str, params: AveragesParams) -> list[str]:
    """Models whose results are in a model's row: itself, its initialization and its other seeds."""
    initial = [params.bases[model]] if model in params.bases else []
    return [model, *initial, *swept_models(params.seeds.get(model, []))]


def _row(
    model: ScoredModel,
    initialization: str | None,
    initial_average: float | None,
    mean: float | None,
    published: dict[str, float | None],
) -> AverageRow:
    theirs = published.get(model.name)
    return AverageRow(
        model=model.name,
        group=GROUPS[model.role],
        parameters=model.parameters / MILLION,
        average=mean,
        initialization=initialization,
        initial_average=initial_average,
        gain=_less(mean, initial_average),
        published=theirs,
        difference=_less(mean, theirs),
    )


def _published_averages(path: Path, tasks: Iterable[str]) -> dict[str, float | None]:
    """Published average of each model over the tasks of this run."""
    names = list(tasks)
    return {
        model: average(scores.get(name) for name in names)
        for model, scores in published_scores(path).items()
    }


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _ordered(scores: Scores, params: AveragesParams) -> list[EvaluationResult]:
    return [scores[task] for task in params.tasks]


def _gain_interval(
    results: Mapping[str, Scores], initialization: str, student: str, params: AveragesParams
) -> Interval | None:
    """Interval of a student's gain, with the chance of seeds if sweeps have several."""
    seeds = params.seeds.get(student, [])
    mean = with_seeds(results, (student, initialization), seeds, list(params.tasks))
    if mean is not None and mean.interval is not None:
        return mean.interval
    return gain_interval(*(_ordered(results[key], params) for key in (initialization, student)))


def gain_interval(
    before: Sequence[EvaluationResult], after: Sequence[EvaluationResult]
) -> Interval | None:
    """95 % interval of the gain in the average over tasks, by the normal approximation.

    Args:
        before: results of the initialization, one per task.
        after: results of the student, in the same order.
    """
    pairs = list(zip(before, after, strict=True))
    if not pairs or not all(
        same_examples(*pair) and len(pair[0].values) == len(pair[1].values) > 1 for pair in pairs
    ):
        return None
    differences = [np.subtract(last.values, first.values) for first, last in pairs]
    variances = [float(each.var(ddof=1)) / len(each) for each in differences]
    gain = 100 * math.fsum(float(each.mean()) for each in differences) / len(pairs)
    half = 100 * NORMAL_95 * math.sqrt(math.fsum(variances)) / len(pairs)
    return gain - half, gain + half
