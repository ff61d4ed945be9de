"""Task definitions: lm-eval's own or the user's, on our examples, with the protocol's prompts."""

import functools
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamini.errors import LaminiError
from lamini.evaluation import squad
from lamini.evaluation.data import DataFacts, load_examples, place_of
from lamini.evaluation.protocols import paper_definition
from lamini.settings.evaluation import Task

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

logger = logging.getLogger("lamini")

# lm-eval's index of all its tasks takes some 20 seconds of a processor to read; these need none.
_DEFINITIONS = {
    "openbookqa": "openbookqa/openbookqa.yaml",
    "sciq": "sciq/sciq.yaml",
    "race": "race/race.yaml",
    "arc_challenge": "arc/arc_challenge.yaml",
    "piqa": "piqa/piqa.yaml",
    "record": "super_glue/record/default.yaml",
    "sst2": "glue/sst2/default.yaml",
    "mrpc": "glue/mrpc/default.yaml",
    "rte": "glue/rte/default.yaml",
    "mnli": "glue/mnli/default.yaml",
    "mnli_mismatch": "glue/mnli/mismatch.yaml",
    "wsc273": "wsc273/default.yaml",
    "winogrande": "winogrande/default.yaml",
    "wic": "super_glue/wic/default.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
}


def build_task(
    name: str, settings: Task, protocol: str, mirror: str | None
) -> tuple["ConfigurableTask", DataFacts]:
    """An lm-eval task on its examples, zero-shot.

    Only the evaluated split is read: lm-eval would also load the training split, for few-shot
    examples that nobody asks for.

    Args:
        name: of the task in lm-eval, or in the user's folder of definitions.
        settings: metric, data and that folder.
        protocol: `paper` or `modern`.
        mirror: folder of local copies of the data; null: the hub.

    Raises:
        LaminiError: when there is no such task, or an example does not fit it.
    """
    from lm_eval.api.task import ConfigurableTask

    _quieten()
    squad.provide()
    definition = _load_definition(name, settings.include_path)
    for key in ("tag", "group", "task_list", "dataset_path", "dataset_name", "dataset_kwargs"):
        definition.pop(key, None)
    if protocol == "paper" and settings.include_path is None:
        definition |= paper_definition(name)
    examples, facts = load_examples(settings.data, mirror)
    place = place_of(settings.data, mirror)
    split = settings.data.split
    try:
        # lm-eval would do this anew each time that it looks at the examples.
        prepare = definition.pop("process_docs", None)
        prepared = prepare(examples) if prepare else examples
    except Exception as error:  # a definition may fail on unfit rows in any way
        raise _unfit(name, examples.column_names, place, error) from error
    definition |= {
        "training_split": None,
        "validation_split": None,
        "fewshot_split": None,
        "test_split": split,
        "num_fewshot": 0,
        "custom_dataset": lambda **_: {split: prepared},
    }
    if definition.get("output_type") == "loglikelihood_rolling":
        raise LaminiError(
            f"tasks.{name}: it measures the perplexity of whole texts, and has no score that"
            " examples share; leave it out"
        )
    try:
        return ConfigurableTask(config=definition), facts
    except ImportError as error:
        raise missing_package(name, error) from error
    except Exception as error:
        raise _unfit(name, examples.column_names, place, error) from error


def _quieten() -> None:
    """lm-eval warns of every task that it runs as its authors meant it.

    Both libraries draw a bar for each step of a task's preparation; none takes long.
    """
    import datasets
    import lm_eval.api.task
    from tqdm import tqdm

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    lm_eval.api.task.tqdm = functools.partial(tqdm, disable=True)


def check_examples(
    name: str, task: "ConfigurableTask", settings: Task, mirror: str | None, limit: int | None
) -> None:
    """Look at every example that will be evaluated, before a model computes anything.

    Raises:
        LaminiError: names the row without choices, or with a label out of range.
    """
    place = place_of(settings.data, mirror)
    blank = []
    for number, row in enumerate(task.eval_docs, start=1):
        if limit is not None and number > limit:
            break
        try:
            problem = _problem(task, row)
            if problem is None and _has_blank_choice(task, row):
                blank.append(number)
        except Exception as error:  # a definition may fail on a damaged row in any way
            problem = f"does not fit ({type(error).__name__}: {error})"
        if problem:
            raise LaminiError(f"{place}: row {number} of task {name} {problem}; restore the data")
    if blank:
        logger.warning(
            "%s: %d rows of task %s have a blank choice, row %d first; it is scored as it stands",
            place, len(blank), name, blank[0],
        )  # fmt: skip


