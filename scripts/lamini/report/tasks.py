"""The scores of each task for the report: a summary per group of models, and a row per model."""

from dataclasses import dataclass

from lamini import paths
from lamini.catalogue.params.report import ReportParams
from lamini.report.cells import ShownTable
from lamini.report.overview import task_rows
from lamini.tables.table_file import FileCell, TableFile
from lamini.tables.task_tables import TaskRow


@dataclass(frozen=True)
class TaskPart:
    """One task on the page."""

    name: str
    anchor: str
    summaries: list[TaskRow]
    """Of the students, and of the reference models."""
    table: ShownTable
    """The rows of the table `task_scores` (JSON) of this task, without the task's name."""
    links: list[dict[str, str]]
    """Links of each row by their text, relative to the page."""


def task_parts(by_task: TableFile, scores: ShownTable, params: ReportParams) -> list[TaskPart]:
    """The tasks in the order of the tables.

    Args:
        by_task: table `by_task` (JSON).
        scores: table `task_scores` (JSON).
        params: keys of the models and tasks, and whether samples were written.
    """
    grouped: dict[str, list[list[FileCell]]] = {}
    for row in scores["rows"]:
        grouped.setdefault(str(row[0]["value"]), []).append(row[1:])
    summaries = task_rows(by_task)
    return [
        TaskPart(
            name=task,
            anchor=task_anchor(task, params),
            summaries=[row for row in summaries if row.task == task],
            table={
                **scores,
                "name": f"task_scores-{params.task_keys[task]}",
                "columns": scores["columns"][1:],
                "numeric": scores["numeric"][1:],
                "marked": scores["marked"][1:],
                "rows": rows,
            },
            links=[_links(str(row[0]["value"]), task, params) for row in rows],
        )
        for task, rows in grouped.items()
    ]


def task_anchor(task: str, params: ReportParams) -> str:
    """HTML id of a task, by its name."""
    return f"task-{params.task_keys[task]}"


def _links(model: str, task: str, params: ReportParams) -> dict[str, str]:
    keys = {"model": params.model_keys[model], "task": params.task_keys[task]}
    links = {"score": paths.EVALUATION}
    if params.samples:
        links["prompts and answers"] = paths.SAMPLES
    return {text: from_page(path.format(**keys)) for text, path in links.items()}


def from_page(path: str) -> str:
    """Path of a result, relative to the folder of the report."""
    return path.replace(f"{paths.RESULTS}/", "../", 1)
