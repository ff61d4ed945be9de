"""The user-oriented instructions that all rated models answer (section 4.2)."""

from pathlib import Path
from typing import Any

import orjson

from lamini.errors import LaminiError
from lamini.generation.data_files import numbered_lines
from lamini.generation.seeds import BadRow, prompt_of, reason_in_words
from lamini.user_text import json_fault

Row = dict[str, Any]


def read_instructions(path: Path) -> list[Row]:
    """Read the instructions with their inputs.

    Args:
        path: JSONL in self-instruct's layout, see `lamini.evaluation.answers`.

    Returns:
        Rows of `id`, `motivation_app` and `instruction` (with its input, `instruction:input`).

    Raises:
        LaminiError: names the line that is not valid, without an instruction, or with a missing or
            repeated id.
    """
    lines: dict[str, int] = {}
    rows: list[Row] = []
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
