"""Near-duplicate texts by MinHash and locality-sensitive hashing (Broder 1997).

A text is the set of its word n-grams (shingles). Hashing selects earlier texts that may be similar.
Each candidate is then compared by its full set, so every reported duplicate is a true one, and only
few are missed. Texts are processed in order. Only texts that are not duplicates themselves are
compared with later texts, so memory and time depend on the number of new texts. Their shingles are
in a temporary file (`lamini.analysis.spill`).
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamini.analysis.compiled import compiled
from lamini.analysis.spill import Spilled
from lamini.analysis.words import MULTIPLIER, word_hashes
from lamini.arrays import Hashes, Integers
from lamini.files import derive_seed


class Shingles(NamedTuple):
    """Shingles of texts, and the LSH keys that find similar texts."""

    hashes: Hashes
    """Shingle hashes of all texts, one text after another; sorted and unique within a text."""
    starts: Integers
    """Start of each text's shingles in `hashes`; shape (texts + 1,)."""
    keys: np.ndarray[Any, np.dtype[np.uint64]]
    """Shape (texts, bands)."""


class Originals(NamedTuple):
    """The original of each text, one entry per text."""

    original: Integers
    """Index of the earlier text that this text nearly repeats; -1 if there is none."""
    similarity: np.ndarray[Any, np.dtype[np.float64]]
    """Jaccard similarity of both texts' shingles; 0 without an original."""


class Hashing:
    """Splits texts into shingles and computes their LSH keys.

    Args:
        size: words per shingle; a text of fewer words is one shingle.
        bands: keys per text; two texts are compared if they share a key.
        rows: MinHash values per key. Texts of similarity s share a key with probability
            1 - (1 - s ** rows) ** bands.
    """

    def __init__(self, size: int, bands: int, rows: int) -> None:
        self.size, self.bands = size, bands
        random = np.random.default_rng(derive_seed("minhash"))
        odd = random.integers(0, 2**63, bands * rows, np.uint64) * np.uint64(2) + np.uint64(1)
        added = random.integers(0, 2**64, bands * rows, np.uint64)
        self._functions = np.stack([odd, added]).reshape(2, bands, rows)

    def shingles(self, texts: pa.StringArray) -> Shingles:
        """Shingles and keys of texts; a text without words has no shingles."""
        words, starts = word_hashes(texts)
        hashes, bounds = _cut_shingles(words, starts, self.size)
        return Shingles(hashes, bounds, _band_keys(hashes, bounds, self._functions))


class NearDuplicates:
    """Finds near-duplicates among texts that are added batch by batch.

    Args:
        texts: maximum number of texts in total.
        hashing: shingle and LSH settings.
        threshold: minimum Jaccard similarity of a near-duplicate and its original.
        most_compared: maximum number of texts compared per shared key (the latest with that key).
            Limits the time if thousands of dissimilar texts share a phrase.
    """

    def __init__(
        self, texts: int, *, hashing: Hashing, threshold: float, most_compared: int
    ) -> None:
        self._threshold, self._most_compared = threshold, most_compared
        bits = max((2 * texts * hashing.bands).bit_length(), 4)
        self._state = _State(
            slots=np.full(1 << bits, -1, np.int32),
            tags=np.zeros(1 << bits, np.uint32),
            following=np.zeros((texts, hashing.bands), np.int32),
            seen=np.full(texts, -1, np.int64),
            number=np.zeros(texts, np.int64),
            starts=np.zeros(texts + 1, np.int64),
            counts=np.zeros(2, np.int64),
            bits=bits,
        )
        self._shingles = Spilled()
        self._kept = self._shingles.room(0)

    def add(self, shingles: Shingles) -> Originals:
        """Add texts and return their originals; texts are numbered in the order of addition."""
        used = int(self._state.starts[self._state.counts[0]])
        if used + len(shingles.hashes) > len(self._kept):
            self._kept = self._shingles.room(used + len(shingles.hashes))
        rows = len(shingles.starts) - 1
        originals = Originals(np.full(rows, -1, np.int64), np.zeros(rows))
        limits = (self._threshold, self._most_compared)
        _find_originals(shingles, self._kept, self._state, limits, originals)
        return originals


class _State(NamedTuple):
    """Texts without an original, and the hash table of their keys; each text has one entry."""

    slots: np.ndarray[Any, np.dtype[np.int32]]
    """Hash table with open addressing: the last entry with the slot's key; -1 if free."""
    tags: np.ndarray[Any, np.dtype[np.uint32]]
    """Part of each slot's key. Two keys rarely share both; their texts are then compared."""
    following: np.ndarray[Any, np.dtype[np.int32]]
    """Per entry and band: the previous entry with the same key, plus 1; 0 at the end."""
    seen: Integers
    """Per entry: number of the text that it was last compared with."""
    number: Integers
    """Per entry: number of its text."""
    starts: Integers
    """Per entry: start of its shingles."""
    counts: Integers
    """Number of used entries, and number of added texts."""
    bits: int


