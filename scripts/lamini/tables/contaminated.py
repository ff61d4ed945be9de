"""Scores without the evaluated examples that share a long run of words with the dataset."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lamini.evaluation.results import EvaluationResult
from lamini.tables.published import read_csv


@dataclass(frozen=True)
class Searched:
    """The examples of one task that were searched for runs of words of the dataset."""

    examples: int
    """Number of searched examples."""
    sharing: frozenset[int]
    """Rows of the evaluated split with a shared run."""

    def fits(self, result: EvaluationResult) -> bool:
        """Whether a result has a value for each of these examples, and for no others."""
        return len(result.values) == result.examples == result.data.rows == self.examples


def searched_examples(
    contamination: Path, examples: Path, mixture: str, words: int
) -> dict[str, Searched]:
    """The searched examples by task.

    Args:
        contamination: CSV of the analysis, with the number of searched examples.
        examples: Parquet of the sharing examples.
        mixture: mixture whose pairs were searched.
        words: minimum length of a shared run.
    """
    sharing = pl.read_parquet(examples).filter(pl.col("words") >= words)
    return {
        row["task"]: Searched(
            int(row["examples"]),
            frozenset(sharing.filter(pl.col("task") == row["task"])["example"]),
        )
        for row in read_csv(contamination)
        if row["instruction_source"] == mixture
    }


def values_of(result: EvaluationResult, rows: Collection[int], *, keep: bool) -> list[float]:
    """Values of the examples in some rows of the split (`keep`), or of all others."""
    return [value for row, value in enumerate(result.values) if (row in rows) == keep]


def mean_score(values: Sequence[float]) -> float | None:
    """Mean of values, times 100; None without any."""
    return 100 * math.fsum(values) / len(values) if values else None
