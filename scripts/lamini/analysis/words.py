"""Fast splitting of texts into words, each a 64-bit hash.

A word is a lower-cased run of letters, digits, combining marks and underscores. Apostrophes and
hyphens between two such characters belong to the word ("don't", "well-known"). Scripts without
spaces between words, such as Chinese, give one word per run. Words are compared by their hash:
64-bit FNV-1a over the code points, so collisions within a window are practically impossible.
"""

import functools
import sys
import unicodedata
from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

JOINERS = "'’-"
"""Characters that belong to a word if they are between two word characters."""
_WORD_KINDS = ("L", "N", "M")
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Odd multiplier of hashes that combine word hashes: 2 ** 64 divided by the golden ratio."""


def is_word_character(character: str) -> bool:
    """Whether a character belongs to a word at any position."""
    return character == "_" or unicodedata.category(character)[0] in _WORD_KINDS


def lower_case(character: str) -> str:
    """Lower case of a character if it is a single character, else the character itself."""
    lower = character.lower()
    return lower if len(lower) == 1 else character


@functools.cache
def character_table() -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Per code point: 0 for a separator, 1 for a joiner, else the lower-case code point."""
    table = np.zeros(sys.maxunicode + 1, np.uint32)
    for code in range(sys.maxunicode + 1):
        if is_word_character(chr(code)):
            table[code] = ord(lower_case(chr(code)))
    table[[ord(joiner) for joiner in JOINERS]] = 1
    return table


def word_hashes(texts: pa.StringArray) -> tuple[Hashes, Integers]:
    """Word hashes of texts.

    Args:
        texts: texts without nulls.

    Returns:
        Hashes of all words, one text after another, shape (words,); and the start of each text's
        words among them, shape (texts + 1,).
    """
    words = _cut(texts, with_places=False)
    return words.hashes, words.starts


class Words(NamedTuple):
    """Words of texts, as hashes and positions."""

    hashes: Hashes
    """Hashes of all words, one text after another; shape (words,)."""
    starts: Integers
    """Start of each text's words in `hashes`; shape (texts + 1,)."""
    places: np.ndarray[Any, np.dtype[np.int32]]
    """First byte of each word, and the byte after its last byte; shape (words, 2)."""
    characters: np.ndarray[Any, np.dtype[np.uint8]]
    """UTF-8 bytes of the texts, which `places` refers to."""


def placed_words(texts: pa.StringArray) -> Words:
    """Word hashes as from `word_hashes`, with byte positions for an exact comparison.

    Args:
        texts: texts without nulls.
    """
    return _cut(texts, with_places=True)


class _Texts(NamedTuple):
    """Texts in Arrow's layout: UTF-8 bytes, and the bounds of each text."""

    characters: np.ndarray[Any, np.dtype[np.uint8]]
    bounds: np.ndarray[Any, np.dtype[np.int32]]


def _cut(texts: pa.StringArray, *, with_places: bool) -> Words:
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    characters = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    # A word and its separator take at least two bytes, except at the end of a text.
    most = (int(bounds[-1]) - int(bounds[0]) + len(texts)) // 2 + len(texts)
    hashes = np.empty(most, np.uint64)
    starts = np.zeros(len(texts) + 1, np.int64)
    places = np.empty((most if with_places else 0, 2), np.int32)
    words = Words(hashes, starts, places, characters)
    used = _hash_words(_Texts(characters, bounds), character_table(), words)
    return Words(hashes[:used], starts, places[:used], characters)


@numba.njit(cache=True, nogil=True)
def read_character(characters, at):  # type: ignore[no-untyped-def]
    """Code point at a byte offset of valid UTF-8, and the offset after it."""
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
def _hash_words(texts, table, words):  # type: ignore[no-untyped-def]
    """Fill `words` (`places` only if it has room); return the number of words."""
    used = 0
    placed = len(words.places) > 0
    begin = last = 0
    seed, prime = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
    for text in range(len(texts.bounds) - 1):
        at, end = texts.bounds[text], texts.bounds[text + 1]
        value, joined, inside = seed, np.uint64(0), False
        # One more iteration than characters: the end of a text ends its last word.
        while at < end or inside:
            before, kind, code = at, np.uint32(0), np.uint32(0)
            if at < end:
                code, at = read_character(texts.characters, at)
                kind = table[code]
            if kind > 1:
                if joined:  # the joiner is inside a word
                    value = (value ^ joined) * prime
                    joined = np.uint64(0)
                value = (value ^ np.uint64(kind)) * prime
                if not inside:
                    begin = before
                inside, last = True, at
            elif kind == 1 and inside and not joined:
                joined = np.uint64(code)
            elif inside:
                words.hashes[used] = value
                if placed:
                    words.places[used, 0], words.places[used, 1] = begin, last
                used += 1
                value, joined, inside = seed, np.uint64(0), False
        words.starts[text + 1] = used
    return used
