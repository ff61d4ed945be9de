"""Telling repeated texts among millions: 128-bit marks of normalised texts, and a set of them.

Marks are equal where `lamini.generation.normalization.normalized` gives equal texts. Plain ASCII,
as nearly all texts are, is normalised and marked in one pass over Arrow's bytes; the rest is
normalised first. A mark is no cryptographic digest: two unlike texts share one by accident alone,
once in 10^25 among three million.
"""

from typing import Any

import numba
import numpy as np
import pyarrow as pa

from lamini.generation.normalization import normalized

Marks = np.ndarray[Any, np.dtype[np.uint64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
_FIRST_BITS = 12


def text_marks(texts: pa.StringArray) -> Marks:
    """The mark of each text, shape (texts, 2).

    Args:
        texts: without nulls.
    """
    marks, is_ascii = _mark(texts)
    if not is_ascii.all():
        others = np.flatnonzero(~is_ascii)
        folded = [normalized(texts[row].as_py()) for row in others.tolist()]
        marks[others], _ = _mark(pa.array(folded, pa.string()))
    return marks


def _mark(texts: pa.StringArray) -> tuple[Marks, Mask]:
    """Marks of texts as if all were ASCII, and which are."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    characters = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    marks, is_ascii = np.zeros((len(texts), 2), np.uint64), np.ones(len(texts), np.bool_)
    _mark_texts(characters, bounds, marks, is_ascii)
    return marks, is_ascii


class SeenMarks:
    """A set of marks that takes 32 bytes or so for each."""

    def __init__(self) -> None:
        self._count, self._slots = 0, np.zeros((1 << _FIRST_BITS, 2), np.uint64)

    def add(self, marks: Marks, wanted: Mask) -> Mask:
        """Add the wanted marks; returns which of them are new, the first of equal ones.

        Args:
            marks: shape (texts, 2).
            wanted: shape (texts,).
        """
        while 2 * (self._count + len(marks)) > len(self._slots):
            larger = np.zeros((2 * len(self._slots), 2), np.uint64)
            known = self._slots[self._slots.any(axis=1)]
            _insert(larger, known, np.ones(len(known), np.bool_))
            self._slots = larger
        new = _insert(self._slots, marks, wanted)
        self._count += int(new.sum())
        return new


@numba.njit(cache=True, nogil=True)
def _finish(value):  # type: ignore[no-untyped-def]
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def _mark_texts(characters, bounds, marks, is_ascii):  # type: ignore[no-untyped-def]
    """Fill `marks` and `is_ascii`: lower case, one space for white space within, none about.

    Two polynomials over the characters, modulo 2 ** 64, each folded with shifts as it grows.
    """
    one, other = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
    for text in range(len(bounds) - 1):
        first, second = one, other
        gap = started = False
        size = np.uint64(0)
        for at in range(bounds[text], bounds[text + 1]):
            code = characters[at]
            if code >= 0x80:
                is_ascii[text] = False
            if code == 0x20 or 0x09 <= code <= 0x0D or 0x1C <= code <= 0x1F:
                gap = started
                continue
            if 0x41 <= code <= 0x5A:
                code += np.uint8(0x20)
            value = np.uint64(code) + np.uint64(1)
            if gap:
                value += np.uint64(0x2000)
            gap, started = False, True
            size += value
            first = (first ^ value) * one
            first ^= first >> np.uint64(29)
            second = (second + value) * other
            second ^= second >> np.uint64(32)
        # No mark is zero, which stands for a free slot.
        marks[text, 0] = _finish(first + size) | np.uint64(1)
        marks[text, 1] = _finish(second ^ size)


@numba.njit(cache=True, nogil=True)
def _insert(slots, marks, wanted):  # type: ignore[no-untyped-def]
    """Put the wanted marks into their slots; returns which were not there."""
    new = np.zeros(len(marks), np.bool_)
    mask = np.uint64(len(slots) - 1)
    for row in range(len(marks)):
        if not wanted[row]:
            continue
        slot = (marks[row, 0] >> np.uint64(1)) & mask
        while slots[slot, 0] != 0 and (
            slots[slot, 0] != marks[row, 0] or slots[slot, 1] != marks[row, 1]
        ):
            slot = (slot + np.uint64(1)) & mask
        if slots[slot, 0] == 0:
            slots[slot, 0], slots[slot, 1] = marks[row, 0], marks[row, 1]
            new[row] = True
    return new
