"""Reader of MediaWiki's `category` table from a `mysqldump` file, in bounded memory.

The dump is SQL: `CREATE TABLE` names the columns, and `INSERT` statements of about a megabyte hold
the rows as `(6,'Title_with_\\'quotes\\'',29,11,17),(...);`. A regular expression reads one row at
a time from a sliding window of bytes, starting at the end of the previous row. So a title that
looks like SQL is never read as a row.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

from lamini.errors import LaminiError

TABLE = b"category"
CHUNK_BYTES = 4 << 20
ROW_BYTES = 4096  # longer than any row: titles have at most 255 bytes, 510 with escapes

_NEEDED = ("cat_id", "cat_title", "cat_pages", "cat_subcats", "cat_files")
_HIDDEN = "cat_hidden"
_CREATE = re.compile(rb"CREATE TABLE[^(]*`" + TABLE + rb"`\s*\((.*?)\)[^)]*;", re.DOTALL)
_COLUMN = re.compile(rb"^\s*`(\w+)` ", re.MULTILINE)
_INSERT = re.compile(rb"INSERT INTO `" + TABLE + rb"`\s*(?:\(([^)]*)\)\s*)?VALUES\s*")
_STRING = rb"'(?:[^'\\]++|\\.|'')*+'"
_VALUE = rb"-?\d+(?:\.\d+)?|NULL|" + _STRING
_NEXT_ROW = re.compile(rb"\)\s*,\s*(?=\(\d+,)")
_ESCAPE = re.compile(rb"\\(.)|''", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"Z": b"\x1a", b"b": b"\b"}


class Category(NamedTuple):
    """One row of the table."""

    category_id: int
    title: bytes
    """Unescaped title: UTF-8 with underscores for spaces."""
    members: int
    """`cat_pages`: number of members, subcategories and files included."""
    subcategories: int
    files: int
    hidden: bool = False
    """Marked as a maintenance category by the column `cat_hidden`, which old dumps have."""


def read_categories(dump: str | Path, broken: Counter[str]) -> Iterator[Category]:
    """Yield the rows of the `category` table.

    Args:
        dump: `category.sql`, plain or compressed with gzip.
        broken: rows that are not valid SQL are counted here as "unreadable_row"; the rows around
            them are still read.

    Raises:
        LaminiError: the file is missing, truncated or damaged, or has no such table.
    """
    try:
        with _open(dump) as stream:
            yield from _Reader(stream, broken).categories(dump)
    except FileNotFoundError:
        raise LaminiError(
            f"{dump}: no such file; set `topics.dump` or download it"
            " (`snakemake results/downloads/enwiki-category.sql.gz`)"
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LaminiError(f"{dump}: damaged or truncated ({error}); download it again") from error


def _open(dump: str | Path) -> IO[bytes]:
    """Open a plain or gzip file for reading; gzip is detected by the file's first two bytes."""
    with open(dump, "rb") as handle:
        compressed = handle.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(dump, "rb")) if compressed else open(dump, "rb")


def unescape(value: bytes) -> bytes:
    """The value of a quoted SQL string, which is passed without its quotes."""
    if b"\\" not in value and b"''" not in value:
        return value
    return _ESCAPE.sub(lambda m: b"'" if m[1] is None else _ESCAPES.get(m[1], m[1]), value)


class _Reader:
    """A window of the dump, and the read position in it."""

    def __init__(self, stream: IO[bytes], broken: Counter[str]) -> None:
        self._stream, self._broken = stream, broken
        self._window, self._at, self._ended = b"", 0, False

    def _more(self) -> bool:
        """Append the next chunk to the window; false at the end of the file."""
        chunk = self._stream.read(CHUNK_BYTES)
        self._ended = not chunk
        self._window, self._at = self._window[self._at :] + chunk, 0
        return not self._ended

    def categories(self, dump: str | Path) -> Iterator[Category]:
        columns: list[str] = []
        found = False
        while True:
            while not (insert := _INSERT.search(self._window, self._at)):
                if create := _CREATE.search(self._window, self._at):
                    columns = [name.decode() for name in _COLUMN.findall(create[1])]
                    self._at = create.end()
                # Keep the last bytes: a statement may start in them.
                self._at = max(self._at, len(self._window) - ROW_BYTES)
                if not self._more():
                    if not found:
                        raise LaminiError(
                            f"{dump}: no rows of the table `{TABLE.decode()}`;"
                            " `topics.dump` must be the category table's dump"
                        )
                    return
            if create := _CREATE.search(self._window, self._at, insert.start()):
                columns = [name.decode() for name in _COLUMN.findall(create[1])]
            if insert[1]:
                columns = re.findall(r"\w+", insert[1].decode())
            self._at = insert.end()
            found = True
            yield from self._rows(_row_pattern(columns, dump))

    def _rows(self, pattern: re.Pattern[bytes]) -> Iterator[Category]:
        """The rows of one `INSERT` statement, up to its semicolon."""
        while True:
            while len(self._window) - self._at < ROW_BYTES and not self._ended:
                self._more()
            row = pattern.match(self._window, self._at)
            if row is not None:
                self._at = row.end()
                number, title, members, subcategories, files, end = row.group(*_NEEDED, "end")
                hidden = row.groupdict().get(_HIDDEN) == b"1"
                counts = int(members), int(subcategories), int(files)
                yield Category(int(number), unescape(title[1:-1]), *counts, hidden)
                if end == b";":
                    return
            elif not self._skip_row():
                return

    def _skip_row(self) -> bool:
        """Skip an unreadable row; false if it is the last row of the statement."""
        self._broken["unreadable_row"] += 1
        line_end = self._window.find(b"\n", self._at)
        following = _NEXT_ROW.search(
            self._window, self._at, line_end if line_end >= 0 else len(self._window)
        )
        if following:
            self._at = following.end()
            return True
        if line_end < 0:
            raise EOFError("the last statement has no end")
        self._at = line_end + 1
        return False


def _row_pattern(columns: list[str], dump: str | Path) -> re.Pattern[bytes]:
    """A pattern of one row and the character after it (group `end`), for any order of columns."""
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise LaminiError(f"{dump}: the table lacks the columns {missing}; found {columns}")
    values = [
        rb"(?P<%s>%s)" % (name.encode(), _STRING if name == "cat_title" else rb"-?\d+")
        if name in _NEEDED
        else rb"(?P<cat_hidden>-?\d+|NULL)"
        if name == _HIDDEN
        else rb"(?:%s)" % _VALUE
        for name in columns
    ]
    return re.compile(rb"\s*\(" + rb"\s*,\s*".join(values) + rb"\)\s*(?P<end>[,;])", re.DOTALL)
