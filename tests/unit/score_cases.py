"""Shared by the tests of score tables: result files in the evaluation's format."""

import csv
import json
from pathlib import Path
from typing import Any

from lamini.evaluation.results import summarize
from lamini.tables.make import make_table

PAPER = Path(__file__).parents[2] / "config/paper"
PUBLISHED = {
    "published": str(PAPER / "eval_results.csv"),
    "collection": str(PAPER / "models.csv"),
}
AUTHORS = {"published": str(PAPER / "authors_results.csv")}


def result_file(model: str, task: str, **changes: Any) -> str:
    """Write a result with some fields; returns its path.

    Args:
        model: key of the model.
        task: key of the task.
        changes: fields; `values` alone give score, interval and number of examples.
    """
    result: dict[str, Any] = {"model": model, "task": task, "protocol": "paper"}
    result |= {"precision": "fp32", "data": {"sha256": "aa" * 32, "source": "mirror"}}
    if "values" in changes:
        values = changes["values"]
        result |= {**summarize(values, 200, 1), "examples": len(values)}
    result |= changes
    result.setdefault("examples_published", result["examples"])
    path = Path(f"evals/{model}/{task}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))
    return str(path)


def score_file(model: str, task: str, score: float, **changes: Any) -> str:
    """A result with a score of RTE or SST, and an interval of two points to each side."""
    size = {"rte": 277, "sst2": 872}[task]
    fields = {"score": score, "interval": [score - 2, score + 2], "examples": size}
    return result_file(model, task, **{**fields, "examples_published": size, **changes})


def made_table(
    name: str, inputs: dict[str, Any], params: dict[str, Any]
) -> tuple[list[dict[str, str]], str, list[list[dict[str, Any]]]]:
    """Make a table; its rows by heading, its Markdown, and its cells."""
    outputs: dict[str, str | Path] = {f: f"{name}.{f}" for f in ("csv", "md", "tex", "json")}
    make_table(name, inputs, {"reproduction": True} | params, outputs)
    with open(f"{name}.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    cells = json.loads(Path(f"{name}.json").read_text())["rows"]
    return rows, Path(f"{name}.md").read_text(), cells
