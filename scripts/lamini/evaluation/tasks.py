"""Task definitions of lm-eval or the user, with our examples and the protocol's prompts."""

import functools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from lamini.errors import LaminiError
from lamini.evaluation import squad
from lamini.evaluation.data import (
    DataFacts,
    fewshot_data,
    load_examples,
    parts_of,
    place_of,
)
from lamini.evaluation.protocols import paper_definition
from lamini.settings.evaluation import Task

if TYPE_CHECKING:
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

logger = logging.getLogger("lamini")
FEWSHOT_SEED = 1234
"""Seed of the choice of solved examples: the default of lm-eval's command line."""

# Reading lm-eval's index of all tasks takes about 20 CPU seconds; these tasks do not need it.
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


class _SolvedExamples(TypedDict, total=False):
    """Fields of `fewshot_config` in a definition that are read here."""

    process_docs: "Callable[[Dataset], Any]"
    """Prepares the solved examples; without it, they are prepared as the evaluated ones."""
    samples: Sequence[Any] | Callable[[], Sequence[Any]]
    """The examples themselves, or a function that returns them."""


def build_tasks(
    name: str, settings: Task, protocol: str, mirror: str | None
) -> tuple[dict[str, "ConfigurableTask"], DataFacts]:
    """Build the tasks of lm-eval that give one score: one task, or those of a group.

    Args:
        name: key of the task; the name of an own task, if it is no group.
        settings: metrics, data, solved examples, and the folder of definitions.
        protocol: `paper` or `modern`.
        mirror: folder of local copies of the data; null: the hub.

    Returns:
        Tasks by their names in lm-eval, in the order of `data.configs`, and the facts of all their
        examples.

    Raises:
        LaminiError: if a task does not exist, or an example does not fit it.
    """
    if settings.data.configs is None:
        task, facts = build_task(name, settings, protocol, mirror)
        return {name: task}, facts
    _, facts = load_examples(settings.data, mirror)
    tasks = {}
    for member, data in zip(settings.data.configs.values(), parts_of(settings.data), strict=True):
        alone = settings.model_copy(update={"data": data})
        tasks[member], _ = build_task(member, alone, protocol, mirror)
    return tasks, facts


def build_task(
    name: str, settings: Task, protocol: str, mirror: str | None
) -> tuple["ConfigurableTask", DataFacts]:
    """Build an lm-eval task on its examples, and on the solved ones if it has any.

    Only the splits that are used are read. lm-eval would always load the training split, too.

    Args:
        name: name of the task in lm-eval, or in the user's folder of definitions.
        settings: metrics, data, solved examples, and the folder of definitions.
        protocol: `paper` or `modern`.
        mirror: folder of local copies of the data; null: the hub.

    Raises:
        LaminiError: if the task does not exist, or an example does not fit it.
    """
    from lm_eval.api.task import ConfigurableTask

    _silence_libraries()
    squad.provide()
    definition = _load_definition(name, settings.include_path)
    for key in ("tag", "group", "task_list", "dataset_path", "dataset_name", "dataset_kwargs"):
        definition.pop(key, None)
    if protocol == "paper" and settings.include_path is None:
        definition |= paper_definition(name)
    examples, facts = load_examples(settings.data, mirror)
    place = place_of(settings.data, mirror)
    split = settings.data.split
    # lm-eval would repeat the preparation at each access to the examples.
    prepare = definition.pop("process_docs", None)
    splits = {split: _prepared(name, examples, prepare, place)}
    own = definition.get("fewshot_config") or _SolvedExamples()
    if own:
        # Their split is that of the settings, and they are prepared here.
        done = ("split", "process_docs")
        definition["fewshot_config"] = {k: v for k, v in own.items() if k not in done}
    splits |= _solved_examples(name, settings, own, prepare, mirror)
    definition |= {
        "training_split": None,
        "validation_split": None,
        "fewshot_split": settings.fewshot_split,
        "test_split": split,
        "num_fewshot": settings.num_fewshot,
        "custom_dataset": lambda **_: splits,
    }
    if settings.generation_kwargs:
        changed = (definition.get("generation_kwargs") or {}) | settings.generation_kwargs
        definition["generation_kwargs"] = changed
    if definition.get("output_type") == "loglikelihood_rolling":
        raise LaminiError(
            f"tasks.{name}: it measures the perplexity of whole texts, not a mean score of"
            " examples, which is not supported; leave it out"
        )
    if settings.generation_kwargs and definition.get("output_type") != "generate_until":
        raise LaminiError(
            f"tasks.{name}.generation_kwargs: the task scores choices, and generates no texts;"
            " delete this line"
        )
    try:
        task = ConfigurableTask(config=definition)
    except ImportError as error:
        raise missing_package(name, error) from error
    except Exception as error:
        raise _unfit(name, examples.column_names, place, error) from error
    if getattr(task, "UNSAFE_CODE", False) or getattr(task, "MULTIMODAL", False):
        does = "runs code that the model writes" if task.UNSAFE_CODE else "has images or sound"
        raise LaminiError(f"tasks.{name}: it {does}, which is not supported; leave it out")
    task.set_fewshot_seed(FEWSHOT_SEED)
    return task, facts


