"""Task definitions of lm-eval or the user, with our examples and the protocol's prompts."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from lamini.errors import LaminiError
from lamini.evaluation import squad
from lamini.evaluation.data import (
    DataIdentity,
    fewshot_data,
    load_examples,
    location_of,
    parts_of,
)
from lamini.evaluation.protocols import paper_definition
from lamini.evaluation.task_definitions import load_definition, missing_package
from lamini.settings.evaluation import Task

if TYPE_CHECKING:
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

FEWSHOT_SEED = 1234
"""Seed of the choice of solved examples: the default of lm-eval's command line."""


class _SolvedExamples(TypedDict, total=False):
    """Fields of `fewshot_config` in a definition that are read here."""

    process_docs: "Callable[[Dataset], Any]"
    """Prepares the solved examples; without it, they are prepared as the evaluated ones."""
    samples: Sequence[Any] | Callable[[], Sequence[Any]]
    """The examples themselves, or a function that returns them."""


def build_tasks(
    name: str, settings: Task, protocol: str, mirror: str | None
) -> tuple[dict[str, "ConfigurableTask"], DataIdentity]:
    """Build the tasks of lm-eval that give one score: one task, or those of a group.

    Args:
        name: key of the task; the name of an own task, if it is no group.
        settings: metrics, data, solved examples, and the folder of definitions.
        protocol: `paper` or `modern`.
        mirror: folder of local copies of the data; null: the hub.

    Returns:
        Tasks by their names in lm-eval, in the order of `data.configs`, and the identity of all
        their examples.

    Raises:
        LaminiError: if a task does not exist, or an example does not fit it.
    """
    if settings.data.configs is None:
        task, identity = build_task(name, settings, protocol, mirror)
        return {name: task}, identity
    _, identity = load_examples(settings.data, mirror)
    tasks = {}
    for member, data in zip(settings.data.configs.values(), parts_of(settings.data), strict=True):
        alone = settings.model_copy(update={"data": data})
        tasks[member], _ = build_task(member, alone, protocol, mirror)
    return tasks, identity


def build_task(
    name: str, settings: Task, protocol: str, mirror: str | None
) -> tuple["ConfigurableTask", DataIdentity]:
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
    definition = _definition(name, settings, protocol)
    examples, identity = load_examples(settings.data, mirror)
    location = location_of(settings.data, mirror)
    split = settings.data.split
    # lm-eval would repeat the preparation at each access to the examples.
    prepare = definition.pop("process_docs", None)
    splits = {split: _prepared(name, examples, prepare, location)}
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
    try:
        task = ConfigurableTask(config=definition)
    except ImportError as error:
        raise missing_package(name, error) from error
    except Exception as error:  # a definition raises errors of any type on unfit rows
        raise _unfit(name, examples.column_names, location, error) from error
    _check_supported(name, task)
    task.set_fewshot_seed(FEWSHOT_SEED)
    return task, identity


def _definition(name: str, settings: Task, protocol: str) -> dict[str, Any]:
    """Fields of a task's definition, without its data, with the settings' and the protocol's.

    Raises:
        LaminiError: if the task does not exist, or is of a kind that is not supported.
    """
    definition = load_definition(name, settings.include_path)
    for key in ("tag", "group", "task_list", "dataset_path", "dataset_name", "dataset_kwargs"):
        definition.pop(key, None)
    if protocol == "paper" and settings.include_path is None:
        definition |= paper_definition(name)
    kind = definition.get("output_type")
    if kind == "loglikelihood_rolling":
        raise LaminiError(
            f"tasks.{name}: it measures the perplexity of whole texts, not a mean score of"
            " examples, which is not supported; leave it out"
        )
    if settings.generation_kwargs:
        if kind != "generate_until":
            raise LaminiError(
                f"tasks.{name}.generation_kwargs: the task scores choices, and generates no texts;"
                " delete this line"
            )
        changed = (definition.get("generation_kwargs") or {}) | settings.generation_kwargs
        definition["generation_kwargs"] = changed
    return definition


def _check_supported(name: str, task: "ConfigurableTask") -> None:
    """Refuse a task that runs a model's code or has images or sound."""
    if getattr(task, "UNSAFE_CODE", False) or getattr(task, "MULTIMODAL", False):
        does = "runs code that the model writes" if task.UNSAFE_CODE else "has images or sound"
        raise LaminiError(f"tasks.{name}: it {does}, which is not supported; leave it out")


def _prepared(
    name: str, examples: "Dataset", prepare: "Callable[[Dataset], Any] | None", location: str
) -> Any:
    """Examples after the definition's own preparation."""
    try:
        return prepare(examples) if prepare else examples
    except Exception as error:  # a definition raises errors of any type on unfit rows
        raise _unfit(name, examples.column_names, location, error) from error


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
        solved, splits, location = fixed() if callable(fixed) else fixed, {}, "the definition"
    else:
        location = location_of(data, mirror)
        solved = _prepared(name, load_examples(data, mirror)[0], prepare, location)
        splits = {data.split: solved}
    # The evaluated example itself is not shown as solved, if both are of one split.
    spare = int(settings.fewshot_split == settings.data.split)
    if len(solved) < wanted + spare:
        raise LaminiError(
            f"tasks.{name}.num_fewshot: {wanted} solved examples are too many; {location} has"
            f" {len(solved) - spare}"
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


def _unfit(name: str, columns: list[str], location: str, error: Exception) -> LaminiError:
    """Error for examples that do not fit; names the missing column, the usual cause."""
    missing = str(error).strip("'\"")
    if isinstance(error, KeyError) and missing not in columns:
        return LaminiError(
            f"{location}: task {name} needs the column {missing!r}; found {', '.join(columns)}"
        )
    return LaminiError(
        f"{location}: the examples do not fit task {name} ({type(error).__name__}: {error}); found"
        f" the columns {', '.join(columns)}"
    )
