"""Checks of tasks and their examples, before a model is loaded."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lamini.errors import LaminiError
from lamini.evaluation.data import location_of, parts_of
from lamini.evaluation.task_definitions import missing_package
from lamini.settings.evaluation import Task

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

logger = logging.getLogger("lamini")


def check_tasks(
    tasks: Mapping[str, "ConfigurableTask"], settings: Task, mirror: str | None, limit: int | None
) -> None:
    """Check tasks of `build_tasks` and their examples, before a model is loaded.

    Raises:
        LaminiError: names the row without choices, or with a label out of range, or the package
            that is missing.
    """
    for (name, task), data in zip(tasks.items(), parts_of(settings.data), strict=True):
        check_examples(name, task, settings.model_copy(update={"data": data}), mirror, limit)
        _check_metrics(name, task)


def _check_metrics(name: str, task: "ConfigurableTask") -> None:
    """Refuse a task whose metrics need a package that is missing; choices need none."""
    if task.OUTPUT_TYPE != "generate_until":
        return
    try:
        task.process_results(task.eval_docs[0], [""])
    except ImportError as error:
        raise missing_package(name, error) from error
    except Exception as error:  # a metric may have no value for an empty text
        logger.debug("%s: an empty text has no score (%s)", name, error)


def check_examples(
    name: str, task: "ConfigurableTask", settings: Task, mirror: str | None, limit: int | None
) -> None:
    """Check every example that will be evaluated, before the model computes anything.

    Raises:
        LaminiError: names the row without choices, or with a label out of range.
    """
    location = location_of(settings.data, mirror)
    blank = []
    for number, row in enumerate(task.eval_docs, start=1):
        if limit is not None and number > limit:
            break
        try:
            problem = _problem(task, row)
            if problem is None and _has_blank_choice(task, row):
                blank.append(number)
        except Exception as error:  # a definition raises errors of any type on damaged rows
            problem = f"does not fit ({type(error).__name__}: {error})"
        if problem:
            raise LaminiError(
                f"{location}: row {number} of task {name} {problem}; restore the data"
            )
    if blank:
        logger.warning(
            "%s: %d rows of task %s have a blank choice (first: row %d); blank choices are scored",
            location,
            len(blank),
            name,
            blank[0],
        )


def _problem(task: "ConfigurableTask", row: Any) -> str | None:
    """Problem of a multiple-choice example, or None; other kinds of task are not checked."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return None
    choices = task.doc_to_choice(row)
    if not choices:
        return "has no choices"
    # If the choices are contexts, `doc_to_text` returns the index of the correct one.
    label = task.doc_to_text(row) if task.multiple_input else task.doc_to_target(row)
    if isinstance(label, str):
        return None if label in choices else f"has the answer {label!r:.80}, not one of its choices"
    labels = label if isinstance(label, list) else [label]
    if any(isinstance(item, int) and not 0 <= item < len(choices) for item in labels):
        return f"has label {label}, but {len(choices)} choices"
    return None


def _has_blank_choice(task: "ConfigurableTask", row: Any) -> bool:
    """Whether a choice is empty or only white space; official data have such rows."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return False
    return any(not str(choice).strip() for choice in task.doc_to_choice(row))
