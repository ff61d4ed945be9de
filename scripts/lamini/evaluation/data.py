"""The examples of a task: from a local mirror or the hub, read whole, counted, with a digest.

Nothing goes through the `datasets` library's cache of local folders, which keeps answering with a
file's first version after the file was changed.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from lamini.errors import LaminiError
from lamini.files import read_jsonl, write_jsonl
from lamini.settings.evaluation import TaskData
from lamini.settings.params import MirrorTaskData

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class DataFacts:
    """Which examples a score was measured on."""

    source: str
    """`mirror` (a local copy) or `hub`."""
    repo: str
    config: str | None
    split: str
    revision: str | None
    """Asked of the hub; null for a mirror, of which the digest alone tells."""
    rows: int
    """Examples in the split, whether evaluated or not."""
    sha256: str
    """Digest of all rows (`digest_rows`); equal for the hub's data and a mirror of it."""

    def as_params(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def load_examples(data: TaskData, mirror: str | None) -> tuple["Dataset", DataFacts]:
    """The examples of one task.

    Args:
        data: which dataset, configuration and split.
        mirror: folder of local copies; null: the hub.

    Raises:
        LaminiError: when they can't be read, or have another digest than the settings say.
    """
    from datasets import Dataset

    place = place_of(data, mirror)
    if mirror is None:
        examples = _from_hub(data)
    else:
        rows = list(read_jsonl(place))
        if not rows:
            raise LaminiError(f"{place}: has no examples; restore it, or fetch it again")
        _same_columns(rows, place)
        examples = Dataset.from_list(rows)
    facts = DataFacts(
        source="hub" if mirror is None else "mirror",
        repo=data.repo,
        config=data.config,
        split=data.split,
        revision=data.revision if mirror is None else None,
        rows=len(examples),
        sha256=digest_rows(examples),
    )
    if data.sha256 not in (None, facts.sha256):
        raise LaminiError(
            f"{place}: its rows have digest {facts.sha256}, not {data.sha256} as `tasks` say;"
            " restore the data, or correct `data.sha256`"
        )
    return examples, facts


def place_of(data: TaskData, mirror: str | None) -> str:
    """Where the examples are, for messages and for reading a mirror."""
    if mirror is None:
        return f"{data.repo} ({data.config or 'default'}, {data.split})"
    return f"{mirror}/{data.path}"


def digest_rows(rows: Iterable[Any]) -> str:
    """The SHA-256 of all rows as JSON with sorted keys, one a line."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
    return digest.hexdigest()


def mirror_task_data(*, examples: str | Path, settings: MirrorTaskData) -> None:
    """Fetch a task's examples from the hub into a mirror's file, for clusters without a network."""
    write_jsonl(examples, (dict(row) for row in _from_hub(settings)))


def _from_hub(data: TaskData) -> "Dataset":
    from datasets import load_dataset

    try:
        return load_dataset(data.repo, data.config, split=data.split, revision=data.revision)
    except Exception as error:  # the hub's client raises many kinds; all mean the same here
        raise LaminiError(
            f"{place_of(data, None)}: the hub does not give it"
            f" ({type(error).__name__}: {error!s:.300}). Where there is a network, run"
            " `snakemake task_data`, copy results/task_data here, and set"
            " `evaluation.mirror: results/task_data`"
        ) from error


def _same_columns(rows: list[dict[str, Any]], place: str) -> None:
    """Refuse a row that lacks a column of the first one: the task would fail on it, or worse."""
    columns = set(rows[0])
    for number, row in enumerate(rows, start=1):
        if missing := columns - set(row):
            raise LaminiError(
                f"{place}: row {number} has no column {', '.join(sorted(missing))}; restore it"
            )
