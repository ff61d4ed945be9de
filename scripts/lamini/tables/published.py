"""Reading CSV files, and the published numbers in `config/paper/*.csv`."""

import csv
from pathlib import Path
from typing import TypedDict

from lamini.errors import LaminiError


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Rows of a CSV file, by column.

    Raises:
        LaminiError: when the file is missing or has no header.
    """
    if not Path(path).is_file():
        raise LaminiError(f"{path}: no such file; restore it, or run `snakemake {path}`")
    with open(path, encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        if reader.fieldnames is None:
            raise LaminiError(f"{path}: empty; restore it, or remove it and run `snakemake {path}`")
        return list(reader)


def number(text: str | None) -> float | None:
    """A CSV field as a number; None if it is empty."""
    return float(text) if text not in (None, "") else None


def published_scores(path: str | Path) -> dict[str, dict[str, float]]:
    """Published scores by model name and task name; "Average" is the average."""
    scores: dict[str, dict[str, float]] = {}
    for row in read_csv(path):
        scores.setdefault(row["model"], {})[row["task"]] = float(row["score"])
    return scores


class PublishedModel(TypedDict):
    """A model of the published evaluation, as its CSV file writes it."""

    model: str
    family: str
    params: str
    kind: str


def published_models(path: str | Path) -> list[PublishedModel]:
    """Models of the published evaluation, in the file's order."""
    seen: dict[str, PublishedModel] = {}
    for row in read_csv(path):
        model = row["model"]
        seen.setdefault(
            model,
            {
                "model": model,
                "family": row["family"],
                "params": row["params"],
                "kind": row["kind"],
            },
        )
    return list(seen.values())
