"""The page with the answers of all models side by side, for each instruction of the study."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lamini.catalogue.params.report import ReportParams
from lamini.files import atomic_writer, read_jsonl
from lamini.report.environment import render, script_json
from lamini.tables.published import read_csv

Rated = dict[tuple[str, str], dict[str, list[str]]]


def write_answers(
    answers: Iterable[Path], ratings: Path | None, params: ReportParams, page: str | Path
) -> int:
    """Write the page; returns the number of instructions.

    Args:
        answers: JSONL of each rated model, in the order of `params.rated`.
        ratings: CSV of the study; None without a study of models.
        params: params of the report.
        page: the HTML file.
    """
    instructions = _instructions(answers, ratings)
    data = {
        "models": [model.model_dump() for model in params.rated],
        "instructions": instructions,
    }
    text = render(
        "answers.html.jinja", params=params, count=len(instructions), data=script_json(data)
    )
    with atomic_writer(page) as handle:
        handle.write(text)
    return len(instructions)


def _instructions(files: Iterable[Path], ratings: Path | None) -> list[dict[str, Any]]:
    """Instructions of the study in the order of the files, each with one answer per model."""
    rated = _rated(ratings) if ratings else {}
    wanted = {identifier for identifier, _ in rated}
    instructions: dict[str, dict[str, Any]] = {}
    for file in files:
        for row in read_jsonl(file):
            if row["id"] in wanted:
                one = instructions.setdefault(
                    row["id"],
                    {
                        "id": row["id"],
                        "kind": row["motivation_app"],
                        "text": row["instruction"],
                        "answers": [],
                    },
                )
                answer = {"text": row["response"], "cut": row["truncated"]}
                levels = rated.get((row["id"], file.stem))
                one["answers"].append(answer | ({"levels": levels} if levels else {}))
    return list(instructions.values())


def _rated(path: Path) -> Rated:
    """Levels by instruction and model, then by rater; empty lists before anybody has rated."""
    levels: Rated = {}
    for row in read_csv(path):
        by_rater = levels.setdefault((row["source_id"], row["subject"]), {})
        if row["rating"]:
            by_rater.setdefault(row["rater"], []).append(row["rating"])
    return levels