def _problem(task: "ConfigurableTask", row: Any) -> str | None:
    """What is wrong with an example of a multiple-choice task; nothing for other kinds."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return None
    choices = task.doc_to_choice(row)
    if not choices:
        return "has no choices"
    # Where the choices are contexts, their number stands in the text's place.
    label = task.doc_to_text(row) if task.multiple_input else task.doc_to_target(row)
    if isinstance(label, str):
        return None if label in choices else f"has the answer {label!r:.80}, which is no choice"
    labels = label if isinstance(label, list) else [label]
    if any(isinstance(item, int) and not 0 <= item < len(choices) for item in labels):
        return f"has label {label}, but {len(choices)} choices"
    return None


def _has_blank_choice(task: "ConfigurableTask", row: Any) -> bool:
    """Whether nothing but white space is a choice; official data have such rows."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return False
    return any(not str(choice).strip() for choice in task.doc_to_choice(row))


def missing_package(name: str, error: ImportError) -> LaminiError:
    """What a task needs that is not installed; lm-eval leaves such packages to its users."""
    package = error.name or str(error)
    return LaminiError(
        f"tasks.{name}: lm-eval's task needs the Python package {package}, which is not installed"
        f" here; install it (`pip install {package}`; with conda environments, add it to"
        " envs/eval.yaml), or leave the task out"
    )


def _unfit(name: str, columns: list[str], place: str, error: Exception) -> LaminiError:
    """A missing column is the usual cause; the error alone does not say so."""
    missing = str(error).strip("'\"")
    if isinstance(error, KeyError) and missing not in columns:
        return LaminiError(
            f"{place}: task {name} needs the column {missing!r}; found {', '.join(columns)}"
        )
    return LaminiError(
        f"{place}: the examples do not fit task {name} ({type(error).__name__}: {error}); found"
        f" the columns {', '.join(columns)}"
    )


def _load_definition(name: str, include_path: str | None) -> dict[str, Any]:
    """A task's fields.

    Raises:
        LaminiError: when lm-eval can't load the task, or it has no definition on other data.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    file = _own_file(name, include_path) if include_path else _definition_file(name)
    try:
        definition: dict[str, Any] = load_yaml(file)
    except Exception as error:  # a definition runs code of its own
        if isinstance(error, ImportError) and (error.name or not include_path):
            raise missing_package(name, error) from error
        raise LaminiError(
            f"tasks.{name}: lm-eval can't load {file if include_path else 'its definition'}"
            f" ({type(error).__name__}: {error!s:.300});"
            f" {'correct it' if include_path else 'leave the task out'}"
        ) from error
    if "class" in definition:
        raise LaminiError(
            f"tasks.{name}: in lm-eval this task is a Python class, which reads its own data and so"
            " can't be run here; run it by lm-eval itself on the model's folder, or leave it out"
        )
    return definition


def _definition_file(name: str) -> Path:
    """The file that defines a task in lm-eval."""
    import lm_eval.tasks

    folder = Path(lm_eval.tasks.__file__).parent
    if name in _DEFINITIONS:
        return folder / _DEFINITIONS[name]
    # One file that names the task as its own is its definition; names made otherwise are indexed.
    named = re.compile(rf"^task:\s*[\"']?{re.escape(name)}[\"']?\s*$".encode(), re.MULTILINE)
    found = [file for file in folder.rglob("*.yaml") if named.search(file.read_bytes())]
    if len(found) == 1:
        return found[0]
    logger.info("%s: reading lm-eval's index of tasks", name)
    index: Mapping[str, Any] = lm_eval.tasks.TaskManager().task_index
    if name not in index:
        raise LaminiError(
            f"tasks.{name}: the pinned lm-eval has no task of this name; for a definition of your"
            f" own give its folder as `tasks.{name}.include_path`"
        )
    return _file_of_task(name, index[name])


def _own_file(name: str, include_path: str) -> Path:
    """The file that defines a task in the user's folder.

    Raises:
        LaminiError: when no definition there has this name.
    """
    from lm_eval.tasks import TaskManager

    index = TaskManager(include_path=include_path, include_defaults=False).task_index
    if name not in index:
        raise LaminiError(
            f"tasks.{name}.include_path: {include_path} has no definition with `task: {name}`; it"
            f" has {', '.join([*sorted(index), *_unreadable(include_path)]) or 'none'}"
        )
    return _file_of_task(name, index[name])


def _unreadable(include_path: str) -> Iterator[str]:
    """The definitions that lm-eval's index leaves out in silence, with the reason."""
    from lm_eval.tasks._yaml_loader import load_yaml

    for file in sorted(Path(include_path).rglob("*.yaml")):
        try:
            load_yaml(file, resolve_func=False)
        except Exception as error:  # of YAML, of a missing `include`, of its encoding
            yield f"{file}, which can't be read ({' '.join(str(error).split()):.300})"


def _file_of_task(name: str, entry: Any) -> Path:
    """The file of one entry of lm-eval's index.

    Raises:
        LaminiError: when the entry is a group of tasks.
    """
    members = entry.tags if entry.yaml_path is None else (entry.cfg or {}).get("task")
    if not isinstance(members, str | None):
        names = sorted(str(m.get("task", m) if isinstance(m, dict) else m) for m in members)
        raise LaminiError(
            f"tasks.{name}: in lm-eval this is a group of tasks, and its data are several; name the"
            f" tasks that it consists of: {', '.join(names)[:300]}"
        )
    return Path(entry.yaml_path)
