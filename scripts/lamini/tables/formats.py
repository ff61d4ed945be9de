"""The file formats of a table: CSV, Markdown, LaTeX, and JSON for the report."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from lamini.files import atomic_writer, write_json
from lamini.tables.latex import write_latex
from lamini.tables.table import Cell, TitledTable
from lamini.tables.table_file import FileCell, TableFile

ROW_MARKS = "Made differently"
"""Last column of a CSV file with marked rows; in the other formats a note says the same."""


def write_table(table: TitledTable, outputs: Mapping[str, str | Path]) -> None:
    """Write a table in each requested file format.

    Args:
        table: the table.
        outputs: paths by file format: "csv", "md", "tex", "json".
    """
    writers = {"csv": _write_csv, "md": _write_markdown, "tex": write_latex, "json": _write_json}
    for form, path in outputs.items():
        writers[form](table, Path(path))


def _write_csv(table: TitledTable, path: Path) -> None:
    with atomic_writer(path) as handle:
        writer = csv.writer(handle, lineterminator="\n")
        marks = [[mark] for mark in table.row_marks] or [[]] * len(table.rows)
        writer.writerow([*table.columns, *([ROW_MARKS] if table.row_marks else [])])
        for row, mark in zip(table.rows, marks, strict=True):
            writer.writerow([*map(_raw, row), *mark])


def _raw(cell: Cell) -> str:
    """Number with its shown decimals, without separators or marks; empty if missing."""
    if cell.value is None:
        return ""
    return cell.value if isinstance(cell.value, str) else f"{cell.value:.{cell.digits}f}"


def _write_markdown(table: TitledTable, path: Path) -> None:
    numeric = table.numeric_columns()
    lines = [f"**{table.heading}**", ""]
    lines.append(_markdown_row(table.columns))
    lines.append("|" + "|".join("--:" if number else ":--" for number in numeric) + "|")
    for row in table.rows:
        texts = [cell.text(table.mark) for cell in row]
        lines.append(
            _markdown_row([f"**{t}**" if c.bold else t for t, c in zip(texts, row, strict=True)])
        )
    for note in table.all_notes():
        lines += ["", note]
    with atomic_writer(path) as handle:
        handle.write("\n".join(lines) + "\n")


def _markdown_row(texts: Sequence[str]) -> str:
    escaped = (t.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for t in texts)
    return "| " + " | ".join(escaped) + " |"


def _write_json(table: TitledTable, path: Path) -> None:
    content: TableFile = {
        "name": table.name,
        "heading": table.heading,
        "columns": table.columns,
        "numeric": table.numeric_columns(),
        "rows": [[_json_cell(cell, table.mark) for cell in row] for row in table.rows],
        "notes": table.all_notes(),
    }
    write_json(path, content)


def _json_cell(cell: Cell, mark: str) -> FileCell:
    return {
        "value": cell.value,
        "ours": cell.ours,
        "digits": cell.digits,
        "bold": cell.bold,
        "signed": cell.signed,
        "suffix": cell.suffix,
        "interval": cell.interval,
        "text": cell.text(mark),
        "interval_text": cell.interval_text(),
    }
