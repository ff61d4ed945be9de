"""Tables 4 and 8 to 13: scores on the downstream tasks, ours and the paper's."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from lamini.catalogue.params.evaluation import ScoresParams, TasksParams
from lamini.evaluation.bootstrap import Interval
from lamini.evaluation.conditions import (
    Conditions,
    conditions_of,
    differing,
    published_conditions,
    usual_conditions,
)
from lamini.evaluation.results import EvaluationResult
from lamini.tables.chance import one_seed_note
from lamini.tables.footnotes import NOT_COMPARABLE, Footnotes
from lamini.tables.published import published_models, published_scores
from lamini.tables.row_records import eval_files
from lamini.tables.table import Cell, Table, text_cell

Scores = dict[str, EvaluationResult]


def read_scores(paths: Iterable[str | Path]) -> dict[str, Scores]:
    """Evaluation results by model and task."""
    results: dict[str, Scores] = {}
    for path in paths:
        result = EvaluationResult.read(path)
        results.setdefault(result.model, {})[result.task] = result
    return results


def average(scores: Iterable[float | None]) -> float | None:
    """Unweighted mean over tasks, as in the paper; None without tasks or if a score is missing."""
    values = list(scores)
    if not values or any(value is None for value in values):
        return None
    return math.fsum(value for value in values if value is not None) / len(values)


def scores_table(published: Path, params: ScoresParams, evals: Sequence[Path] = ()) -> Table:
    """Table of scores: per model our score, the published score, and the difference.

    Args:
        published: CSV of published scores.
        params: our models, published models and tasks of the table.
        evals: evaluation results of our models.
    """
    results = read_scores(evals)
    paper = published_scores(published)
    sizes = {m["model"]: m["params"] for m in published_models(published)}
    ours = {model.name: model for model in params.models}
    usual = {
        name: usual_conditions(results[model.key][key] for model in ours.values())
        for key, name in params.tasks.items()
        if ours
    }
    among_ours, against_paper = (
        Footnotes("most models of this table"),
        Footnotes("the published score"),
    )
    rows: list[list[Cell]] = []
    row_files: list[list[str]] = []
    for model in [*(n for n in ours if n not in paper), *params.published_models]:
        theirs = paper.get(model)
        if model in ours:
            scores = {name: results[ours[model].key][key] for key, name in params.tasks.items()}
            size = sizes.get(model) or _size(ours[model].parameters)
            rows.append(_our_row(model, size, scores, usual, among_ours))
        if theirs is not None:
            values = [theirs.get(task) for task in params.tasks.values()]
            rows.append(_row(model, sizes[model], "published", values))
        if model in ours and theirs is not None:
            rows.append(_differences(model, sizes[model], scores, theirs, against_paper))
        files = eval_files([ours[model].key], params.tasks) if model in ours else []
        row_files += [
            [] if row[2].value == "published" else files for row in rows[len(row_files) :]
        ]
    notes = ["Average is the unweighted mean of the tasks.", one_seed_note()]
    if not any(model in paper for model in ours):
        notes.append("None of the paper's models took part in this run; theirs are as published.")
    else:
        notes.append("° the published score lies within the 95 % interval of ours.")
        notes.append("A difference's interval is that of our score: the published has none.")
    return Table(
        columns=["Model", "Parameters", "Score", *params.tasks.values(), "Average"],
        rows=rows,
        notes=[*notes, *among_ours.notes(), *against_paper.notes()],
        row_files=row_files,
    )


def _size(parameters: int) -> str:
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def _row(model: str, size: str, kind: str, values: list[float | None]) -> list[Cell]:
    cells = [Cell(value, digits=1) for value in [*values, average(values)]]
    return [text_cell(model), text_cell(size), text_cell(kind), *cells]


def _our_row(
    model: str, size: str, scores: Scores, usual: dict[str, Conditions], footnotes: Footnotes
) -> list[Cell]:
    """Our scores of one model and their average, with confidence intervals."""
    cells = [
        Cell(
            result.score,
            ours=True,
            digits=1,
            suffix=footnotes.suffix(
                f"{model}, {task}", differing(usual[task], conditions_of(result))
            ),
            interval=result.interval,
        )
        for task, result in scores.items()
    ]
    results = list(scores.values())
    mean = average(result.score for result in results)
    cells.append(
        Cell(mean, ours=True, digits=1, suffix=_any_mark(cells), interval=average_interval(results))
    )
    return [text_cell(model), text_cell(size), text_cell("ours"), *cells]


def _any_mark(cells: Sequence[Cell]) -> str:
    return NOT_COMPARABLE if any(NOT_COMPARABLE in cell.suffix for cell in cells) else ""


def average_interval(results: Sequence[EvaluationResult]) -> Interval | None:
    """95 % confidence interval of an average over tasks; None if a score or interval is missing.

    The tasks' errors are independent. Their intervals are combined by Zou and Donner's method
    (2008, Stat. Med. 27, 1693): it adds the squared distances from score to interval end, for each
    side.

    Args:
        results: one result per task.
    """
    mean = average(result.score for result in results)
    intervals = [result.interval for result in results]
    if mean is None or any(interval is None for interval in intervals):
        return None
    distances = [
        [abs(end - result.score) for end in interval]
        for result, interval in zip(results, intervals, strict=True)
        if interval is not None
    ]
    below, above = (math.hypot(*side) / len(results) for side in zip(*distances, strict=True))
    return mean - below, mean + above


def _differences(
    model: str, size: str, scores: Scores, theirs: dict[str, float], footnotes: Footnotes
) -> list[Cell]:
    """Our score minus the published one; ° if the published score is inside our interval."""
    cells = []
    for task, result in scores.items():
        differences = differing(published_conditions(result), conditions_of(result))
        unlike = footnotes.suffix(f"{model}, {task}", differences) if task in theirs else ""
        cells.append(_difference(result.score, theirs.get(task), result.interval, unlike))
    ours = list(scores.values())
    mean = average(result.score for result in ours)
    published = average(theirs.get(name) for name in scores)
    cells.append(_difference(mean, published, average_interval(ours), _any_mark(cells)))
    return [text_cell(model), text_cell(size), text_cell("difference"), *cells]


def _difference(
    ours: float | None, theirs: float | None, interval: Interval | None, unlike: str
) -> Cell:
    if ours is None or theirs is None:
        return Cell(None)
    within = interval is not None and interval[0] <= theirs <= interval[1]
    return Cell(
        ours - theirs,
        ours=True,
        digits=1,
        signed=True,
        suffix=("°" if within else "") + unlike,
        interval=None if interval is None else (interval[0] - theirs, interval[1] - theirs),
    )


def tasks_table(params: TasksParams, evals: Sequence[Path] = ()) -> Table:
    """Table 8: tasks, metrics, published sizes, and number of examples evaluated in this run."""
    results = read_scores(evals)
    evaluated = next(iter(results.values()), {})
    names = {"acc": "accuracy", "acc_norm": "accuracy, length-normalised", "f1": "F1"}
    rows = [
        [
            text_cell(task.category),
            text_cell(task.name),
            text_cell(names.get(task.metric, task.metric)),
            Cell(task.examples),
            Cell(evaluated[key].examples if key in evaluated else None, ours=True),
            text_cell(evaluated[key].data.source if key in evaluated else None),
        ]
        for key, task in params.tasks.items()
    ]
    shots = {
        task.name: evaluated[key].num_fewshot
        for key, task in params.tasks.items()
        if key in evaluated and evaluated[key].num_fewshot
    }
    solved = ", ".join(f"{name}: {number}" for name, number in shots.items())
    other = f"Solved examples before each question: {solved}; the other tasks are zero-shot."
    return Table(
        columns=["Category", "Task", "Metric", "Published size", "This run", "Data from"],
        rows=rows,
        notes=[
            f"{other if shots else 'All tasks are zero-shot.'}"
            " A size that differs from the published one shows here."
        ],
        row_files=[eval_files(list(results)[:1], [key]) for key in params.tasks],
    )
