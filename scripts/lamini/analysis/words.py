"""Fast splitting of texts into words, each a 64-bit hash.

A word is a lower-cased run of letters, digits, combining marks and underscores; it begins with no
mark. Apostrophes and hyphens between two such characters belong to the word ("don't",
"well-known"). Texts are unified first (`lamini.generation.normalization`), so that their Unicode
form, curly apostrophes and invisible characters make no difference.

In scripts without spaces between words, each character (with its marks) is a word: ideographs and
hiragana, as in Unicode's word boundaries (UAX #29) and in BERT's tokenizer, and the letters of
Thai, Lao, Khmer and Burmese, which only a dictionary could split into words. So a copy
is found wherever it begins; but a run of 8 words is shorter there than in English.

With `punctuation`, each punctuation mark or symbol is a word of its own, apostrophes and hyphens as
well ("don't" is three), as in BERT's basic tokenizer. Words are compared by their hash: 64-bit
FNV-1a over the code points, so collisions within a window are practically impossible.
"""

import functools
import sys
import unicodedata
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex

from lamini.analysis.compiled import compiled
from lamini.arrays import Hashes, Integers
from lamini.generation.normalization import unified

JOINERS = "'-"
"""Characters that belong to a word if they are between two word characters."""
_WORD_KINDS = ("L", "N", "M")
_SIGN_KINDS = ("P", "S")
_ALONE, _MARK = np.uint32(1 << 24), np.uint32(1 << 25)
"""Flags in `character_table`, above all code points: the character is a word of its own, with the
marks after it; the character is a mark, which begins no word."""
WITHOUT_SPACES = r"[\p{Ideographic}\p{Script=Hiragana}\p{Line_Break=Complex_Context}]"
"""Characters of scripts without spaces between words, as a pattern of the library `regex`."""
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
def character_table(
    *, punctuation: bool = False, lower: bool = True
) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Per code point: 0 for a separator, 1 for a joiner, else the code point as words have it.

    Args:
        punctuation: punctuation marks and symbols are words of their own (flag `_ALONE`), instead
            of separators and joiners.
        lower: letters are lower-cased.
    """
    table = np.zeros(sys.maxunicode + 1, np.uint32)
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if is_word_character(character):
            table[code] = ord(lower_case(character)) if lower else code
            if unicodedata.category(character)[0] == "M":
                table[code] |= _MARK
        elif punctuation and unicodedata.category(character)[0] in _SIGN_KINDS:
            table[code] = code | _ALONE
    every = "".join(map(chr, np.flatnonzero(table)))
    alone = np.array([ord(character) for character in regex.findall(WITHOUT_SPACES, every)])
    table[alone[table[alone] < _ALONE]] |= _ALONE
    if not punctuation:
        table[[ord(joiner) for joiner in JOINERS]] = 1
    return table


def unified_texts(texts: pa.StringArray) -> pa.StringArray:
    """Unified texts (`unified`); an array whose texts all are plain ASCII is returned as it is."""
    special = pc.or_(pc.invert(pc.string_is_ascii(texts)), pc.match_substring(texts, "&"))
    if not pc.any(special).as_py():
        return texts
    changed = [unified(text) for text in texts.filter(special).to_pylist()]
    return pc.replace_with_mask(texts, special, pa.array(changed, pa.string()))


def word_hashes(
    texts: pa.StringArray, *, punctuation: bool = False, lower: bool = True
) -> tuple[Hashes, Integers]:
    """Word hashes of texts.

    Args:
        texts: texts without nulls.
        punctuation: whether punctuation marks and symbols are words, too.
        lower: whether words are lower-cased.

    Returns:
        Hashes of all words, one text after another, shape (words,); and the start of each text's
        words among them, shape (texts + 1,).
    """
    table = character_table(punctuation=punctuation, lower=lower)
    # With punctuation, each byte can be a word.
    words = _cut(texts, table, bytes_a_word=1 if punctuation else 2, with_ranges=False)
    return words.hashes, words.starts


class Words(NamedTuple):
    """Words of texts, as hashes and positions."""

    hashes: Hashes
    """Hashes of all words, one text after another; shape (words,)."""
    starts: Integers
    """Start of each text's words in `hashes`; shape (texts + 1,)."""
    ranges: np.ndarray[Any, np.dtype[np.int32]]
    """First byte of each word, and the byte after its last byte; shape (words, 2)."""
    characters: np.ndarray[Any, np.dtype[np.uint8]]
    """UTF-8 bytes of the unified texts, which `ranges` refers to."""
    bounds: np.ndarray[Any, np.dtype[np.int32]]
    """First byte of each text in `characters`, and the byte after the last; shape (texts + 1,)."""


def words_with_ranges(texts: pa.StringArray) -> Words:
    """Word hashes as from `word_hashes`, with byte positions for an exact comparison.

    Args:
        texts: texts without nulls.
    """
    return _cut(texts, character_table(), bytes_a_word=2, with_ranges=True)


class _ArrowTexts(NamedTuple):
    """Texts in Arrow's layout: UTF-8 bytes, and the bounds of each text."""

    characters: np.ndarray[Any, np.dtype[np.uint8]]
    bounds: np.ndarray[Any, np.dtype[np.int32]]


def _cut(
    texts: pa.StringArray,
    table: np.ndarray[Any, np.dtype[np.uint32]],
    *,
    bytes_a_word: int,
    with_ranges: bool,
) -> Words:
    """Words of texts; a word and its separator have `bytes_a_word` or more, except at the end."""
    texts = unified_texts(texts)
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    characters = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    most = (int(bounds[-1]) - int(bounds[0]) + len(texts)) // bytes_a_word + len(texts)
    hashes = np.empty(most, np.uint64)
    starts = np.zeros(len(texts) + 1, np.int64)
    ranges = np.empty((most if with_ranges else 0, 2), np.int32)
    words = Words(hashes, starts, ranges, characters, bounds)
    used = _hash_words(_ArrowTexts(characters, bounds), table, words)
    return Words(hashes[:used], starts, ranges[:used], characters, bounds)


@compiled
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


@compiled
def _hash_words(texts, table, words):  # type: ignore[no-untyped-def]
    """Fill `words` (`ranges` only if it has room); return the number of words."""
    used = 0
    begin = last = 0
    seed, prime = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
    for text in range(len(texts.bounds) - 1):
        at, end = texts.bounds[text], texts.bounds[text + 1]
        value, joined, inside, whole = seed, np.uint64(0), False, False
        # One more iteration than characters: the end of a text ends its last word.
        while at < end or inside:
            before, kind, code = at, np.uint32(0), np.uint32(0)
            if at < end:
                code, at = read_character(texts.characters, at)
                kind = table[code]
            mark = kind >= _MARK
            if mark and not inside:
                continue
            alone = kind >= _ALONE and not mark
            if inside and (kind == 0 or alone or (whole and not mark) or (kind == 1 and joined)):
                words.hashes[used] = value
                if len(words.ranges):
                    words.ranges[used, 0], words.ranges[used, 1] = begin, last
                used += 1
                value, joined, inside, whole = seed, np.uint64(0), False, False
            if kind > 1:
                if joined:  # the joiner is inside a word
                    value = (value ^ joined) * prime
                    joined = np.uint64(0)
                value = (value ^ np.uint64(kind)) * prime
                if not inside:
                    begin, whole = before, bool(alone)
                inside, last = True, at
            elif kind == 1 and inside:
                joined = np.uint64(code)
        words.starts[text + 1] = used
    return used
