"""Reading MediaWiki's `category` table from a `mysqldump` file, in bounded memory.

The dump is SQL: `CREATE TABLE` names the columns, and `INSERT` statements of about a megabyte hold
the rows as `(6,'Title_with_\\'quotes\\'',29,11,17),(...);`. Rows are taken one by one from a
sliding window of bytes, each where the one before it ended, so that a title that looks like SQL
cannot be mistaken for a row. Rows that are written plainly are taken many at a time
(`lamini.generation.dump_rows`), all others by a regular expression.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np

from lamini.errors import LaminiError
from lamini.generation.dump_rows import NUMBERS, Integers, plain_rows

TABLE = b"category"
CHUNK_BYTES = 4 << 20
ROW_BYTES = 4096  # No row is longer: titles have at most 255 bytes, twice that escaped.

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


@dataclass(frozen=True)
class Categories:
    """Rows of the table that follow each other."""

    numbers: Integers
    """Shape (rows, 4): `cat_id`, `cat_pages`, `cat_subcats`, `cat_files`."""
    plain_words: Integers
    """Words of each title (`lamini.generation.dump_rows`); -1 where they are not known."""
    _titles: Integers
    _window: bytes

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.numbers)

    def title(self, row: int) -> bytes:
        """The title of one row, as `Category.title`."""
        first, end = self._titles[row]
        return unescape(self._window[first:end])


def read_categories(dump: str | Path, broken: Counter[str]) -> Iterator[Category]:
    """Yield the rows of the `category` table one by one; else as `read_category_batches`."""
    for batch in read_category_batches(dump, broken):
        for row, (number, members, subcategories, files) in enumerate(batch.numbers.tolist()):
            yield Category(number, batch.title(row), members, subcategories, files)


def read_category_batches(dump: str | Path, broken: Counter[str]) -> Iterator[Categories]:
    """Yield the rows of the `category` table, some at a time.

    Args:
        dump: `category.sql`, plain or compressed with gzip.
        broken: counts rows that are no valid SQL under "unreadable_row"; the rows around such a
            row are still read.

    Raises:
        LaminiError: when the file is missing, cut short, damaged or holds no such table.
    """
    try:
        # Decompressing lets go of the interpreter: the next chunk is read beside this one's rows.
        with _open(dump) as stream, ThreadPoolExecutor(1) as pool:
            yield from _Reader(stream, pool, broken).categories(dump)
    except FileNotFoundError:
        raise LaminiError(
            f"{dump}: no such file; set `topics.dump` or download it"
            " (`snakemake results/downloads/enwiki-category.sql.gz`)"
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LaminiError(f"{dump}: damaged or cut short ({error}); download it again") from error


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

    def __init__(self, stream: IO[bytes], pool: ThreadPoolExecutor, broken: Counter[str]) -> None:
        self._stream, self._pool, self._broken = stream, pool, broken
        self._window, self._at, self._ended = b"", 0, False
        self._following = pool.submit(stream.read, CHUNK_BYTES)

    def _more(self) -> bool:
        """Append the next chunk to the window; false at the end of the file."""
        chunk = b"" if self._ended else self._following.result()
        self._ended = not chunk
        if chunk:
            self._following = self._pool.submit(self._stream.read, CHUNK_BYTES)
        self._window, self._at = self._window[self._at :] + chunk, 0
        return not self._ended

    def categories(self, dump: str | Path) -> Iterator[Categories]:
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
            yield from self._rows(_row_pattern(columns, dump), columns)

    def _rows(self, pattern: re.Pattern[bytes], columns: list[str]) -> Iterator[Categories]:
        """The rows of one `INSERT` statement, up to its semicolon."""
        while True:
            while len(self._window) - self._at < ROW_BYTES and not self._ended:
                self._more()
            plain = plain_rows(self._window, self._at, columns)
            if len(plain.numbers):
                self._at = plain.end
                yield Categories(plain.numbers, plain.words, plain.titles, self._window)
                if plain.is_last:
                    return
                continue
            row = pattern.match(self._window, self._at)
            if row is not None:
                self._at = row.end()
                first, end = row.span("cat_title")
                yield Categories(
                    np.array([[int(value) for value in row.group(*NUMBERS)]], np.int64),
                    np.array([-1]),
                    np.array([[first + 1, end - 1]]),
                    self._window,
                )
                if row["end"] == b";":
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
    needed = ["cat_id", "cat_title", "cat_pages", "cat_subcats", "cat_files"]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise LaminiError(f"{dump}: the table lacks the columns {missing}; found {columns}")
    values = [
        rb"(?P<%s>%s)" % (name.encode(), _STRING if name == "cat_title" else rb"-?\d+")
        if name in needed
        else rb"(?:%s)" % _VALUE
        for name in columns
    ]
    return re.compile(rb"\s*\(" + rb"\s*,\s*".join(values) + rb"\)\s*(?P<end>[,;])", re.DOTALL)
