"""Shared by the tests of score tables: result files in the evaluation's format."""

import csv
import json
from pathlib import Path
from typing import Any

from lamini.catalogue.params.common import ItemParams
from lamini.evaluation.results import EvaluationResult, summarize
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
    path = f"evals/{model}/{task}.json"
    result(model, task, **changes).write(path)
    return path


def result(model: str, task: str, **changes: Any) -> EvaluationResult:
    """A result with some fields, as in `result_file`."""
    fields: dict[str, Any] = {"values": [], "standard_error": None, "interval": None}
    if "values" in changes:
        values = changes["values"]
        fields |= {**summarize(values, 200, 1), "examples": len(values)}
    fields |= changes
    data = {"source": "mirror", "repo": "r", "config": None, "split": "test", "revision": None}
    data |= {"rows": fields["examples"], "sha256": "aa" * 32} | changes.get("data", {})
    defaults = {
        "model": model,
        "task": task,
        "metric": "acc",
        "examples_published": fields["examples"],
        "task_version": 1.0,
        "requests_hash": "ee" * 16,
        "truncated": 0,
        "unscorable": 0,
        "protocol": "paper",
        "precision": "fp32",
        "prompt_format": None,
        "model_path": f"results/pretrained/{model}",
        "model_revision": None,
        "model_manifest_sha256": None,
        "packages": {},
    }
    return EvaluationResult.model_validate(defaults | fields | {"data": data})


def score_file(model: str, task: str, score: float, **changes: Any) -> str:
    """A result with a score of RTE or SST, and an interval of two points to each side."""
    size = {"rte": 277, "sst2": 872}[task]
    fields = {"score": score, "interval": [score - 2, score + 2], "examples": size}
    return result_file(model, task, **{**fields, "examples_published": size, **changes})


def item_params(params: dict[str, Any], *, reproduction: bool) -> ItemParams:
    """Params of a table or figure, with those of its builder."""
    common = {"kind": "k", "reproduction": reproduction, "published_files": None, "version": 1}
    return ItemParams.model_validate(common | params)


def student(key: str, name: str, **changes: Any) -> dict[str, Any]:
    """Facts of a student as in the params of tables."""
    facts = {"architecture": "decoder-only", "initialization": "Start", "learning_rate": 2e-5}
    return {"key": key, "name": name, **facts, **changes}


def scored(key: str, name: str, **changes: Any) -> dict[str, Any]:
    """Facts of a model as in the params of tables of scores."""
    facts = {"role": "student", "architecture": "decoder-only", "family": "T5"}
    return {"key": key, "name": name, **facts, "parameters": 1_000_000, **changes}


def made_table(
    name: str, inputs: dict[str, Any], params: dict[str, Any]
) -> tuple[list[dict[str, str]], str, list[list[dict[str, Any]]]]:
    """Make a table; its rows by heading, its Markdown, and its cells."""
    outputs: dict[str, str | Path] = {f: f"{name}.{f}" for f in ("csv", "md", "tex", "json")}
    make_table(name, inputs, item_params(params, reproduction=True), outputs)
    with open(f"{name}.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    cells = json.loads(Path(f"{name}.json").read_text())["rows"]
    return rows, Path(f"{name}.md").read_text(), cells
