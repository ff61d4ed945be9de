"""The LaTeX form of a table: floats for a two-column article, by pdflatex and lualatex.

The font size is 7 pt in any document. A table takes one column if it fits, else both. If it is
wider, headings are rotated, and then the columns are divided among several tables, one below the
other. Long texts are wrapped, and a table of more than a page continues in another float.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from lamini import symbols
from lamini.files import atomic_writer
from lamini.tables.table import Cell, TitledTable

COLUMN_POINTS, PAGE_POINTS = 212.0, 440.0
"""Largest estimated widths: 3 % less than a column and a page's text of ACL's style, the narrowest
of the common two-column styles."""
COLUMN_GAP, MAX_GAP = 4.0, 10.0
"""Least and largest space between two columns."""
WRAPPED_POINTS = 120.0
"""A column with a wider text is wrapped, if the table does not fit into a column as it is."""
MAX_LINES = 50
"""Lines of a float; a line has 8.5 pt."""
_SIZE = 7.0

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{ZERO WIDTH NON-JOINER}": "{}",
    "\N{ZERO WIDTH SPACE}": r"\allowbreak{}",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "≠": r"$\neq$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "∑": r"$\sum$",
    "∈": r"$\in$",
    "⇒": r"$\Rightarrow$",
}
_PLAIN = frozenset("–—‘’“”„‹›…•€™†‡ŒœŸ") | {chr(code) for code in range(0xA1, 0x180)} - set(
    "\xadĦħĿŀŉŦŧĸſ"
)
"""Characters beyond ASCII that the standard fonts of both programs have."""
_GREEK = re.compile("[Α-Ωα-ω]")
_LIKE_LATIN = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧ", "ABEZHIKMNOPTX", strict=True)) | {"ο": "o"}
_SPECIAL = re.compile(
    symbols.PATTERN + r"|([A-Z])\N{COMBINING CIRCUMFLEX ACCENT}"
    r"|`([^`]+)`"
)
"""Names of the paper's sets, such as D̂_P3 and X_SI, and code."""
_LIGATURES = re.compile(r"(?<=([-',]))(?=\1)")
_LONG = re.compile(r"(?<=\S{24})(?=\S)")
"""Positions in long words, such as addresses, where a line may end."""
_WIDE, _NARROW = frozenset("mwMWQOGDNHUA%@&—…"), frozenset("iljtfrI.,:;'!|()[] ‘’-")


def write_latex(table: TitledTable, path: Path) -> None:
    """Write the floats of a table.

    Args:
        table: the table.
        path: file to write; a document includes it by `\\input`.
    """
    floats = _Floats(table)
    with atomic_writer(path) as handle:
        handle.write("% needs \\usepackage{booktabs,graphicx,array};")
        handle.write(" pdflatex also \\usepackage[T1]{fontenc}\n")
        handle.write("\n".join(floats.lines()) + "\n")


def latex(text: str) -> str:
    """LaTeX of words of the pipeline: the paper's sets as mathematics, `code` in its font."""
    text = unicodedata.normalize("NFC", text)
    parts, end = [], 0
    for match in _SPECIAL.finditer(text):
        letter, hat, index, alone, code = match.groups()
        parts.append(verbatim(text[end : match.start()]))
        if code is not None:
            parts.append(f"\\texttt{{{verbatim(code)}}}")
        else:
            base = f"\\widehat{{{letter or alone}}}" if hat or alone else letter
            parts.append(f"${base}" + (f"_{{\\mathrm{{{index}}}}}$" if index else "$"))
        end = match.end()
    return "".join(parts) + verbatim(text[end:])


def verbatim(text: str) -> str:
    """LaTeX that prints a text as it is; characters that the fonts lack as [U+4E2D]."""
    text = unicodedata.normalize("NFC", text)
    text = _LONG.sub("\N{ZERO WIDTH SPACE}", _LIGATURES.sub("\N{ZERO WIDTH NON-JOINER}", text))
    return "".join(map(_character, text))


