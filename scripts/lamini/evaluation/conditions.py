"""Measurement conditions of a score (protocol, precision, examples, data), and their comparison."""

from collections import Counter
from collections.abc import Iterable

from lamini.evaluation.results import EvaluationResult

Conditions = dict[str, str]
"""Value of each measurement condition, by its name."""


def conditions_of(result: EvaluationResult) -> Conditions:
    """Protocol, precision, numbers of examples and SHA-256 of the data of an evaluation result."""
    return {
        "protocol": result.protocol,
        "precision": result.precision,
        "examples": f"{result.examples:,}",
        "solved examples": f"{result.num_fewshot or 0}",
        "data digest": result.data.sha256[:8],
    }


def published_conditions(result: EvaluationResult) -> Conditions:
    """Known measurement conditions of the published score of the same task."""
    return {"protocol": "paper", "examples": f"{result.examples_published:,}"}


def differing(first: Conditions, second: Conditions) -> list[str]:
    """Conditions that are known for both and differ, for example `precision fp32 against bf16`."""
    return [
        f"{name} {first[name]} against {second[name]}" for name in differing_names(first, second)
    ]


def differing_names(first: Conditions, second: Conditions) -> list[str]:
    """Names of the conditions that differ, for example `precision`."""
    return [name for name in first if name in second and first[name] != second[name]]


def usual_conditions(results: Iterable[EvaluationResult]) -> Conditions:
    """Most frequent combination of measurement conditions among some results."""
    counts = Counter(tuple(conditions_of(result).items()) for result in results)
    return dict(counts.most_common(1)[0][0])


def same_examples(first: EvaluationResult, second: EvaluationResult) -> bool:
    """Whether two results hold values of the same examples, in the same order."""
    return (first.data.sha256, first.examples) == (second.data.sha256, second.examples)
