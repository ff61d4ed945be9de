"""Measurement conditions of a score (protocol, precision, examples, data), and their comparison."""

from collections import Counter
from collections.abc import Iterable

from lamini.evaluation.results import EvaluationResult

Facts = dict[str, str]


def measured_facts(result: EvaluationResult) -> Facts:
    """Protocol, precision, numbers of examples and SHA-256 of the data of an evaluation result."""
    return {
        "protocol": result.protocol,
        "precision": result.precision,
        "examples": f"{result.examples:,}",
        "solved examples": f"{result.num_fewshot or 0}",
        "data digest": result.data.sha256[:8],
    }


def published_facts(result: EvaluationResult) -> Facts:
    """Known measurement conditions of the published score of the same task."""
    return {"protocol": "paper", "examples": f"{result.examples_published:,}"}


def differing(first: Facts, second: Facts) -> list[str]:
    """Facts that are known for both and differ, for example `precision fp32 against bf16`."""
    return [
        f"{name} {first[name]} against {second[name]}" for name in differing_names(first, second)
    ]


def differing_names(first: Facts, second: Facts) -> list[str]:
    """Names of the facts that differ, for example `precision`."""
    return [name for name in first if name in second and first[name] != second[name]]


def usual_facts(results: Iterable[EvaluationResult]) -> Facts:
    """Most frequent combination of measurement conditions among some results."""
    found = Counter(tuple(measured_facts(result).items()) for result in results)
    return dict(found.most_common(1)[0][0])


def same_examples(first: EvaluationResult, second: EvaluationResult) -> bool:
    """Whether two results hold values of the same examples, in the same order."""
    return (first.data.sha256, first.examples) == (second.data.sha256, second.examples)