def _character(character: str) -> str:
    if character in _COMMANDS:
        return _COMMANDS[character]
    if " " <= character <= "~" or character in _PLAIN:
        return character
    if _GREEK.match(character) and character.isalpha():
        return _LIKE_LATIN.get(character) or _greek(unicodedata.name(character))
    if character.isspace():
        return " "
    return (
        ""
        if unicodedata.category(character) == "Cf"
        else f"[U+{ord(character):04X}]\\allowbreak{{}}"
    )


def _greek(name: str) -> str:
    """LaTeX of a Greek letter by its Unicode name, such as GREEK SMALL LETTER FINAL SIGMA."""
    _, case, _, *final, letter = name.split()
    command = letter.lower().replace("lamda", "lambda")
    command = command.capitalize() if case == "CAPITAL" else command
    return f"$\\{'var' if final else ''}{command}$"


@dataclass(eq=False)
class _TypesetColumn:
    """A column: its cells, and how it is set."""

    heading: str
    cells: list[Cell]
    mark: str
    number: bool
    wrapped: bool = False
    points: float = field(init=False)

    def __post_init__(self) -> None:
        self.texts = [" ".join(cell.text(self.mark).split()) for cell in self.cells]
        self.natural = max(map(_points, self.texts), default=0.0)
        self.word = max(map(_points, self.heading.split()), default=0.0)
        self.points = max(self.natural, self.word)

    def heading_lines(self) -> list[str]:
        """The heading in lines no wider than the column."""
        lines: list[str] = []
        for word in self.heading.split():
            if lines and _points(f"{lines[-1]} {word}") <= self.points:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
        return lines or [""]

    def latex(self, row: int) -> str:
        """A cell; long texts are quotations, the others may have symbols of the paper's sets."""
        shown = (verbatim if self.wrapped else latex)(self.texts[row])
        if shown.startswith(("[", "*")):
            shown = f"{{}}{shown}"  # else it is an argument of the \\ before it
        return f"\\textbf{{{shown}}}" if self.cells[row].bold else shown

    @property
    def form(self) -> str:
        if self.wrapped:
            return f">{{\\raggedright\\arraybackslash}}p{{{self.points:.0f}pt}}"
        return "r" if self.number else "l"