def _prepared(
    name: str, examples: "Dataset", prepare: "Callable[[Dataset], Any] | None", place: str
) -> Any:
    """Examples after the definition's own preparation."""
    try:
        return prepare(examples) if prepare else examples
    except Exception as error:  # a definition raises errors of any type on unfit rows
        raise _unfit(name, examples.column_names, place, error) from error


def _solved_examples(
    name: str,
    settings: Task,
    own: _SolvedExamples,
    prepare: "Callable[[Dataset], Any] | None",
    mirror: str | None,
) -> dict[str, Any]:
    """Solved examples by split, prepared.

    Args:
        name: key of the task.
        settings: number of solved examples, and their split.
        own: the field `fewshot_config` of the definition.
        prepare: preparation of the task's examples.
        mirror: folder of local copies of the data; null: the hub.

    Raises:
        LaminiError: if there are fewer of them than `num_fewshot`.
    """
    prepare = own.get("process_docs") or prepare
    wanted, data = settings.num_fewshot, fewshot_data(settings)
    if not wanted:
        return {}
    if data is None:
        fixed = own.get("samples")
        if fixed is None:
            raise LaminiError(
                f"tasks.{name}.num_fewshot: the definition has no solved examples; set"
                f" `fewshot_split` to a split of {settings.data.repo}, such as train"
            )
        found, splits, place = fixed() if callable(fixed) else fixed, {}, "the definition"
    else:
        place = place_of(data, mirror)
        found = _prepared(name, load_examples(data, mirror)[0], prepare, place)
        splits = {data.split: found}
    # The evaluated example itself is not shown as solved, if both are of one split.
    spare = int(settings.fewshot_split == settings.data.split)
    if len(found) < wanted + spare:
        raise LaminiError(
            f"tasks.{name}.num_fewshot: {wanted} solved examples are too many; {place} has"
            f" {len(found) - spare}"
        )
    return splits