@compiled
def _mixed(value):  # type: ignore[no-untyped-def]
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def _cut_shingles(words, starts, size):  # type: ignore[no-untyped-def]
    """Sorted unique shingle hashes of each text, and the start of each text's hashes."""
    total = 0
    for text in range(len(starts) - 1):
        length = starts[text + 1] - starts[text]
        total += max(length - size + 1, min(length, 1))
    hashes, bounds = np.empty(total, np.uint64), np.zeros(len(starts), np.int64)
    used = 0
    for text in range(len(starts) - 1):
        first, end = starts[text], starts[text + 1]
        begin = used
        span = min(size, end - first)
        for word in range(first, end - span + 1 if span else first):
            value = np.uint64(span)
            for offset in range(span):
                value = value * MULTIPLIER + words[word + offset]
            hashes[used] = _mixed(value)
            used += 1
        own = np.sort(hashes[begin:used])
        used = begin
        for position in range(len(own)):
            if position == 0 or own[position] != own[position - 1]:
                hashes[used] = own[position]
                used += 1
        bounds[text + 1] = used
    return hashes[:used].copy(), bounds


@compiled
def _band_keys(hashes, bounds, functions):  # type: ignore[no-untyped-def]
    """One key per text and band: a hash of the minimum values of the band's hash functions."""
    _, bands, rows = functions.shape
    odd, added = functions[0].copy().reshape(-1), functions[1].copy().reshape(-1)
    smallest = np.empty(bands * rows, np.uint64)
    keys = np.empty((len(bounds) - 1, bands), np.uint64)
    for text in range(len(bounds) - 1):
        smallest[:] = np.uint64(0xFFFFFFFFFFFFFFFF)
        for shingle in range(bounds[text], bounds[text + 1]):
            value = hashes[shingle]
            for function in range(bands * rows):
                # Only the high half of a product depends on all bits of the value.
                hashed = (value * odd[function] + added[function]) >> np.uint64(32)
                smallest[function] = min(smallest[function], hashed)
        for band in range(bands):
            key = np.uint64(band + 1)
            for row in range(rows):
                key = _mixed(key * MULTIPLIER + smallest[band * rows + row])
            keys[text, band] = key
    return keys


@compiled
def _similarity(one, other, threshold):  # type: ignore[no-untyped-def]
    """Jaccard similarity of two sorted arrays; 0 if it is below the threshold (stops early)."""
    nearly = threshold - 1e-9  # Tolerance of the early exits; the last line is exact.
    if min(len(one), len(other)) < nearly * max(len(one), len(other)):
        return 0.0
    shared = at = there = 0
    total = len(one) + len(other)
    while at < len(one) and there < len(other):
        if one[at] == other[there]:
            shared, at, there = shared + 1, at + 1, there + 1
        else:
            step = one[at] < other[there]
            at, there = at + step, there + (not step)
            most = shared + min(len(one) - at, len(other) - there)
            if most < nearly * (total - most):
                return 0.0
    similarity = shared / (total - shared)
    return similarity if similarity >= threshold else 0.0


@compiled
def _slot_of(key, state):  # type: ignore[no-untyped-def]
    """Slot of a key, or the free slot where the key would be inserted."""
    mask = (1 << state.bits) - 1
    slot = np.int64(key >> np.uint64(64 - state.bits))
    tag = np.uint32(key & np.uint64(0xFFFFFFFF))
    while state.slots[slot] >= 0 and state.tags[slot] != tag:
        slot = (slot + 1) & mask
    return slot


@compiled
def _find_originals(shingles, kept, state, limits, originals):  # type: ignore[no-untyped-def]
    """Fill `originals`; add texts without an original to `kept` and `state`."""
    threshold, most_compared = limits
    texts, bands = shingles.keys.shape
    for text in range(texts):
        own = shingles.hashes[shingles.starts[text] : shingles.starts[text + 1]]
        number = state.counts[1]
        state.counts[1] += 1
        if len(own) == 0:
            continue
        best, best_entry = 0.0, -1
        for band in range(bands):
            entry = state.slots[_slot_of(shingles.keys[text, band], state)]
            left = most_compared
            while entry >= 0 and left > 0:
                if state.seen[entry] != number:
                    state.seen[entry] = number
                    theirs = kept[state.starts[entry] : state.starts[entry + 1]]
                    similarity = _similarity(own, theirs, threshold)
                    if similarity > best or (similarity == best and 0 <= entry < best_entry):
                        best, best_entry = similarity, entry
                entry = state.following[entry, band] - 1
                left -= 1
        if best > 0:
            originals.original[text] = state.number[best_entry]
            originals.similarity[text] = best
            continue
        new = state.counts[0]
        state.counts[0] += 1
        state.number[new] = number
        state.starts[new + 1] = state.starts[new] + len(own)
        kept[state.starts[new] : state.starts[new + 1]] = own
        for band in range(bands):
            key = shingles.keys[text, band]
            slot = _slot_of(key, state)
            state.following[new, band] = state.slots[slot] + 1
            state.slots[slot] = new
            state.tags[slot] = np.uint32(key & np.uint64(0xFFFFFFFF))