class _Floats:
    """A table's floats: how wide, which columns and which rows each tabular has."""

    def __init__(self, table: TitledTable) -> None:
        self.table = table
        self.columns = [
            _TypesetColumn(heading, [row[i] for row in table.rows], table.mark, number)
            for i, (heading, number) in enumerate(
                zip(table.columns, table.numeric_columns(), strict=True)
            )
        ]
        self.turned = False
        self.panels = self._fit()
        self.wide = any(self._width(panel) > COLUMN_POINTS for panel in self.panels)

    def lines(self) -> Iterator[str]:
        """Lines of all floats."""
        parts = list(self._parts())
        environment = "table*" if self.wide else "table"
        for number, rows in enumerate(parts):
            yield f"\\begin{{{environment}}}"
            yield "\\centering"
            if number:
                yield "\\addtocounter{table}{-1}"
                yield f"\\caption{{{latex(self.table.title)} (continued)}}"
            else:
                yield f"\\caption{{{latex(self.table.title)}}}"
                yield f"\\label{{tab:{self.table.name}}}"
            yield "\\smallskip"
            yield f"\\fontsize{{{_SIZE:g}}}{{8.5}}\\selectfont"
            for panel in self.panels:
                yield from self._tabular(panel, rows)
            if number == len(parts) - 1:
                for note in self.table.all_notes():
                    yield f"\\parbox{{\\linewidth}}{{\\raggedright {latex(note)}}}\\par\\smallskip"
            yield f"\\end{{{environment}}}"

    def _fit(self) -> list[list[_TypesetColumn]]:
        """Choose the widths; returns the columns of each tabular."""
        if self._width(self.columns) <= COLUMN_POINTS:
            return [self.columns]
        long = [c for c in self.columns if not c.number and c.natural > WRAPPED_POINTS]
        self._wrap(long)
        if self._width(self.columns) <= PAGE_POINTS:
            return [self.columns]
        self.turned = True
        for column in self.columns:
            if not column.wrapped:
                column.points = max(column.natural, _SIZE + 2)
        self._wrap(long)
        if self._width(self.columns) <= PAGE_POINTS:
            return [self.columns]
        panels = self._divide(PAGE_POINTS)
        shared = self._width(panels[0]) + self._width(panels[-1])
        return self._divide(shared / 2 + 20) if len(panels) == 2 else panels

    def _divide(self, limit: float) -> list[list[_TypesetColumn]]:
        """The columns in several tabulars of a width, each with the leading texts."""
        leading = list(takewhile(lambda column: not column.number, self.columns))
        leading = leading if len(leading) < len(self.columns) else leading[:1]
        panels = [leading]
        for column in self.columns[len(leading) :]:
            if self._width([*panels[-1], column]) > limit and panels[-1] != leading:
                panels.append(leading)
            panels[-1] = [*panels[-1], column]
        return panels

    def _wrap(self, long: list[_TypesetColumn]) -> None:
        """Give the columns of long texts the width that the others leave, by their needs."""
        if not long:
            return
        free = PAGE_POINTS - self._width([c for c in self.columns if c not in long])
        free -= COLUMN_GAP * len(long)
        needs = [column.natural**0.5 for column in long]
        for column, need in zip(long, needs, strict=True):
            column.wrapped = True
            column.points = max(60.0, min(column.natural, free * need / sum(needs)))

    @staticmethod
    def _width(columns: Sequence[_TypesetColumn]) -> float:
        return sum(column.points + COLUMN_GAP for column in columns) - COLUMN_GAP

    def _parts(self) -> Iterator[range]:
        """Ranges of rows, each for one float."""
        start, used = 0, 0
        for row in range(len(self.table.rows)):
            needed = len(self.panels) * max(
                -(-_points(c.texts[row]) * 1.15 // c.points) if c.wrapped else 1
                for c in self.columns
            )
            if used and used + needed > MAX_LINES:
                yield range(start, row)
                start, used = row, 0
            used += int(needed)
        yield range(start, len(self.table.rows))

    def _tabular(self, columns: list[_TypesetColumn], rows: range) -> Iterator[str]:
        room = PAGE_POINTS if self.wide else COLUMN_POINTS
        gap = COLUMN_GAP + (room - self._width(columns)) / max(1, len(columns) - 1)
        yield f"\\setlength{{\\tabcolsep}}{{{min(max(gap, COLUMN_GAP), MAX_GAP) / 2:.2g}pt}}"
        yield "\\begin{tabular}{@{}" + "".join(column.form for column in columns) + "@{}}"
        yield "\\toprule"
        yield " & ".join(map(self._heading, columns)) + " \\\\"
        yield "\\midrule"
        for row in rows:
            yield " & ".join(column.latex(row) for column in columns) + " \\\\"
        yield "\\bottomrule"
        yield "\\end{tabular}\\par\\smallskip"

    def _heading(self, column: _TypesetColumn) -> str:
        if self.turned and (column.number or column.word > column.points):
            return f"\\rotatebox{{90}}{{{latex(column.heading)}}}"
        side = "r" if column.number else "l"
        lines = "\\\\".join(map(latex, column.heading_lines()))
        return f"\\shortstack[{side}]{{{lines}}}" if "\\\\" in lines else lines


def _points(text: str) -> float:
    """Estimated width of a text, in points."""
    return _SIZE * sum(map(_width_of, text))


def _width_of(character: str) -> float:
    """Estimated width of a character, in units of the type's size."""
    if character in _NARROW:
        return 0.36
    if character in _WIDE:
        return 0.88
    return 8 * 0.58 if _character(character).startswith("[") else 0.58  # [U+4E2D]
