"""Rows of a dump's `INSERT` statement, thousands at a time, where they are written plainly.

Nearly all rows are `(number,'title',number,...)` without a blank between; they are taken in one
pass over the bytes. The first one that is not ends the pass; `lamini.generation.dump` reads it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np

NUMBERS = ("cat_id", "cat_pages", "cat_subcats", "cat_files")
_TITLE = len(NUMBERS)
_OTHER = -1
_MOST_ROWS = 1 << 15
_DIGITS = 18

Integers = np.ndarray[Any, np.dtype[np.int64]]


class PlainRows(NamedTuple):
    """Rows that follow each other in some bytes."""

    numbers: Integers
    """Shape (rows, 4), in the order of `NUMBERS`."""
    titles: Integers
    """First byte of each title, without its quote, and the byte after its last one."""
    words: Integers
    """Words of each title, which blanks and underscores part; -1 where that takes more knowledge of
    Unicode than is worth having here."""
    end: int
    """Byte after the last row and what follows it."""
    is_last: bool
    """Whether a semicolon follows it."""


def plain_rows(window: bytes, start: int, columns: Sequence[str]) -> PlainRows:
    """The plainly written rows from a byte on; none when the one there is not.

    Args:
        window: part of a dump; a row that is cut off by its end is not taken.
        start: the byte where a row starts.
        columns: of the table, in the order in which rows have them.
    """
    kinds = [
        _TITLE if name == "cat_title" else NUMBERS.index(name) if name in NUMBERS else _OTHER
        for name in columns
    ]
    numbers = np.zeros((_MOST_ROWS, len(NUMBERS)), np.int64)
    titles, words = np.zeros((_MOST_ROWS, 2), np.int64), np.zeros(_MOST_ROWS, np.int64)
    rows = PlainRows(numbers, titles, words, start, False)
    data = np.frombuffer(window, np.uint8)
    count, end, is_last = _scan(data, np.array(kinds, np.int64), rows)
    return PlainRows(numbers[:count], titles[:count], words[:count], int(end), bool(is_last))


@numba.njit(cache=True, nogil=True)
def _number(data, at):  # type: ignore[no-untyped-def]
    """A whole number and the byte after it; the same byte when there is none that is plain."""
    first = at
    negative = at < len(data) and data[at] == 0x2D
    if negative:
        at += 1
    value, digits = 0, 0
    while at < len(data) and 0x30 <= data[at] <= 0x39:
        value = 10 * value + (data[at] - 0x30)
        digits += 1
        at += 1
    if digits == 0 or digits > _DIGITS:
        return 0, first
    return (-value if negative else value), at


@numba.njit(cache=True, nogil=True)
def _letter(data, at):  # type: ignore[no-untyped-def]
    """Bytes that follow the first one of a character in UTF-8; 0 where it may be no letter.

    Taken are ranges without white space and without wrong codes: accented Latin to Arabic, dashes
    and quotes, and most of what has three bytes.
    """
    first = data[at]
    if at + 2 >= len(data) or not 0x80 <= data[at + 1] <= 0xBF:
        return 0
    if 0xC3 <= first <= 0xDF:
        return 1
    last = data[at + 2]
    if first == 0xE2 and data[at + 1] == 0x80 and 0x90 <= last <= 0xA7:
        return 2
    if 0xE4 <= first <= 0xEF and first != 0xED and 0x80 <= last <= 0xBF:
        return 2
    return 0


@numba.njit(cache=True, nogil=True)
def _title(data, at):  # type: ignore[no-untyped-def]
    """Words of a quoted title (as `PlainRows.words`), and the byte of its closing quote, or -1."""
    words, inside, plain = 0, False, True
    while at < len(data):
        code = data[at]
        if code in (0x5C, 0x27):
            if at + 1 >= len(data):
                return 0, -1
            following = data[at + 1]
            if code == 0x27 and following != 0x27:
                return (words if plain else -1), at
            # A quote or a backslash that is meant; other escapes stand for control characters.
            plain &= following in (0x22, 0x27, 0x5C)
            at += 1
        elif code < 0x20 or code > 0x7E:
            more = _letter(data, at)
            plain &= more > 0
            at += more
        is_gap = code in (0x20, 0x5F)
        if not is_gap and not inside:
            words += 1
        inside = not is_gap
        at += 1
    return 0, -1


@numba.njit(cache=True, nogil=True)
def _row(data, at, kinds, rows, count):  # type: ignore[no-untyped-def]
    """Read one row into place `count`; the byte after its bracket, or -1."""
    if at >= len(data) or data[at] != 0x28:
        return -1
    for place in range(len(kinds)):
        at += 1
        if kinds[place] == _TITLE:
            if at >= len(data) or data[at] != 0x27:
                return -1
            words, end = _title(data, at + 1)
            if end < 0:
                return -1
            rows.titles[count, 0], rows.titles[count, 1] = at + 1, end
            rows.words[count] = words
            end += 1
        else:
            value, end = _number(data, at)
            if end == at:
                return -1
            if kinds[place] >= 0:
                rows.numbers[count, kinds[place]] = value
        if end >= len(data) or data[end] != (0x29 if place == len(kinds) - 1 else 0x2C):
            return -1
        at = end
    return at + 1


@numba.njit(cache=True, nogil=True)
def _scan(data, kinds, rows):  # type: ignore[no-untyped-def]
    """Fill `rows`; returns how many, the byte after the last one, and whether it ends them."""
    at, count = rows.end, 0
    while count < len(rows.words):
        end = _row(data, at, kinds, rows, count)
        if end < 0 or end >= len(data) or (data[end] != 0x2C and data[end] != 0x3B):
            break
        count += 1
        at = end + 1
        if data[end] == 0x3B:
            return count, at, True
    return count, at, False
