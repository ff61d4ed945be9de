"""Additional card sections: teacher and contamination of the data, scores, exported files."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lamini.catalogue.paper import PAPER_TEACHER
from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.evaluation.conditions import conditions_of, differing
from lamini.evaluation.results import EvaluationResult
from lamini.exports.results import ExportCheck
from lamini.paths import EVALUATION, within
from lamini.settings import Config


def teacher_section(manifest: Path) -> str:
    """Section that names the models whose answers a student learned from.

    Args:
        manifest: the manifest of its dataset.
    """
    models = DatasetManifest.read(manifest).models
    if not models:
        text = f"The responses are those of the released dataset, by {PAPER_TEACHER}."
    else:
        counts = ", ".join(f"{name} ({count:,})" for name, count in sorted(models.items()))
        text = f"Number of responses by each model: {counts}."
    return f"""
## Teacher

{text}
"""


def contamination_section(table: Path, mixture: str) -> str:
    """Section on pairs and evaluated examples that share word sequences.

    Args:
        table: `contamination.csv` of the mixture's analysis.
        mixture: the section shows its rows for all sources together.

    Raises:
        LaminiError: when the table has no row for the mixture.
    """
    with open(table, encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["instruction_source"] == mixture]
    if not rows:
        raise LaminiError(f"{table}: has no row for mixture {mixture}; remake it")
    sizes = sorted(int(c.removeprefix("pairs_")) for c in rows[0] if c.startswith("pairs_"))
    header = ["task", "examples"]
    header += [f"{what} sharing {n} words" for n in sizes for what in ("examples", "pairs")]
    body = [
        [
            row["task"].replace("_", " "),
            _count(row["examples"]),
            *(_count(row[f"{what}_{n}"]) for n in sizes for what in ("examples", "pairs")),
        ]
        for row in rows
    ]
    return f"""
## Contamination

How many pairs of the data `{mixture}` share that many words in a row with an evaluated example of a
task, and how many examples are so affected. Scores on such examples may be recall.

{_table(header, body)}
"""


def evaluation_section(
    results: Path, config: Config, model: str, initialization: str
) -> tuple[str, list[str]]:
    """Section with the scores of a student and of its initialization.

    Args:
        results: the results folder.
        config: names of tasks and models, and the list of evaluated tasks.
        model: the student.
        initialization: key of the model whose weights it started from; may be empty.

    Returns:
        The section, empty if there are no scores; and the names of tasks without a score.
    """
    rows, missing, protocols = [], [], set()
    for task in config.evaluated_tasks:
        name, result = config.tasks[task].name, _result(results, model, task)
        if result is None:
            missing.append(name)
            continue
        protocols.add(result.protocol)
        before = _result(results, initialization, task)
        rows.append(
            [
                name,
                result.metric,
                _count(result.examples),
                f"{result.score:.1f}{_interval(result)}",
                _initial_score(before, result) if before else "",
            ]
        )
    if not rows:
        return "", missing
    initial = config.models[initialization].name if initialization else "start"
    header = ["task", "metric", "examples", "this model", initial]
    section = f"""
## Evaluation

Zero-shot, prompts of the protocol `{", ".join(sorted(protocols))}`, times 100, with 95 % intervals.

{_table(header, rows)}
"""
    return section, missing


def exports_section(checks: list[ExportCheck], config: Config) -> str:
    """Section on the exported files: equal greedy tokens, and the change of score.

    Args:
        checks: of all files of one student.
        config: names of tasks.
    """
    header = ["file", "MB", "equal greedy tokens (%)", "equal answers", "score", "change"]
    body = [
        [
            check.file.removesuffix("/manifest.json"),
            f"{check.bytes / 1e6:,.1f}",
            f"{100 * check.token_share:.2f}",
            f"{check.equal_answers:,} of {check.instructions:,}",
            f"{check.score:.1f}",
            f"{check.change:+.1f}",
        ]
        for check in checks
    ]
    first = checks[0]
    return f"""
## Exports

Each file was run by {", ".join(sorted({check.program for check in checks}))} and compared with this
checkpoint. Equal greedy tokens: on {first.instructions:,} user-oriented instructions, each token
after the checkpoint's tokens before it. Score: {first.metric} on {config.tasks[first.task].name},
times 100, and its change from the checkpoint's score.

{_table(header, body)}
"""


def _interval(result: EvaluationResult) -> str:
    return "" if result.interval is None else " ({:.1f} to {:.1f})".format(*result.interval)


def _initial_score(before: EvaluationResult, result: EvaluationResult) -> str:
    """Score of the initialization, with the conditions that differ from the student's score."""
    unlike = differing(conditions_of(before), conditions_of(result))
    return f"{before.score:.1f}" + (f" (≠ {'; '.join(unlike)})" if unlike else "")


def _result(results: Path, model: str, task: str) -> EvaluationResult | None:
    path = within(results, EVALUATION, model=model, task=task)
    return EvaluationResult.read(path) if path.is_file() else None


def _count(value: Any) -> str:
    return f"{int(value):,}"


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
