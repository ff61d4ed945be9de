"""Fitting of a sweep: means with both kinds of chance, the law of size, comparisons."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from lamini.errors import LaminiError
from lamini.evaluation.comparison import holm
from lamini.evaluation.conditions import conditions_of, differing, same_examples
from lamini.evaluation.results import EvaluationResult, ResultsByModel
from lamini.files import listed
from lamini.paths import EVALUATION
from lamini.settings.params.students import FitSweep, SweepPoint
from lamini.sweeps.law import Law
from lamini.sweeps.results import (
    Compared,
    FittedLaw,
    HeldBack,
    Measure,
    SizeMeans,
    SweepResult,
    Trained,
)
from lamini.sweeps.two_levels import TwoLevelMean, ValuesByTask, two_level_mean
from lamini.training.manifest import TrainingManifest

Group = tuple[str, str]
"""A student and a mixture."""
CURVE_POINTS = 60


def fit_sweep(
    *,
    manifests: str | Iterable[str],
    evals: str | Iterable[str] | None,
    fitted: str | Path,
    settings: FitSweep,
) -> None:
    """Fit a sweep and write its results.

    Args:
        manifests: manifests of the trained students, in the order of the points.
        evals: evaluation results of the students; none without tasks.
        fitted: path of the JSON file to write (`SweepResult`).
        settings: the students of the sweep and its tasks.

    Raises:
        LaminiError: if two results of one task have other examples.
    """
    results: dict[str, dict[str, EvaluationResult]] = {}
    for path in listed(evals):
        result = EvaluationResult.read(path)
        results.setdefault(result.model, {})[result.task] = result
    trained = [
        _trained(point, TrainingManifest.read(path), results.get(point.model), settings.tasks)
        for point, path in zip(settings.points, listed(manifests), strict=True)
    ]
    groups = {(p.student, p.mixture): None for p in settings.points}
    values = {group: _values(settings, group, results) for group in groups}
    SweepResult(
        tasks=settings.tasks,
        trained=trained,
        sizes=[size for group in groups for size in _sizes(group, trained, values[group])],
        laws=[
            law
            for group in groups
            for measure in _MEASURES
            if (law := fit_law(group, measure, trained)) is not None
        ],
        compared=_compared(settings, results, values),
    ).write(fitted)


_MEASURES: tuple[Measure, ...] = ("score", "held_out_loss")


def _trained(
    point: SweepPoint,
    manifest: TrainingManifest,
    results: Mapping[str, EvaluationResult] | None,
    tasks: Sequence[str],
) -> Trained:
    return Trained(
        student=point.student,
        mixture=point.mixture,
        samples=point.samples,
        seed=point.seed,
        pairs=manifest.pairs_used,
        score=fmean(results[task].score for task in tasks) if results else None,
        held_out_loss=manifest.held_out_after,
    )


def _values(settings: FitSweep, group: Group, results: ResultsByModel) -> dict[float, ValuesByTask]:
    """Metric of each example at each size of a student; none without tasks."""
    values: dict[float, ValuesByTask] = {}
    here = [p for p in settings.points if (p.student, p.mixture) == group]
    for share in sorted({point.samples for point in here}) if settings.tasks else ():
        models = [point.model for point in here if point.samples == share]
        tables = {}
        for task in settings.tasks:
            first = results[models[0]][task]
            for model in models:
                if not same_examples(first, results[model][task]):
                    path = EVALUATION.format(model=model, task=task)
                    raise LaminiError(
                        f"{path}: other examples than those of {models[0]}; delete the results of"
                        " both, and run the same command again"
                    )
            tables[task] = np.array([results[model][task].values for model in models])
        values[share] = tables
    return values


def _sizes(
    group: Group, trained: Sequence[Trained], values: dict[float, ValuesByTask]
) -> Iterable[SizeMeans]:
    here = [t for t in trained if (t.student, t.mixture) == group]
    for share in sorted({t.samples for t in here}):
        seeds = [t for t in here if t.samples == share]
        losses = [t.held_out_loss for t in seeds if t.held_out_loss is not None]
        mean = _mean(values, share) if values else None
        yield SizeMeans(
            student=group[0],
            mixture=group[1],
            samples=share,
            pairs=fmean(t.pairs for t in seeds),
            seeds=len(seeds),
            score=mean.mean if mean else None,
            interval=mean.interval if mean else None,
            seed_deviation=mean.seed_deviation if mean else None,
            example_error=mean.example_error if mean else None,
            held_out_loss=fmean(losses) if losses else None,
            loss_deviation=stdev(losses) if len(losses) > 1 else None,
        )


def _mean(values: Mapping[float, ValuesByTask], share: float) -> TwoLevelMean:
    return two_level_mean(values[share], [v for other, v in values.items() if other != share])


def fit_law(group: Group, measure: Measure, trained: Sequence[Trained]) -> FittedLaw | None:
    """The law of a student; None with too few sizes or trainings, or without the measure.

    The largest size is also predicted from the smaller ones, if a law fits them alone.
    """
    here = [
        (t, value)
        for t in trained
        if (t.student, t.mixture) == group and (value := getattr(t, measure)) is not None
    ]
    try:
        law = Law([t.pairs for t, _ in here], [value for _, value in here])
    except ValueError:
        return None
    a, b, c = law.parameters
    pairs = [t.pairs for t, _ in here]
    curve = [(float(n), law.predict(n)) for n in np.geomspace(min(pairs), max(pairs), CURVE_POINTS)]
    return FittedLaw(
        student=group[0],
        mixture=group[1],
        measure=measure,
        a=a,
        b=b,
        c=c,
        deviation=law.deviation,
        curve=[(n, at.value, at.low, at.high) for n, at in curve],
        held_back=_held_back(here),
    )


def _held_back(here: Sequence[tuple[Trained, float]]) -> HeldBack | None:
    largest = max(t.samples for t, _ in here)
    left = [(t.pairs, value) for t, value in here if t.samples < largest]
    try:
        law = Law(*zip(*left, strict=True))
    except ValueError:
        return None
    held = [(t.pairs, value) for t, value in here if t.samples == largest]
    pairs = fmean(pairs for pairs, _ in held)
    prediction = law.predict(pairs, seeds=len(held))
    return HeldBack(
        samples=largest,
        pairs=pairs,
        predicted=prediction.value,
        interval=(prediction.low, prediction.high),
        measured=fmean(value for _, value in held),
    )


def _compared(
    settings: FitSweep, results: ResultsByModel, values: dict[Group, dict[float, ValuesByTask]]
) -> list[Compared]:
    """Students on one mixture, and mixtures of one student, at the largest size."""
    if not settings.tasks:
        return []
    largest = max(point.samples for point in settings.points)
    models = {
        (p.student, p.mixture): results[p.model] for p in settings.points if p.samples == largest
    }
    pairs = [
        _compare(first, second, largest, values, models)
        for first, second in combinations(values, 2)
        if first[0] == second[0] or first[1] == second[1]
    ]
    corrected = iter(holm([pair.p_value for pair in pairs if pair.p_value is not None]))
    return [
        pair if pair.p_value is None else pair.model_copy(update={"p_holm": next(corrected)})
        for pair in pairs
    ]


def _compare(
    first: Group,
    second: Group,
    largest: float,
    values: dict[Group, dict[float, ValuesByTask]],
    models: dict[Group, Mapping[str, EvaluationResult]],
) -> Compared:
    both = [(models[first][task], models[second][task]) for task in models[first]]
    conditions = [each for a, b in both for each in differing(conditions_of(b), conditions_of(a))]
    mean = None
    if all(same_examples(a, b) for a, b in both):
        differences = {
            size: {task: here - values[second][size][task] for task, here in tables.items()}
            for size, tables in values[first].items()
        }
        mean = _mean(differences, largest)
        if mean.mean < 0:
            return _compare(second, first, largest, values, models)
    return Compared(
        first=first,
        second=second,
        differing=list(dict.fromkeys(conditions)),
        difference=mean.mean if mean else None,
        interval=mean.interval if mean else None,
        p_value=mean.p_value if mean else None,
        p_holm=None,
        seed_deviation=mean.seed_deviation if mean else None,
        example_error=mean.example_error if mean else None,
    )
