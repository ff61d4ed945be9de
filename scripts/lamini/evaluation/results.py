"""Result of one model on one task (Table 8): its file, and its score from values per example."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TypedDict

import numpy as np
from pydantic import BaseModel

from lamini.evaluation.bootstrap import Interval, percentile_interval, resampled_sums
from lamini.evaluation.data import DataIdentity
from lamini.json_file import JsonFile

NORMAL_95 = NormalDist().inv_cdf(0.975)
"""Number of standard errors between the mean and each end of a 95 % interval."""


class Summary(TypedDict):
    """Score of a task with its uncertainty, times 100 as in the paper's tables."""

    score: float
    standard_error: float | None
    """Null if all values are equal."""
    interval: Interval | None
    """95 % confidence interval; null if the values do not determine one."""


class MetricResult(BaseModel):
    """Another metric of the task; score, error and interval are as in `Summary`."""

    score: float
    standard_error: float | None
    interval: Interval | None
    values: list[float]
    """Metric of each example. Shape (examples,)."""


class PartResult(BaseModel):
    """One task of a group."""

    examples: int
    score: float


class EvaluationResult(JsonFile):
    """Result of one model on one task: content of `results/evals/{model}/{task}.json`.

    `score`, `standard_error` and `interval` are as in `Summary`.
    """

    model: str
    """Key of the model in the configuration."""
    task: str
    """Key of the task in the configuration."""
    metric: str
    score: float
    standard_error: float | None
    interval: Interval | None
    examples: int
    """Number of evaluated examples."""
    examples_published: int
    """Number of examples in the paper's Table 8."""
    task_version: int | float | str | None
    """Version of lm-eval's task definition."""
    requests_hash: str
    """Digest of all texts sent to the model (`lamini.files.stable_hash`)."""
    truncated: int
    """Number of requests whose context was truncated."""
    unscorable: int | None = None
    """Number of texts that count as the least likely, because the model can't score them; null in
    results of version 0.1.0."""
    way: str | None = None
    """Way of computation, proven (`lamini.forward.proof`); null: nothing was proven."""
    refused_ways: dict[str, str] | None = None
    """Reason of refusal of each faster way; null: none was refused."""
    values: list[float]
    """Metric of each example, 0 to 1. Shape (examples,)."""
    data: DataIdentity
    protocol: str
    """`paper` or `modern`."""
    precision: str
    """`fp32`, `bf16` or `fp16`."""
    prompt_format: str | None
    """Prompt format of every context; null: the bare context."""
    model_path: str
    model_revision: str | None
    model_manifest_sha256: str | None
    """SHA-256 of the manifest of a model that the pipeline trained or built."""
    packages: dict[str, str]
    """Versions of the packages that scores depend on."""
    num_fewshot: int | None = None
    """Number of solved examples before each question; null: none."""
    other_metrics: dict[str, MetricResult] | None = None
    """Results of `tasks.{name}.other_metrics`, by metric; null: none are wanted."""
    parts: dict[str, PartResult] | None = None
    """Score of each task of a group, by its name in lm-eval; null: the task is no group."""


ResultsByModel = Mapping[str, Mapping[str, EvaluationResult]]
"""By key of the model, then of the task."""


def summarize(values: Sequence[float], replicates: int, seed: int) -> Summary:
    """Score, standard error and 95 % interval.

    For right-or-wrong values the interval is Wilson's. For graded values (F1) it is a bootstrap
    interval. Equal graded values, or a single one, say nothing about the spread: no interval.

    Args:
        values: metric of each example, 0 to 1.
        replicates: number of bootstrap resamples for graded values.
        seed: of the resampling.
    """
    array = np.asarray(values, dtype=np.float64)
    count = len(array)
    distinct, occurrences = np.unique(array, return_counts=True)
    equal = len(distinct) == 1
    error = None if equal else float(array.std(ddof=1)) / math.sqrt(count)
    interval: Interval | None = None
    if set(distinct.tolist()) <= {0.0, 1.0}:
        interval = wilson(float(array.mean()), count)
    elif not equal:
        sums = resampled_sums(distinct, occurrences, replicates, seed)
        interval = percentile_interval(sums / count)
    return {
        "score": round(100 * float(array.mean()), 4),
        "standard_error": None if error is None else round(100 * error, 4),
        "interval": None
        if interval is None
        else (round(100 * interval[0], 4), round(100 * interval[1], 4)),
    }


def wilson(share: float, count: int) -> Interval:
    """Wilson's 95 % interval of a proportion (1927, JASA 22); its width is not 0 at 0 and 1.

    It is wide enough for graded values too: with the same mean, they vary at most as much as values
    of only 0 and 1.

    Args:
        share: share of correct examples, or mean of graded values; 0 to 1.
        count: number of examples.
    """
    square = NORMAL_95**2 / count
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)
