"""Examples of a task: read completely from a local mirror or the hub, counted and hashed.

Local files are not read through the cache of the `datasets` library: after a file has changed, that
cache still returns the file's first version.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from lamini.errors import LaminiError
from lamini.files import read_jsonl, write_jsonl
from lamini.jobs.commits import commit_to_read
from lamini.paths import TASK_DATA
from lamini.settings.evaluation import Task, TaskData
from lamini.settings.params.evaluation import MirrorTaskData

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class DataIdentity:
    """Identity of the examples that a score was measured on."""

    source: str
    """`mirror` (a local copy) or `hub`."""
    repo: str
    config: str | None
    split: str
    revision: str | None
    """Revision requested from the hub; null for a mirror, which only `sha256` identifies."""
    rows: int
    """Number of examples in the split, evaluated or not."""
    sha256: str
    """SHA-256 of all rows (`lamini.evaluation.data.digest_rows`); equal for the hub's data and a
    mirror of it."""


def load_examples(data: TaskData, mirror: str | None) -> tuple["Dataset", DataIdentity]:
    """Load the examples of one task, or of all tasks of a group in their order.

    Args:
        data: repository, configurations, split and revision of the dataset.
        mirror: folder of local copies; null: the hub.

    Raises:
        LaminiError: if the examples can't be read, or their SHA-256 differs from the settings.
    """
    from datasets import concatenate_datasets

    location = location_of(data, mirror)
    parts = [_read(part, mirror) for part in parts_of(data)]
    examples = parts[0] if len(parts) == 1 else concatenate_datasets(parts)
    identity = DataIdentity(
        source="hub" if mirror is None else "mirror",
        repo=data.repo,
        config=", ".join(data.configs) if data.configs else data.config,
        split=data.split,
        revision=data.revision if mirror is None else None,
        rows=len(examples),
        sha256=digest_rows(examples),
    )
    if data.sha256 not in (None, identity.sha256):
        raise LaminiError(
            f"{location}: its rows have the SHA-256 {identity.sha256}, but `data.sha256` in `tasks`"
            f" is {data.sha256}; restore the data, or correct `data.sha256`"
        )
    return examples, identity


def _read(data: TaskData, mirror: str | None) -> "Dataset":
    from datasets import Dataset

    if mirror is None:
        return _from_hub(data)
    location = location_of(data, mirror)
    rows = list(read_jsonl(location))
    if not rows:
        raise LaminiError(f"{location}: has no examples; restore the file, or download it again")
    _check_columns(rows, location)
    return Dataset.from_list(rows)


def parts_of(data: TaskData) -> list[TaskData]:
    """Location of the examples of each configuration of a group; of a task, its location alone."""
    if data.configs is None:
        return [data]
    alone: dict[str, Any] = {"configs": None, "sha256": None}
    return [data.model_copy(update={**alone, "config": name}) for name in data.configs]


def fewshot_data(task: Task) -> TaskData | None:
    """Location of the solved examples; None: there are none, or the definition has them."""
    if task.fewshot_split is None:
        return None
    return task.data.model_copy(update={"split": task.fewshot_split, "sha256": None})


def all_data(task: Task) -> list[TaskData]:
    """Locations of everything that a task reads, one for each file of a mirror."""
    data = [task.data, fewshot_data(task)]
    return [part for item in data if item is not None for part in parts_of(item)]


def mirror_path(data: TaskData) -> str:
    """Path of the examples, relative to the folder of a local mirror."""
    return f"{data.repo}/{data.config or 'default'}/{data.split}.jsonl"


def location_of(data: TaskData, mirror: str | None) -> str:
    """Location of the examples, for messages; for a mirror, the path of the file."""
    if data.configs is not None:
        return f"{mirror or data.repo} ({data.repo}, {len(data.configs)} tasks, {data.split})"
    if mirror is None:
        return f"{data.repo} ({data.config or 'default'}, {data.split})"
    return f"{mirror}/{mirror_path(data)}"


def digest_rows(rows: Iterable[Any]) -> str:
    """SHA-256 of all rows as JSON with sorted keys, one row per line."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
    return digest.hexdigest()


def mirror_task_data(*, examples: str | Path, settings: MirrorTaskData) -> None:
    """Download a task's examples from the hub into a mirror file, for clusters without network."""
    write_jsonl(examples, (dict(row) for row in _from_hub(settings)))


def _from_hub(data: TaskData) -> "Dataset":
    from datasets import load_dataset

    mirror = Path(TASK_DATA).parent
    try:
        commit = commit_to_read(data.repo, data.revision, "dataset")
        return load_dataset(data.repo, data.config, split=data.split, revision=commit)
    except Exception as error:  # the hub's client raises many types; all mean a failed download
        raise LaminiError(
            f"{location_of(data, None)}: the download from the hub failed"
            f" ({type(error).__name__}: {error!s:.300}). Where there is a network, run"
            f" `snakemake task_data`, copy {mirror} here, and set `evaluation.mirror: {mirror}`"
        ) from error


def _check_columns(rows: Sequence[Mapping[str, object]], location: str) -> None:
    """Refuse a row without a column of the first row: the task would fail or score it wrongly."""
    columns = set(rows[0])
    for number, row in enumerate(rows, start=1):
        if missing := columns - set(row):
            raise LaminiError(
                f"{location}: row {number} has no column {', '.join(sorted(missing))}; restore it"
            )
