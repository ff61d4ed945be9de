"""The instructions that all rated models answer: user-oriented ones (section 4.2), or a study's."""

from pathlib import Path
from typing import TypedDict

import orjson

from lamini.errors import LaminiError
from lamini.generation.data_files import numbered_lines
from lamini.generation.seeds import BadRow, prompt_of, reason_in_words
from lamini.user_text import json_fault


class Instruction(TypedDict):
    """One of the instructions."""

    id: str
    motivation_app: str
    """The app that it belongs to."""
    instruction: str
    """With its input, `instruction:input`."""


def read_instructions(path: Path) -> list[Instruction]:
    """Read the instructions with their inputs.

    Args:
        path: JSONL in self-instruct's layout, see `lamini.evaluation.answers`; or Parquet with the
            columns `question` and `category`, as `MBZUAI/LaMini-Hallucination` has.

    Returns:
        Rows of `id`, `motivation_app` and `instruction` (with its input, `instruction:input`).

    Raises:
        LaminiError: names the line that is not valid, without an instruction, or with a missing or
            repeated id.
    """
    if path.suffix == ".parquet":
        return _read_questions(path)
    lines: dict[str, int] = {}
    rows: list[Instruction] = []
    for number, line in numbered_lines(path):
        try:
            row = orjson.loads(line)
            instruction = prompt_of(row, "self_instruct")
        except orjson.JSONDecodeError as error:
            raise LaminiError(json_fault(line, path, error, number)) from None
        except BadRow as error:
            reason = reason_in_words(str(error), row)
            raise LaminiError(f"{path}, line {number}: {reason}; correct it") from None
        identifier = row.get("id")
        if not isinstance(identifier, str):
            raise LaminiError(f"{path}, line {number}: has no text `id`; write one")
        if (first := lines.setdefault(identifier, number)) != number:
            raise LaminiError(
                f"{path}, line {number}: the id {identifier!r} is that of line {first};"
                " write another"
            )
        rows.append(
            {
                "id": identifier,
                "motivation_app": str(row.get("motivation_app", "")),
                "instruction": instruction,
            }
        )
    if not rows:
        raise LaminiError(f"{path}: has no instructions")
    return rows


def _read_questions(path: Path) -> list[Instruction]:
    """Questions of a Parquet file; the id is category and row, the category stands for the app."""
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise LaminiError(f"{path}: is no readable Parquet file ({error}); restore it") from error
    if missing := {"question", "category"} - set(frame.columns):
        raise LaminiError(
            f"{path}: has no column {', '.join(sorted(missing))}; found {', '.join(frame.columns)}"
        )
    rows: list[Instruction] = []
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        question, category = row["question"], row["category"]
        if not isinstance(question, str) or not question.strip() or not isinstance(category, str):
            raise LaminiError(f"{path}, row {number}: needs a question and a category; restore it")
        rows.append(
            {
                "id": f"{category}_{number}",
                "motivation_app": category,
                "instruction": question.strip(),
            }
        )
    if not rows:
        raise LaminiError(f"{path}: has no questions")
    return rows
