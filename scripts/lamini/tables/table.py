"""A table and its cells; `lamini.tables.formats` writes them.

Cells measured by this run are distinguished from published ones. A run that does not reproduce the
paper (the demo) marks each of its numbers.
"""

from dataclasses import dataclass, field
from typing import Any

MISSING = "–"
DEMO_MARK = "†"
DEMO_NOTE = (
    f"{DEMO_MARK} from the embedded demo: shows that the pipeline works, reproduces nothing."
)


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Args:
        value: a number, a text, or None if there is no value.
        ours: whether this run measured the value.
        digits: number of decimals shown.
        bold: whether the value is shown in bold, such as the best of a row.
        signed: whether a positive number is shown with a plus sign, as for a difference.
        suffix: text after the value, such as a mark that the notes explain; not in the CSV.
        interval: lower and upper end of the number's 95 % confidence interval.
    """

    value: float | int | str | None
    ours: bool = False
    digits: int = 0
    bold: bool = False
    signed: bool = False
    suffix: str = ""
    interval: tuple[float, float] | None = None

    def text(self, mark: str = "") -> str:
        """Text of the value; `mark` is appended to numbers of this run."""
        if self.value is None or self.value == "":
            return MISSING + self.suffix
        if isinstance(self.value, str):
            return self.value + self.suffix
        shown = f"{self.value:{self._sign},.{self.digits}f}{self.suffix}"
        return shown + (mark if self.ours else "")

    def interval_text(self) -> str | None:
        """Text of the interval, shown below the number; None without an interval."""
        if self.interval is None:
            return None
        low, high = (f"{end:{self._sign},.{self.digits}f}" for end in self.interval)
        return f"{low} to {high}"

    @property
    def _sign(self) -> str:
        return "+" if self.signed else ""


@dataclass
class Table:
    """Result of a builder; the catalogue has the name and the title.

    Args:
        columns: headings.
        rows: rows of cells, one cell per column.
        notes: lines below the table.
        summary: verdict of the table in one line; its first note, repeated on the front page.
        title_values: values for the placeholders of the title.
        row_files: per row, the files that it was made from, directly or through other files; `*`
            stands for any name. A row without files is compared with no other row. Empty: no row
            is (`lamini.tables.row_records`).
        row_marks: per row, what differs from most rows in how it was made. Empty: nothing does.

    Raises:
        ValueError: when a row does not have one cell per column, or not all rows have `row_files`.
    """

    columns: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)
    summary: str | None = None
    title_values: dict[str, str] = field(default_factory=dict)
    row_files: list[list[str]] = field(default_factory=list)
    row_marks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(row)} cells, {len(self.columns)} columns: {self.columns}")
        if self.row_files and len(self.row_files) != len(self.rows):
            raise ValueError(f"files of {len(self.row_files)} rows; there are {len(self.rows)}")


@dataclass(kw_only=True)
class TitledTable(Table):
    """A table as it is printed.

    Args:
        name: name as in the file name: "04", "generation".
        title: caption.
        heading: caption with the table's number, if it has one.
        reproduction: whether numbers of this run need no mark.
    """

    name: str
    title: str
    heading: str
    reproduction: bool

    @property
    def mark(self) -> str:
        """Mark after each number of this run; empty in a reproduction."""
        return "" if self.reproduction else DEMO_MARK

    def all_notes(self) -> list[str]:
        """Summary and notes, with the mark's note if a number is marked."""
        summary = [] if self.summary is None else [self.summary]
        ours = any(c.ours and isinstance(c.value, (int, float)) for row in self.rows for c in row)
        return [*summary, *self.notes, *([DEMO_NOTE] if ours and self.mark else [])]

    def numeric_columns(self) -> list[bool]:
        """Per column: whether it has numbers and no text; missing values are allowed."""
        columns = [[row[i].value for row in self.rows] for i in range(len(self.columns))]
        return [
            any(isinstance(v, (int, float)) for v in values)
            and not any(isinstance(v, str) for v in values)
            for values in columns
        ]


def text_cell(value: Any) -> Cell:
    """A cell of text."""
    return Cell(None if value is None else str(value))


def signed_interval(ends: tuple[float, float] | None) -> str | None:
    """Text of the interval of a difference, in points; None without an interval."""
    return None if ends is None else f"{ends[0]:+.1f} to {ends[1]:+.1f}"
