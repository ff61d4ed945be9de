"""Cutting texts into words, as 64-bit marks, at the speed of reading them.

A word is a run of letters, digits, combining marks and underscores, with apostrophes and hyphens
kept between two such characters ("don't", "well-known"), in lower case. Scripts without spaces
between words, such as Chinese, give one word per run. Two words are the same when their marks are:
64-bit FNV-1a over the code points, so that a wrong match within a window is out of the question.
"""

import functools
import sys
import unicodedata
from typing import Any

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
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    characters = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    # A word and what follows it take two bytes at least, but for the last one of a text.
    most = (int(bounds[-1]) - int(bounds[0]) + len(texts)) // 2 + len(texts)
    marks = np.empty(most, np.uint64)
    starts = np.zeros(len(texts) + 1, np.int64)
    used = _mark_words(characters, bounds, character_table(), marks, starts)
    return marks[:used], starts


@numba.njit(cache=True, nogil=True)
def _mark_words(characters, bounds, table, marks, starts):  # type: ignore[no-untyped-def]
    """Fill `marks` and `starts`; returns the number of words. Reads valid UTF-8."""
    used = 0
    seed, prime = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
    for text in range(len(bounds) - 1):
        at, end = bounds[text], bounds[text + 1]
        mark, joined, inside = seed, np.uint64(0), False
        while at < end:
            first = characters[at]
            if first < 0x80:
                code, at = np.uint32(first), at + 1
            elif first < 0xE0:
                code = (np.uint32(first & 0x1F) << 6) | np.uint32(characters[at + 1] & 0x3F)
                at += 2
            elif first < 0xF0:
                code = (
                    (np.uint32(first & 0x0F) << 12)
                    | (np.uint32(characters[at + 1] & 0x3F) << 6)
                    | np.uint32(characters[at + 2] & 0x3F)
                )
                at += 3
            else:
                code = (
                    (np.uint32(first & 0x07) << 18)
                    | (np.uint32(characters[at + 1] & 0x3F) << 12)
                    | (np.uint32(characters[at + 2] & 0x3F) << 6)
                    | np.uint32(characters[at + 3] & 0x3F)
                )
                at += 4
            kind = table[code]
            if kind > 1:
                if joined:  # the joiner turns out to stand inside a word
                    mark = (mark ^ joined) * prime
                    joined = np.uint64(0)
                mark = (mark ^ np.uint64(kind)) * prime
                inside = True
            elif kind == 1 and inside and not joined:
                joined = np.uint64(code)
            elif inside:
                marks[used] = mark
                used += 1
                mark, joined, inside = seed, np.uint64(0), False
        if inside:
            marks[used] = mark
            used += 1
        starts[text + 1] = used
    return used
