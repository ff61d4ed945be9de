"""Exact search for runs of words that texts share with reference texts.

All n-grams of the reference texts are indexed by a 64-bit hash. If an n-gram of a text has the hash
of an indexed n-gram, the words are compared character by character, and the match is extended in
both directions. Hashes only select candidates, so every reported run is a true match.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamini.analysis.compiled import compiled
from lamini.analysis.words import (
    MULTIPLIER,
    Words,
    character_table,
    read_character,
    words_with_ranges,
)
from lamini.arrays import Integers

_FIRST_CAPACITY = 1 << 14


class Runs(NamedTuple):
    """Shared runs of words, one entry per run; a run may be listed more than once."""

    row: Integers
    """Index of the searched text."""
    text: Integers
    """Index of the reference text."""
    start: Integers
    """Index of the run's first word among all words of the searched texts."""
    length: Integers
    """Number of words in the run."""


class _NgramIndex(NamedTuple):
    """Reference texts and their n-grams; an n-gram is identified by the index of its first word."""

    size: int
    words: Words
    text_of_word: Integers
    is_indexed: np.ndarray[Any, np.dtype[np.bool_]]
    """Per word: whether the n-gram that starts with it can start a match."""
    keys: np.ndarray[Any, np.dtype[np.uint64]]
    """Sorted unique hashes of the indexed n-grams."""
    firsts: Integers
    """Start of each hash's n-grams in `ngrams`, then the end; shape (keys + 1,)."""
    ngrams: Integers
    bits: int
    """Number of bits of a slot index; there are 2 ** bits slots."""
    slots: np.ndarray[Any, np.dtype[np.int32]]
    """Hash table with open addressing: index of the key plus 1; 0 if the slot is free."""
    table: np.ndarray[Any, np.dtype[np.uint32]]
    """`character_table()`."""


class OverlapIndex:
    """Index of the n-grams of reference texts.

    Args:
        texts: the reference texts; texts of one group are consecutive.
        groups: index of each text's group, ascending.
        size: words per n-gram.
        most_texts: maximum number of texts of a group that contain an n-gram. A more frequent
            n-gram is a common phrase of the group and starts no match in the group's texts.
    """

    def __init__(
        self, texts: Sequence[str], groups: Sequence[int], *, size: int, most_texts: int
    ) -> None:
        words = words_with_ranges(pa.array(texts, pa.string()))
        text_of_word = np.repeat(np.arange(len(texts)), np.diff(words.starts))
        hashes, ngrams = _hash_ngrams(words.hashes, words.starts, size)
        order = np.argsort(hashes, kind="stable")
        hashes, ngrams = hashes[order], ngrams[order]
        rare = _rare(hashes, text_of_word[ngrams], np.asarray(groups, np.int64), most_texts)
        hashes, ngrams = hashes[rare], ngrams[rare]
        is_indexed = np.zeros(len(words.hashes), np.bool_)
        is_indexed[ngrams] = True
        keys, firsts = np.unique(hashes, return_index=True)
        bits = max(int(2 * len(keys)).bit_length(), 4)
        self._index = _NgramIndex(
            size=size,
            words=words,
            text_of_word=text_of_word,
            is_indexed=is_indexed,
            keys=keys,
            firsts=np.append(firsts, len(hashes)).astype(np.int64),
            ngrams=ngrams,
            bits=bits,
            slots=_fill_slots(keys, bits),
            table=character_table(),
        )

    def search(self, words: Words) -> Runs:
        """All shared runs that contain an indexed n-gram, row by row.

        Args:
            words: words of the texts to search, from `words_with_ranges`.
        """
        capacity = _FIRST_CAPACITY
        while True:
            runs = np.empty((4, capacity), np.int64)
            count = _search(words, self._index, runs)
            if count <= capacity:
                return Runs(*runs[:, :count])
            capacity = int(count)