def _silence_libraries() -> None:
    """Switch off lm-eval's warnings and the progress bars of both libraries.

    lm-eval warns about tasks that run as their authors intended. Every step of a task's preparation
    has a progress bar, though none takes long.
    """
    import datasets
    import lm_eval.api.task
    from tqdm import tqdm

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    lm_eval.api.task.tqdm = functools.partial(tqdm, disable=True)


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
    place = place_of(settings.data, mirror)
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
            raise LaminiError(f"{place}: row {number} of task {name} {problem}; restore the data")
    if blank:
        logger.warning(
            "%s: %d rows of task %s have a blank choice (first: row %d); blank choices are scored",
            place,
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


def missing_package(name: str, error: ImportError) -> LaminiError:
    """Error for a Python package that a task needs and lm-eval does not install."""
    package = error.name or str(error)
    return LaminiError(
        f"tasks.{name}: lm-eval's task needs the Python package {package}, which is not installed"
        f" here; install it (`pip install {package}`; with conda environments, add it to"
        " envs/eval.yaml), or leave the task out"
    )


def _unfit(name: str, columns: list[str], place: str, error: Exception) -> LaminiError:
    """Error for examples that do not fit; names the missing column, the usual cause."""
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
    """Load the fields of a task's definition.

    Raises:
        LaminiError: if lm-eval can't load the task, or the task can't run on other data.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    file = _user_definition_file(name, include_path) if include_path else _definition_file(name)
    try:
        definition: dict[str, Any] = load_yaml(file)
    except Exception as error:  # a definition may run its own code
        if isinstance(error, ImportError) and (error.name or not include_path):
            raise missing_package(name, error) from error
        raise LaminiError(
            f"tasks.{name}: lm-eval can't load {file if include_path else 'its definition'}"
            f" ({type(error).__name__}: {error!s:.300});"
            f" {'correct it' if include_path else 'leave the task out'}"
        ) from error
    if "class" in definition:
        raise LaminiError(
            f"tasks.{name}: in lm-eval this task is a Python class that reads its own data, which"
            " is not supported; run lm-eval itself on the model's folder, or leave the task out"
        )
    return definition


def _definition_file(name: str) -> Path:
    """File that defines a task in lm-eval."""
    import lm_eval.tasks

    folder = Path(lm_eval.tasks.__file__).parent
    if name in _DEFINITIONS:
        return folder / _DEFINITIONS[name]
    # A single file with `task: NAME` is the definition. Names built in other ways need the index.
    found = _named_definitions(folder).get(name, [])
    if len(found) == 1:
        return found[0]
    logger.info("%s: reading lm-eval's index of tasks", name)
    index: Mapping[str, Any] = lm_eval.tasks.TaskManager().task_index
    if name not in index:
        raise LaminiError(
            f"tasks.{name}: the pinned lm-eval has no task of this name; for your own definition,"
            f" set its folder as `tasks.{name}.include_path`"
        )
    return _file_of_task(name, index[name])


@functools.cache
def _named_definitions(folder: Path) -> dict[str, list[Path]]:
    """Files with `task: NAME` by that name."""
    named = re.compile(rb"^[\"']?task[\"']?:[ \t]*[\"']?([^\s\"']+)[\"']?\s*$", re.MULTILINE)
    files: dict[str, list[Path]] = {}
    for file in folder.rglob("*.yaml"):
        for name in named.findall(file.read_bytes()):
            files.setdefault(name.decode(errors="replace"), []).append(file)
    return files


def _user_definition_file(name: str, include_path: str) -> Path:
    """File that defines a task in the user's folder.

    Raises:
        LaminiError: if no definition in the folder has this name.
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
    """Definitions that lm-eval's index silently leaves out, each with the reason."""
    from lm_eval.tasks._yaml_loader import load_yaml

    for file in sorted(Path(include_path).rglob("*.yaml")):
        try:
            load_yaml(file, resolve_func=False)
        except Exception as error:  # invalid YAML, missing `include`, wrong encoding
            yield f"{file}, which can't be read ({' '.join(str(error).split()):.300})"


def _file_of_task(name: str, entry: Any) -> Path:
    """File of one entry of lm-eval's index.

    Raises:
        LaminiError: if the entry is a group of tasks.
    """
    members = entry.tags if entry.yaml_path is None else (entry.cfg or {}).get("task")
    if not isinstance(members, str | None):
        names = sorted(str(m.get("task", m) if isinstance(m, dict) else m) for m in members)
        raise LaminiError(
            f"tasks.{name}: in lm-eval this is a group of tasks with several data sets; name them"
            " and their tasks in `data.configs` (docs/own-herd.md), or use the"
            f" tasks of the group instead: {', '.join(names)[:300]}"
        )
    return Path(entry.yaml_path)
