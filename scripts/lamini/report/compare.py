"""Comparison of two finished runs: one page with both runs' numbers and their differences.

Tables are matched by name, columns by heading and rows by their first columns. What a run does not
have is a dash.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict

from lamini.catalogue import all_sections
from lamini.command import read_yaml
from lamini.errors import LaminiError
from lamini.files import atomic_writer, read_json
from lamini.paths import RUN_CONFIG, TABLE, within
from lamini.report import overview
from lamini.report.cells import take_marks
from lamini.report.environment import render, shown
from lamini.tables.average_tables import AverageRow
from lamini.tables.cost_table import CostRow
from lamini.tables.rows import headings
from lamini.tables.table import MISSING
from lamini.tables.table_file import FileCell, TableFile

Key = tuple[str, ...]
Column = tuple[str, int]
"""Heading of a column, and the number of equal headings before it."""
Cells = dict[Column, FileCell]


@dataclass(frozen=True)
class FinishedRun:
    """Tables and configuration of a finished run."""

    folder: Path
    tables: dict[str, TableFile]
    settings: dict[str, str] | None
    """Settings by their path with dots; None without the file of the configuration."""

    @classmethod
    def read(cls, folder: Path) -> "FinishedRun":
        """Read a results folder.

        Raises:
            LaminiError: when the folder has no tables.
        """
        pattern = within(folder, TABLE, table="*").with_suffix(".json")
        tables = {}
        for path in sorted(pattern.parent.glob(pattern.name)):
            table: TableFile = read_json(path)
            take_marks(table)
            tables[table["name"]] = table
        if not tables:
            raise LaminiError(
                f"{folder}: no tables; give the results folder of a finished run, such as results"
            )
        config = within(folder, RUN_CONFIG)
        settings = dict(_flat(read_yaml(config))) if config.is_file() else None
        return cls(folder, tables, settings)


@dataclass(frozen=True)
class MergedCell:
    """A cell of a merged table."""

    text: str
    """The value of both runs, or A's and B's."""
    value: float | None = None
    """Difference B less A of two numbers, by which the table sorts."""
    difference: str = ""
    differs: bool = False


@dataclass(frozen=True)
class MergedRow:
    """A row of a merged table."""

    cells: list[MergedCell]

    @property
    def same(self) -> bool:
        """Whether both runs have it, and nothing in it differs."""
        return not any(cell.differs for cell in self.cells)


@dataclass(frozen=True)
class Merged:
    """One table of both runs."""

    name: str
    anchor: str
    heading: str
    columns: list[str]
    numeric: list[bool]
    rows: list[MergedRow]
    only: str
    """Name of the run that alone has the table; empty if both have it."""

    @property
    def differing(self) -> int:
        """Number of rows that differ."""
        return sum(not row.same for row in self.rows)


def write_comparison(first: Path, second: Path, page: Path) -> None:
    """Write the page that compares two runs.

    Args:
        first: results folder of run A.
        second: results folder of run B.
        page: the HTML file.

    Raises:
        LaminiError: when a folder has no tables.
    """
    runs = (FinishedRun.read(first), FinishedRun.read(second))
    sections = [
        {
            "id": section.identifier,
            "heading": section.heading,
            "tables": [
                merge(entry.name, *(run.tables.get(entry.name) for run in runs))
                for entry in section.tables
                if any(entry.name in run.tables for run in runs)
            ],
        }
        for section in all_sections({name: None for run in runs for name in run.tables})
    ]
    text = render(
        "compare.html.jinja",
        runs=[str(run.folder) for run in runs],
        demo=any((run.settings or {}).get("report.reproduction") == "false" for run in runs),
        tiles=[_tile(name, digits, *map(read, runs)) for name, digits, read in _TILES],
        settings=differing_settings(*runs),
        unknown=[letter for letter, run in zip("AB", runs, strict=True) if run.settings is None],
        sections=[section for section in sections if section["tables"]],
    )
    with atomic_writer(page) as handle:
        handle.write(text)


def differing_settings(first: FinishedRun, second: FinishedRun) -> list[tuple[str, str, str]]:
    """Path and both values of each setting that differs; none if a configuration is missing."""
    if first.settings is None or second.settings is None:
        return []
    paths = dict.fromkeys([*first.settings, *second.settings])
    settings = [(p, first.settings.get(p, MISSING), second.settings.get(p, MISSING)) for p in paths]
    return [setting for setting in settings if setting[1] != setting[2]]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.dumps(value, ensure_ascii=False, default=str)


# --- Tables


def merge(name: str, first: TableFile | None, second: TableFile | None) -> Merged:
    """One table of both runs; columns and rows of the first come first."""
    none: TableFile = {
        "name": name,
        "heading": "",
        "columns": [],
        "numeric": [],
        "rows": [],
        "notes": [],
    }
    tables = [table or none for table in (first, second)]
    columns = list(dict.fromkeys(key for table in tables for key in _columns(table)))
    lengths = [_unique_columns(table["rows"]) for table in tables]
    rows = [_rows(table, max(lengths)) for table in tables]
    keys = dict.fromkeys(key for each in rows for key in each)
    heading = next(table["heading"] for table in (first, second) if table)
    only = "" if first and second else ("A" if first else "B")
    numeric = {
        key: True
        for table in tables
        for key, number in zip(_columns(table), table["numeric"], strict=True)
        if number
    }
    return Merged(
        name=name,
        anchor=f"table-{name}",
        heading=heading,
        columns=[heading for heading, _ in columns],
        numeric=[key in numeric for key in columns],
        rows=[_row(columns, *(each.get(key) for each in rows)) for key in keys],
        only=only,
    )


def _columns(table: TableFile) -> list[Column]:
    seen: Counter[str] = Counter()
    columns = []
    for heading in table["columns"]:
        columns.append((heading, seen[heading]))
        seen[heading] += 1
    return columns


def _unique_columns(rows: list[list[FileCell]]) -> int:
    """Smallest number of first columns that distinguish all rows; all columns if none does."""
    width = len(rows[0]) if rows else 1
    for count in range(1, width):
        if len({_key(row[:count]) for row in rows}) == len(rows):
            return count
    return width


def _key(cells: Iterable[FileCell]) -> tuple[str, ...]:
    """Texts of cells; those of words without the mark of a row that was made differently."""
    values = ((cell["value"], cell["text"]) for cell in cells)
    return tuple(value if isinstance(value, str) and value else text for value, text in values)


def _rows(table: TableFile, count: int) -> dict[Key, Cells]:
    """Cells by column of each row; the key is the text of its first columns."""
    rows: dict[Key, Cells] = {}
    for number, row in enumerate(table["rows"]):
        key = _key(row[:count])
        key = (*key, str(number)) if key in rows else key
        rows[key] = dict(zip(_columns(table), row, strict=True))
    return rows


def _row(columns: Iterable[Column], first: Cells | None, second: Cells | None) -> MergedRow:
    pairs = [((first or {}).get(key), (second or {}).get(key)) for key in columns]
    cells = [_cell(*pair) for pair in pairs]
    if first is None or second is None:  # the first column names the row in either
        named = next(cell["text"] for cell in pairs[0] if cell is not None)
        cells[0] = MergedCell(f"{named} (only in {'A' if first else 'B'})", differs=True)
    return MergedRow(cells)


def _cell(first: FileCell | None, second: FileCell | None) -> MergedCell:
    one, other = (MISSING if cell is None else cell["text"] for cell in (first, second))
    text = one if one == other else f"{one} → {other}"
    value = None
    if first is not None and second is not None:
        value = _difference(first["value"], second["value"])
    if value is None or one == other or first is None:
        return MergedCell(text, value=value, differs=one != other)
    difference = shown(value, first["digits"], signed=True)
    return MergedCell(text, value=value, difference=difference, differs=True)


def _difference(first: object, second: object) -> float | None:
    """The second number less the first; None if one is not a number."""
    if isinstance(first, int | float) and isinstance(second, int | float):
        return second - first
    return None


# --- First screen


def _result(run: FinishedRun) -> overview.Result | None:
    """The result; None for a run without averages, or of a version with other columns."""
    table = run.tables.get("averages")
    count = len(fields(AverageRow))
    known = table is not None and table["columns"][:count] == headings(AverageRow)
    return overview.result(table) if table and known else None


def _cost(run: FinishedRun) -> CostRow | None:
    table = run.tables.get("cost")
    known = table is not None and table["columns"] == headings(CostRow)
    return overview.costs(table) if table and known else None


def _of(read: Callable[[FinishedRun], Any], name: str) -> Callable[[FinishedRun], float | None]:
    """Reader of one attribute; None where the run lacks it."""
    return lambda run: getattr(read(run), name, None)


_TILES: tuple[tuple[str, int, Callable[[FinishedRun], float | None]], ...] = (
    ("average of the students", 1, _of(_result, "average")),
    ("gain over their base models", 1, _of(_result, "gain")),
    ("US$ paid to the teacher", 2, _of(_cost, "dollars")),
    ("GPU-hours", 1, _of(_cost, "gpu_hours")),
    ("hours of all jobs", 1, _of(_cost, "hours")),
)


class _Tile(TypedDict):
    """A number of both runs on the first screen."""

    name: str
    values: list[str]
    difference: str


def _tile(name: str, digits: int, first: float | None, second: float | None) -> _Tile:
    return {
        "name": name,
        "values": [shown(value, digits) for value in (first, second)],
        "difference": shown(_difference(first, second), digits, signed=True),
    }
