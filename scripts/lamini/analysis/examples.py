"""Texts of the evaluated examples of all tasks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from lamini.analysis.words import word_hashes
from lamini.arrays import Integers
from lamini.evaluation.data import load_examples
from lamini.log import Progress
from lamini.settings.evaluation import TaskData


@dataclass(frozen=True)
class Examples:
    """All texts of all examples; a text shared by several examples of a task is listed once."""

    tasks: list[str]
    texts: list[str]
    task_of_text: list[int]
    """Index of each text's task, ascending."""
    frame: pl.DataFrame
    """One row per text of an example: `text` and `task` (indices), `example` (row in its split),
    `number` (index of the example among those of all tasks)."""
    firsts: Integers
    """Index of each task's first example, then the number of all examples; shape (tasks + 1,)."""
    longest_text: Integers
    """Number of words in the longest text of each example."""

    @property
    def count(self) -> int:
        """Number of examples of all tasks."""
        return int(self.firsts[-1])

    @property
    def task_of_example(self) -> Integers:
        """Index of each example's task."""
        return np.repeat(np.arange(len(self.tasks)), np.diff(self.firsts))

    def of_task(self, task: int) -> slice:
        """Slice of a task's examples; of all examples if `task` equals the number of tasks."""
        if task == len(self.tasks):
            return slice(0, self.count)
        return slice(int(self.firsts[task]), int(self.firsts[task + 1]))


def read_examples(tasks: Mapping[str, TaskData], mirror: str | None) -> Examples:
    """Read the evaluated examples of the input tasks.

    Args:
        tasks: location of the examples, by task.
        mirror: folder with local copies; None: the Hugging Face Hub.

    Raises:
        LaminiError: when a task's data cannot be read.
    """
    texts: list[str] = []
    task_of_text: list[int] = []
    uses: list[tuple[int, int, int, int]] = []
    firsts = [0]
    with Progress(len(tasks), "tasks") as progress:
        for task, data in enumerate(tasks.values()):
            rows, _ = load_examples(data, mirror)
            known: dict[str, int] = {}
            for example, row in enumerate(rows):
                for text in dict.fromkeys(_texts(row)):
                    if text not in known:
                        known[text] = len(texts)
                        texts.append(text)
                        task_of_text.append(task)
                    uses.append((known[text], task, example, firsts[-1] + example))
            firsts.append(firsts[-1] + len(rows))
            progress.advance()
    names = ("text", "task", "example", "number")
    frame = pl.DataFrame(
        np.array(uses, np.int64).reshape(-1, len(names)), schema=names, orient="row"
    )
    _, starts = word_hashes(pa.array(texts, pa.string()))
    longest = np.zeros(firsts[-1], np.int64)
    np.maximum.at(longest, frame["number"].to_numpy(), np.diff(starts)[frame["text"].to_numpy()])
    return Examples(list(tasks), texts, task_of_text, frame, np.array(firsts), longest)


def _texts(value: Any) -> Iterator[str]:
    """All strings in a row, at any depth; strings that are too short to share a run do no harm."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
