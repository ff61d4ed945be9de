"""Tables 4 and 8 to 13: scores of the models on the downstream tasks, ours beside the paper's."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from lamini.files import listed, read_json
from lamini.tables.published import published_models, published_scores
from lamini.tables.table import Cell, Table, text_cell

Params = dict[str, Any]
Inputs = dict[str, Any]
Scores = dict[str, dict[str, Any]]
NORMAL_95 = 1.959964
"""Standard errors from the mean to each end of a 95 % interval."""


def read_scores(paths: Iterable[str]) -> dict[str, Scores]:
    """Evaluation results by model and task."""
    results: dict[str, Scores] = {}
    for path in paths:
        result = read_json(path)
        results.setdefault(result["model"], {})[result["task"]] = result
    return results


def average(scores: Iterable[float | None]) -> float | None:
    """The unweighted mean that the paper's tables call average; None unless every task counts."""
    values = list(scores)
    if not values or any(value is None for value in values):
        return None
    return math.fsum(value for value in values if value is not None) / len(values)


def score_table(name: str, inputs: Inputs, params: Params) -> Table:
    """A table of scores: for each model ours, the published, and the difference.

    Args:
        name: table name.
        inputs: `evals` (JSON files), `published` (CSV of published scores).
        params: `title`, `models` (key, name, parameters of ours), `published_models` (names of
            published models shown besides), `tasks` (key to name), `reproduction`.
    """
    results = read_scores(listed(inputs.get("evals")))
    published = published_scores(inputs["published"])
    sizes = {m["model"]: m["params"] for m in published_models(inputs["published"])}
    tasks: dict[str, str] = params["tasks"]
    ours = {model["name"]: model for model in params["models"]}
    rows: list[list[Cell]] = []
    for model in [*(n for n in ours if n not in published), *params["published_models"]]:
        before = published.get(model)
        if model in ours:
            scores = results[ours[model]["key"]]
            size = sizes.get(model) or _size(ours[model]["parameters"])
            rows.append(_our_row(model, size, [scores[task] for task in tasks]))
        if before is not None:
            values = [before.get(task) for task in tasks.values()]
            rows.append(_row(model, sizes[model], "published", values))
        if model in ours and before is not None:
            rows.append(
                _differences(model, sizes[model], results[ours[model]["key"]], before, tasks)
            )
    notes = ["Average is the unweighted mean of the tasks."]
    if not any(model in published for model in ours):
        notes.append("None of the paper's models took part in this run; theirs are as published.")
    else:
        notes.append("° the published score lies within the 95 % interval of ours.")
        notes.append("A difference's interval is that of our score: the published has none.")
    return Table(
        name=name,
        title=params["title"],
        columns=["Model", "Parameters", "Score", *tasks.values(), "Average"],
        rows=rows,
        notes=notes,
        reproduction=params["reproduction"],
    )


def _size(parameters: int) -> str:
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def _row(model: str, size: str, kind: str, values: list[float | None]) -> list[Cell]:
    cells = [Cell(value, digits=1) for value in [*values, average(values)]]
    return [text_cell(model), text_cell(size), text_cell(kind), *cells]


def _our_row(model: str, size: str, results: list[dict[str, Any]]) -> list[Cell]:
    """Our scores of one model with their intervals, and their average with its own."""
    cells = [
        Cell(result["score"], ours=True, digits=1, interval=_interval(result)) for result in results
    ]
    mean = average(result["score"] for result in results)
    cells.append(Cell(mean, ours=True, digits=1, interval=average_interval(results)))
    return [text_cell(model), text_cell(size), text_cell("ours"), *cells]


def _interval(result: dict[str, Any]) -> tuple[float, float]:
    low, high = result["interval"]
    return low, high


def average_interval(results: Sequence[dict[str, Any]]) -> tuple[float, float] | None:
    """95 % interval of an average of tasks, whose errors are independent; None without a score.

    Args:
        results: evaluation results with `score` and `standard_error`, in points.
    """
    mean = average(result["score"] for result in results)
    if mean is None:
        return None
    error = math.sqrt(math.fsum(result["standard_error"] ** 2 for result in results)) / len(results)
    return mean - NORMAL_95 * error, mean + NORMAL_95 * error


def _differences(
    model: str, size: str, scores: Scores, before: dict[str, float], tasks: dict[str, str]
) -> list[Cell]:
    """Ours less the published, with a mark where the published lies inside our interval."""
    cells = [
        _difference(scores[key]["score"], before.get(name), _interval(scores[key]))
        for key, name in tasks.items()
    ]
    ours = [scores[key] for key in tasks]
    mean = average(result["score"] for result in ours)
    published = average(before.get(name) for name in tasks.values())
    cells.append(_difference(mean, published, average_interval(ours)))
    return [text_cell(model), text_cell(size), text_cell("difference"), *cells]


def _difference(
    ours: float | None, before: float | None, interval: tuple[float, float] | None
) -> Cell:
    if ours is None or before is None or interval is None:
        return Cell(None)
    low, high = interval
    return Cell(
        ours - before, ours=True, digits=1, signed=True,
        suffix="°" if low <= before <= high else "", interval=(low - before, high - before),
    )  # fmt: skip


def task_table(name: str, inputs: Inputs, params: Params) -> Table:
    """Table 8: the tasks, their sizes and metrics, and how many examples this run evaluated."""
    results = read_scores(listed(inputs.get("evals")))
    evaluated = next(iter(results.values()), {})
    names = {"acc": "accuracy", "acc_norm": "accuracy, length-normalised", "f1": "F1"}
    rows = [
        [
            text_cell(task["category"]),
            text_cell(task["name"]),
            text_cell(names.get(task["metric"], task["metric"])),
            Cell(task["examples"]),
            Cell(evaluated[key]["examples"] if key in evaluated else None, ours=True),
            text_cell(evaluated[key]["data"]["source"] if key in evaluated else None),
        ]
        for key, task in params["tasks"].items()
    ]
    return Table(
        name=name,
        title="The downstream tasks: size of the evaluated split as published and in this run.",
        columns=["Category", "Task", "Metric", "Published size", "This run", "Data from"],
        rows=rows,
        notes=["All tasks are zero-shot. A size that differs from the published one shows here."],
        reproduction=params["reproduction"],
    )
