"""Cutting texts into words, as 64-bit marks, at the speed of reading them.

A word is a run of letters, digits, combining marks and underscores, with apostrophes and hyphens
kept between two such characters ("don't", "well-known"), in lower case. Scripts without spaces
between words, such as Chinese, give one word per run. Two words are the same when their marks are:
64-bit FNV-1a over the code points, so that a wrong match within a window is out of the question.
"""

import functools
import sys
import unicodedata
from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa

Marks = np.ndarray[Any, np.dtype[np.uint64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

JOINERS = "'’-"
"""Part of a word where they stand between two of its characters."""
_WORD_KINDS = ("L", "N", "M")


def is_word_character(character: str) -> bool:
    """Whether a character belongs to words wherever it stands."""
    return character == "_" or unicodedata.category(character)[0] in _WORD_KINDS


def lower_case(character: str) -> str:
    """The character's lower case, if that is one character; else the character itself."""
    lower = character.lower()
    return lower if len(lower) == 1 else character


@functools.cache
def character_table() -> np.ndarray[Any, np.dtype[np.uint32]]:
    """For each code point: 0 between words, 1 for a joiner, else its lower case's code point."""
    table = np.zeros(sys.maxunicode + 1, np.uint32)
    for code in range(sys.maxunicode + 1):
        if is_word_character(chr(code)):
            table[code] = ord(lower_case(chr(code)))
    table[[ord(joiner) for joiner in JOINERS]] = 1
    return table


def word_marks(texts: pa.StringArray) -> tuple[Marks, Integers]:
    """The words of some texts.

    Args:
        texts: without nulls.

    Returns:
        The marks of all words, text after text; and where each text's words start among them, one
        entry more than there are texts.
    """
    words = _cut(texts, with_places=False)
    return words.marks, words.starts


class Words(NamedTuple):
    """The words of some texts, and where they stand in them."""

    marks: Marks
    """Of all words, text after text."""
    starts: Integers
    """Where each text's words start among them, one entry more than there are texts."""
    places: np.ndarray[Any, np.dtype[np.int32]]
    """First byte of each word, and the byte after its last one; shape (words, 2)."""
    characters: np.ndarray[Any, np.dtype[np.uint8]]
    """The bytes that `places` counts, in UTF-8."""


def placed_words(texts: pa.StringArray) -> Words:
    """As `word_marks`, with the words' places, by which they can be compared exactly.

    Args:
        texts: without nulls.
    """
    return _cut(texts, with_places=True)


class _Texts(NamedTuple):
    """Texts as Arrow keeps them."""

    characters: np.ndarray[Any, np.dtype[np.uint8]]
    bounds: np.ndarray[Any, np.dtype[np.int32]]


def _cut(texts: pa.StringArray, *, with_places: bool) -> Words:
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    characters = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    # A word and what follows it take two bytes at least, but for the last one of a text.
    most = (int(bounds[-1]) - int(bounds[0]) + len(texts)) // 2 + len(texts)
    marks = np.empty(most, np.uint64)
    starts = np.zeros(len(texts) + 1, np.int64)
    places = np.empty((most if with_places else 0, 2), np.int32)
    words = Words(marks, starts, places, characters)
    used = _mark_words(_Texts(characters, bounds), character_table(), words)
    return Words(marks[:used], starts, places[:used], characters)


@numba.njit(cache=True, nogil=True)
def read_character(characters, at):  # type: ignore[no-untyped-def]
    """The code point at a byte of valid UTF-8, and the byte after it."""
    first = np.uint32(characters[at])
    if first < 0x80:
        return first, at + 1
    if first < 0xE0:
        code, size = first & np.uint32(0x1F), 2
    elif first < 0xF0:
        code, size = first & np.uint32(0x0F), 3
    else:
        code, size = first & np.uint32(0x07), 4
    for offset in range(1, size):
        code = np.uint32((code << 6) | (characters[at + offset] & 0x3F))
    return code, at + size


@numba.njit(cache=True, nogil=True)
def _mark_words(texts, table, words):  # type: ignore[no-untyped-def]
    """Fill `words`, its places only where there is room; returns the number of words."""
    used = 0
    placed = len(words.places) > 0
    begin = last = 0
    seed, prime = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
    for text in range(len(texts.bounds) - 1):
        at, end = texts.bounds[text], texts.bounds[text + 1]
        mark, joined, inside = seed, np.uint64(0), False
        # One turn more than there are characters: the end of a text ends its last word.
        while at < end or inside:
            before, kind, code = at, np.uint32(0), np.uint32(0)
            if at < end:
                code, at = read_character(texts.characters, at)
                kind = table[code]
            if kind > 1:
                if joined:  # the joiner turns out to stand inside a word
                    mark = (mark ^ joined) * prime
                    joined = np.uint64(0)
                mark = (mark ^ np.uint64(kind)) * prime
                if not inside:
                    begin = before
                inside, last = True, at
            elif kind == 1 and inside and not joined:
                joined = np.uint64(code)
            elif inside:
                words.marks[used] = mark
                if placed:
                    words.places[used, 0], words.places[used, 1] = begin, last
                used += 1
                mark, joined, inside = seed, np.uint64(0), False
        words.starts[text + 1] = used
    return used
