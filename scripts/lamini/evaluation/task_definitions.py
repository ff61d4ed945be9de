"""Definition files of tasks: lm-eval's own, or in the user's folder."""

import functools
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError

logger = logging.getLogger("lamini")

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


def load_definition(name: str, include_path: str | None) -> dict[str, Any]:
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
    files = _named_definitions(folder).get(name, [])
    if len(files) == 1:
        return files[0]
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


def missing_package(name: str, error: ImportError) -> LaminiError:
    """Error for a Python package that a task needs and lm-eval does not install."""
    package = error.name or str(error)
    return LaminiError(
        f"tasks.{name}: lm-eval's task needs the Python package {package}, which is not installed"
        f" here; install it (`pip install {package}`; with conda environments, add it to"
        " envs/eval.yaml), or leave the task out"
    )
