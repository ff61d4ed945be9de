"""Check of local seed files before the first job: what is refused, and which rows are left out.

The first MiB of each file is read, of a table the first 4096 rows, and of a collection the first 16
MiB, so that the check takes no second. A JSON list that is larger is not checked, as it has no
first part. `prepare_prompts` reads all rows and counts those that it leaves out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from lamini.errors import LaminiError
from lamini.files import resolve_path
from lamini.generation.data_files import (
    TABLES,
    data_files,
    has_lines,
    json_values,
    numbered_lines,
)
from lamini.generation.seeds import BadRow, prompt_of, reason_in_words, rows_of_table
from lamini.settings.sources import SeedData
from lamini.user_files import HASHED_BYTES
from lamini.user_text import json_fault

_ALL_BYTES = 16 * HASHED_BYTES
_TABLE_ROWS = 4096
_SHOWN = 5


@dataclass
class SeedFaults:
    """Faults of a collection."""

    errors: list[str] = field(default_factory=list)
    """The run cannot use the collection."""
    left_out: list[str] = field(default_factory=list)
    """Rows that the run leaves out, or uses twice; the last line says how many more there are."""


@dataclass(frozen=True)
class _Row:
    location: str
    """File with line or row."""
    value: Any
    fault: str | None = None
    """What is wrong with its text, with its location."""


def check_seeds(seeds: SeedData) -> SeedFaults:
    """Check the local files of a collection; one on the hub has no faults.

    Args:
        seeds: an existing file or folder, and the format of its rows.
    """
    faults = SeedFaults()
    if seeds.local is None:
        return faults
    root = resolve_path(seeds.local.path)
    try:
        entries = list(_rows(data_files(root), seeds))
    except LaminiError as error:
        faults.errors.append(str(error))
        return faults
    rows = [row for row in entries if row is not None]
    known: dict[str, str] = {}
    good = 0
    for row in rows:
        fault = _fault(row, seeds)
        if fault is None:
            good += 1
            fault = _repeated(row, seeds, known)
        if fault is not None:
            faults.left_out.append(fault)
    if not good and len(rows) == len(entries):
        first = f"; the first: {faults.left_out[0]}" if rows else ""
        faults.errors.append(
            f"{root}: none of {len(rows)} rows gives a prompt in the format `{seeds.format}`"
            f"{first}. Choose another `seeds.format`, or write the prompts to the columns that this"
            " one reads"
        )
    more = len(faults.left_out) - _SHOWN
    faults.left_out[_SHOWN:] = [f"... and {more} more"] if more > 0 else []
    return faults


def _rows(files: list[Path], seeds: SeedData) -> Iterator[_Row | None]:
    """The rows of all files; None for the rest of a file."""
    left = _ALL_BYTES
    for path in files:
        budget = min(left, HASHED_BYTES)
        if budget <= 0:
            yield None
            return
        if path.suffix in TABLES:
            rows = _of_table(path, seeds.format)
        elif has_lines(path):
            rows = _of_lines(path, budget)
        else:
            rows = _of_list(path) if path.stat().st_size <= budget else iter([None])
        for number, row in enumerate(rows):
            if seeds.max_rows_per_subset is not None and number >= seeds.max_rows_per_subset:
                break
            yield row
        left -= min(budget, path.stat().st_size)


def _of_table(path: Path, form: str) -> Iterator[_Row | None]:
    for number, row in enumerate(rows_of_table(path, form), start=1):
        if number > _TABLE_ROWS:
            yield None
            return
        yield _Row(f"{path}, row {number}", row)


def _of_list(path: Path) -> Iterator[_Row | None]:
    for number, row in enumerate(json_values(path), start=1):
        yield _Row(f"{path}, row {number}", row)


def _of_lines(path: Path, budget: int) -> Iterator[_Row | None]:
    for number, line in numbered_lines(path):
        budget -= len(line)
        if budget < 0:
            yield None
            return
        location = f"{path}, line {number}"
        try:
            yield _Row(location, orjson.loads(line))
        except orjson.JSONDecodeError as error:
            yield _Row(location, None, json_fault(line, path, error, number))


def _fault(row: _Row, seeds: SeedData) -> str | None:
    """Why a row gives no prompt, with its location; None if it gives one."""
    if row.fault is not None:
        return row.fault
    try:
        prompt = prompt_of(row.value, seeds.format)
        if seeds.max_characters is not None and len(prompt) > seeds.max_characters:
            raise BadRow("too_long")
    except BadRow as error:
        return f"{row.location}: {reason_in_words(str(error), row.value)}; correct it"
    return None


def _repeated(row: _Row, seeds: SeedData, known: dict[str, str]) -> str | None:
    """Message if a user's own row repeats the prompt of an earlier one; public data repeat some."""
    if seeds.format != "jsonl":
        return None
    here = row.location
    first = known.setdefault(prompt_of(row.value, seeds.format), here)
    return None if first == here else f"{here}: the same prompt as in {first}; remove one"
