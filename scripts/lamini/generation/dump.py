"""Reader of tables of MediaWiki from `mysqldump` files, in bounded memory.

The dump is SQL: `CREATE TABLE` names the columns, and `INSERT` statements of about a megabyte hold
the rows as `(6,'Title_with_\\'quotes\\'',29,11,17),(...);`. A regular expression reads one row at
a time from a sliding window of bytes, starting at the end of the previous row. So a title that
looks like SQL is never read as a row.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, cast

from lamini.errors import LaminiError
from lamini.paths import DOWNLOAD

CHUNK_BYTES = 4 << 20
ROW_BYTES = 4096  # longer than any row: titles have at most 255 bytes, 510 with escapes


class SqlTable(NamedTuple):
    """A table, and the columns that are read of it."""

    name: str
    setting: str
    """The setting that names its dump."""
    numbers: tuple[str, ...]
    text: str
    optional: str | None = None
    """A number or NULL that not every dump has."""
    row_bytes: int = ROW_BYTES
    """Length that no row exceeds."""


CATEGORY = SqlTable(
    "category",
    "topics.dump",
    ("cat_id", "cat_pages", "cat_subcats", "cat_files"),
    "cat_title",
    "cat_hidden",
)
PAGE = SqlTable("page", "topics.hidden.page", ("page_id", "page_namespace"), "page_title")
PROPERTIES = SqlTable(
    "page_props", "topics.hidden.page_props", ("pp_page",), "pp_propname", row_bytes=1 << 18
)
_CATEGORIES = 14  # namespace of the pages of categories
_COLUMN = re.compile(rb"^\s*`(\w+)` ", re.MULTILINE)
_STRING = rb"'(?:[^'\\]++|\\.|'')*+'"
_VALUE = rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|NULL|" + _STRING
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


class SqlRow(NamedTuple):
    """The values of one row that are read."""

    numbers: tuple[int, ...]
    text: bytes
    optional: int | None


def read_categories(dump: str | Path, broken: Counter[str]) -> Iterator[Category]:
    """Yield the rows of the `category` table.

    Args:
        dump: `category.sql`, plain or compressed with gzip.
        broken: rows that are not valid SQL are counted here as "unreadable_row"; the rows around
            them are still read.

    Raises:
        LaminiError: the file is missing, truncated or damaged, or has no such table.
    """
    for (number, members, subcategories, files), title, hidden in read_dump_rows(
        dump, CATEGORY, broken
    ):
        yield Category(number, title, members, subcategories, files, hidden == 1)


def read_hidden(page_props: str | Path, page: str | Path, broken: Counter[str]) -> set[bytes]:
    """Titles of the categories that the wiki hides from readers: maintenance categories.

    Args:
        page_props: dump of the properties of pages; that of a hidden category is `hiddencat`.
        page: dump of the pages, with their titles.
        broken: as in `read_categories`.

    Raises:
        LaminiError: as in `read_categories`, or there is no hidden category.
    """
    properties = read_dump_rows(page_props, PROPERTIES, broken)
    pages = {row.numbers[0] for row in properties if row.text == b"hiddencat"}
    titles = {
        row.text
        for row in read_dump_rows(page, PAGE, broken)
        if row.numbers[1] == _CATEGORIES and row.numbers[0] in pages
    }
    if not titles:
        raise LaminiError(
            f"{page_props} and {page}: no hidden category; set `topics.hidden` to the dumps of the"
            " same wiki and date as `topics.dump`"
        )
    return titles


def read_dump_rows(dump: str | Path, table: SqlTable, broken: Counter[str]) -> Iterator[SqlRow]:
    """Yield the rows of a table; arguments and errors as in `read_categories`."""
    try:
        with _open(dump) as stream:
            yield from _Reader(stream, table, broken).rows(dump)
    except FileNotFoundError:
        raise LaminiError(
            f"{dump}: no such file; set `{table.setting}` or download it"
            f" (`snakemake {DOWNLOAD.format(download='enwiki-category.sql.gz')}`)"
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

    def __init__(self, stream: IO[bytes], table: SqlTable, broken: Counter[str]) -> None:
        self._stream, self._table, self._broken = stream, table, broken
        name = table.name.encode()
        self._create = re.compile(
            rb"CREATE TABLE[^(]*`" + name + rb"`\s*\((.*?)\)[^)]*;", re.DOTALL
        )
        self._insert = re.compile(rb"INSERT INTO `" + name + rb"`\s*(?:\(([^)]*)\)\s*)?VALUES\s*")
        self._window, self._at, self._ended = b"", 0, False

    def _more(self) -> bool:
        """Append the next chunk to the window; false at the end of the file."""
        chunk = self._stream.read(CHUNK_BYTES)
        self._ended = not chunk
        self._window, self._at = self._window[self._at :] + chunk, 0
        return not self._ended

    def rows(self, dump: str | Path) -> Iterator[SqlRow]:
        columns: list[str] = []
        has_rows = False
        while True:
            while not (insert := self._insert.search(self._window, self._at)):
                if create := self._create.search(self._window, self._at):
                    columns = [name.decode() for name in _COLUMN.findall(create[1])]
                    self._at = create.end()
                # Keep the last bytes: a statement may start in them.
                self._at = max(self._at, len(self._window) - ROW_BYTES)
                if not self._more():
                    if not has_rows:
                        raise LaminiError(
                            f"{dump}: no rows of the table `{self._table.name}`;"
                            f" `{self._table.setting}` must be this table's dump"
                        )
                    return
            if create := self._create.search(self._window, self._at, insert.start()):
                columns = [name.decode() for name in _COLUMN.findall(create[1])]
            if insert[1]:
                columns = re.findall(r"\w+", insert[1].decode())
            self._at = insert.end()
            has_rows = True
            yield from self._statement(_row_pattern(self._table, columns, dump))

    def _statement(self, pattern: re.Pattern[bytes]) -> Iterator[SqlRow]:
        """The rows of one `INSERT` statement, up to its semicolon."""
        optional = self._table.optional if self._table.optional in pattern.groupindex else None
        while True:
            while len(self._window) - self._at < self._table.row_bytes and not self._ended:
                self._more()
            row = pattern.match(self._window, self._at)
            if row is not None:
                self._at = row.end()
                *numbers, text, end = row.group(*self._table.numbers, self._table.text, "end")
                marked = row[optional] if optional else None
                yield SqlRow(
                    tuple(map(int, numbers)),
                    unescape(text[1:-1]),
                    None if marked is None or marked == b"NULL" else int(marked),
                )
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


def _row_pattern(table: SqlTable, columns: Sequence[str], dump: str | Path) -> re.Pattern[bytes]:
    """A pattern of one row and the character after it (group `end`), for any order of columns."""
    kinds = dict.fromkeys(table.numbers, rb"-?\d+") | {table.text: _STRING}
    missing = [name for name in kinds if name not in columns]
    if missing:
        raise LaminiError(f"{dump}: the table lacks the columns {missing}; found {columns}")
    if table.optional is not None:
        kinds[table.optional] = rb"-?\d+|NULL"
    values = [
        rb"(?P<%s>%s)" % (name.encode(), kinds[name]) if name in kinds else rb"(?:%s)" % _VALUE
        for name in columns
    ]
    return re.compile(rb"\s*\(" + rb"\s*,\s*".join(values) + rb"\)\s*(?P<end>[,;])", re.DOTALL)
