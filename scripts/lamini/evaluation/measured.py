"""What `lm_eval.evaluate` returns: the keys that are read here."""

from collections.abc import Mapping
from typing import Any, TypedDict


class Sample(TypedDict):
    """One example with one filter. It also has a value for each metric (`metric_values`)."""

    doc_id: int
    """Number of the example, from 0."""
    filter: str
    arguments: list[tuple[Any, ...]]
    """Of each request: the context, then the continuation, or settings of the generation."""
    resps: list[Any]
    """Of each request: all answers of the model."""
    filtered_resps: list[Any]
    """Of each request: log-likelihood and whether it is the most likely text; or a text."""
    target: object
    metrics: list[str]
    """Names of the metrics."""


class Measured(TypedDict):
    """The results of some tasks."""

    samples: dict[str, list[Sample]]
    """Examples by task."""
    configs: dict[str, dict[str, object]]
    """Definitions by task."""


def metric_values(sample: Sample) -> Mapping[str, object]:
    """The values of a sample by metric, among its other keys."""
    return sample
