"""Values of a task's metric, one per example, from what lm-eval returned."""

import math
import numbers
from collections.abc import Sequence

import numpy as np

from lamini.errors import LaminiError
from lamini.evaluation.measured import Measured, Sample, metric_values


def samples_of(name: str, measured: Measured, metric: str) -> list[Sample]:
    """Samples in the order of the tasks and their examples, of the filter that a metric names.

    If a task has several lm-eval filters and the metric names none, those of the first are kept.

    Raises:
        LaminiError: if the task has no filter of this name.
    """
    selected: list[Sample] = []
    for of_task in measured["samples"].values():
        filters = list(dict.fromkeys(sample["filter"] for sample in of_task))
        requested = metric.partition(",")[2] or filters[0]
        if requested not in filters:
            raise LaminiError(
                f"tasks.{name}: metric {metric}: the task has no filter {requested}; it has"
                f" {', '.join(filters)}"
            )
        mine = (sample for sample in of_task if sample["filter"] == requested)
        selected += sorted(mine, key=lambda sample: sample["doc_id"])
    return selected


def check_likelihoods(name: str, samples: list[Sample], reasons: list[list[str | None]]) -> None:
    """Refuse a log-likelihood that is not finite although its text can be scored."""
    for sample, of_example in zip(samples, reasons, strict=True):
        for (likelihood, _), reason in zip(sample["filtered_resps"], of_example, strict=True):
            if reason is None and not math.isfinite(likelihood):
                raise LaminiError(
                    f"{name}: the log-likelihood of example {sample['doc_id']} is not finite;"
                    " the model's weights are damaged, or the range of its precision is too small"
                    " (set `evaluation.precision: fp32`)"
                )


def example_values(
    name: str, samples: Sequence[Sample], metric: str, reasons: Sequence[list[str | None]]
) -> list[float]:
    """Metric of each example."""
    metric_name = metric.partition(",")[0]
    return [
        _value(name, sample, metric_name, of_example)
        for sample, of_example in zip(samples, reasons, strict=True)
    ]


def _value(name: str, sample: Sample, metric: str, reasons: list[str | None]) -> float:
    """Metric of one example; 0 if its unscorable texts leave no choices to compare.

    Raises:
        LaminiError: if the task does not measure the metric per example.
    """
    values = metric_values(sample)
    if metric not in values:
        raise LaminiError(
            f"tasks.{name}.metric: the task does not measure {metric}; it has"
            f" {', '.join(sample['metrics'])}"
        )
    value = values[metric]
    if not isinstance(value, numbers.Real | np.bool_):
        raise LaminiError(
            f"tasks.{name}.metric: {metric} has no value per example, unlike accuracy;"
            f" the task has {', '.join(sample['metrics'])}"
        )
    unscored = [reason for reason in reasons if reason is not None]
    if not unscored:
        return float(value)
    if not math.isfinite(value):
        raise LaminiError(
            f"tasks.{name}.metric: {metric} has no value for row {sample['doc_id'] + 1}: one of its"
            f" texts can't be scored ({unscored[0]}); use another metric, for example acc"
        )
    # Mutual information also needs the likelihood of the choice alone, which can't be scored.
    nothing = len(unscored) == len(reasons) or metric == "acc_mutual_info"
    return 0.0 if nothing else float(value)