def _rare(
    hashes: np.ndarray[Any, np.dtype[np.uint64]],
    texts: Integers,
    groups: Integers,
    most_texts: int,
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Mask of n-grams (sorted by hash, then text) in at most `most_texts` texts of their group."""
    if not len(hashes):
        return np.zeros(0, np.bool_)
    new_hash = np.append(True, hashes[1:] != hashes[:-1])
    new_text = new_hash | np.append(True, texts[1:] != texts[:-1])
    group = groups[texts]
    new_group = new_hash | np.append(True, group[1:] != group[:-1])
    starts = np.flatnonzero(new_group)
    counts = np.add.reduceat(new_text.astype(np.int64), starts)
    return np.repeat(counts <= most_texts, np.diff(np.append(starts, len(hashes))))


@compiled
def _hash_ngrams(words, starts, size):  # type: ignore[no-untyped-def]
    """Hash and first word (index) of every n-gram, one text after another."""
    total = 0
    for text in range(len(starts) - 1):
        total += max(starts[text + 1] - starts[text] - size + 1, 0)
    hashes, ngrams = np.empty(total, np.uint64), np.empty(total, np.int64)
    used = 0
    for text in range(len(starts) - 1):
        for word in range(starts[text], starts[text + 1] - size + 1):
            value = np.uint64(0)
            for offset in range(size):
                value = value * MULTIPLIER + words[word + offset]
            hashes[used], ngrams[used] = value, word
            used += 1
    return hashes, ngrams


@compiled
def _slot(key, bits):  # type: ignore[no-untyped-def]
    key = (key ^ (key >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return np.int64(key >> np.uint64(64 - bits))


@compiled
def _fill_slots(keys, bits):  # type: ignore[no-untyped-def]
    """Build the hash table `slots` of an index."""
    slots = np.zeros(1 << bits, np.int32)
    mask = (1 << bits) - 1
    for number in range(len(keys)):
        slot = _slot(keys[number], bits)
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = number + 1
    return slots


@compiled
def _look_up(value, index):  # type: ignore[no-untyped-def]
    """Index of a hash among the keys; -1 if it is not indexed."""
    mask = (1 << index.bits) - 1
    slot = _slot(value, index.bits)
    while index.slots[slot]:
        if index.keys[index.slots[slot] - 1] == value:
            return index.slots[slot] - 1
        slot = (slot + 1) & mask
    return -1


@compiled
def _same_word(words, word, index, their_word):  # type: ignore[no-untyped-def]
    """Whether a word equals a word of the reference texts, ignoring case."""
    at, end = words.ranges[word, 0], words.ranges[word, 1]
    there, their_end = index.words.ranges[their_word, 0], index.words.ranges[their_word, 1]
    while at < end and there < their_end:
        code, at = read_character(words.characters, at)
        their_code, there = read_character(index.words.characters, there)
        if code != their_code:
            kind = index.table[code]
            if kind <= 1 or kind != index.table[their_code]:
                return False
    return at >= end and there >= their_end


@compiled
def _equal_from(words, word, index, their_word, most):  # type: ignore[no-untyped-def]
    """Number of equal words from two positions forward, at most `most`."""
    for count in range(most):
        if not _same_word(words, word + count, index, their_word + count):
            return count
    return most


@compiled
def _equal_before(words, word, index, their_word, most):  # type: ignore[no-untyped-def]
    """Number of equal words before two positions, at most `most`."""
    for count in range(most):
        if not _same_word(words, word - count - 1, index, their_word - count - 1):
            return count
    return most


@compiled
def _search(words, index, runs):  # type: ignore[no-untyped-def]
    """Write runs to the columns of `runs` while there is room; return the number of all runs."""
    count, size = 0, index.size
    highest = np.uint64(1)
    for _ in range(size - 1):
        highest = highest * MULTIPLIER
    for row in range(len(words.starts) - 1):
        first, end = words.starts[row], words.starts[row + 1]
        value = np.uint64(0)
        for word in range(first, end):
            if word >= first + size:
                value = value - words.hashes[word - size] * highest
            value = value * MULTIPLIER + words.hashes[word]
            begin = word - size + 1
            number = _look_up(value, index) if begin >= first else -1
            if number < 0:
                continue
            for their_begin in index.ngrams[index.firsts[number] : index.firsts[number + 1]]:
                text = index.text_of_word[their_begin]
                lowest, their_end = index.words.starts[text], index.words.starts[text + 1]
                room = min(begin - first, their_begin - lowest)
                # The preceding n-gram has already found the run that contains both.
                known = room > 0 and index.is_indexed[their_begin - 1]
                if known and _same_word(words, begin - 1, index, their_begin - 1):
                    continue
                before = _equal_before(words, begin, index, their_begin, room)
                length = _equal_from(
                    words, begin, index, their_begin, min(end - begin, their_end - their_begin)
                )
                if length < size:
                    continue  # Hash collision: equal hashes, different words.
                if count < runs.shape[1]:
                    runs[0, count], runs[1, count] = row, text
                    runs[2, count], runs[3, count] = begin - before, before + length
                count += 1
    return count
