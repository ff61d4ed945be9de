"""What a score was measured with, and in which of these facts two scores differ."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Result = Mapping[str, Any]
Facts = dict[str, str]


def measured_facts(result: Result) -> Facts:
    """Protocol, precision, number of examples and digest of the data of an evaluation result."""
    return {
        "protocol": result["protocol"],
        "precision": result["precision"],
        "examples": f"{result['examples']:,}",
        "data digest": result["data"]["sha256"][:8],
    }


def published_facts(result: Result) -> Facts:
    """As far as it is known, what the published score of the same task was measured with."""
    return {"protocol": "paper", "examples": f"{result['examples_published']:,}"}


def differing(first: Facts, second: Facts) -> list[str]:
    """The facts known of both that differ, such as `precision fp32 against bf16`."""
    return [
        f"{name} {first[name]} against {second[name]}" for name in differing_names(first, second)
    ]


def differing_names(first: Facts, second: Facts) -> list[str]:
    """Only what differs, such as `precision`."""
    return [name for name in first if name in second and first[name] != second[name]]


def usual_facts(results: Iterable[Result]) -> Facts:
    """What most of some results were measured with."""
    found = Counter(tuple(measured_facts(result).items()) for result in results)
    return dict(found.most_common(1)[0][0])


def same_examples(first: Result, second: Result) -> bool:
    """Whether two results have the values of the same examples, in the same order."""
    return (first["data"]["sha256"], first["examples"]) == (
        second["data"]["sha256"], second["examples"],
    )  # fmt: skip
