"""Index of a ledger: from a request key to the position of its row, in 16 bytes per row.

The first 64 bits of the keys are sorted; a lookup is a binary search. The reader of the row then
compares the whole key.
"""

import threading
from array import array
from bisect import bisect_left

import numpy as np

_OFFSET_BITS = 48
_MERGE_AT = 65536  # size at which the dict of new keys is merged into the sorted array


class KeyIndex:
    """Thread-safe multimap from a 64-bit key prefix to (file number, byte offset)."""

    def __init__(self) -> None:
        self._prefixes, self._positions = array("Q"), array("Q")
        self._recent: dict[int, int] = {}
        self._count = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def add(self, prefix: int, file: int, offset: int) -> None:
        """Add the position of a row; rows with equal prefixes are all kept."""
        position = file << _OFFSET_BITS | offset
        with self._lock:
            if prefix in self._recent or len(self._recent) >= _MERGE_AT:
                self._merge()
            self._recent[prefix] = position
            self._count += 1

    def load(self, prefixes: "array[int]", file: int, offsets: "array[int]") -> None:
        """Add the positions of many rows of one file."""
        positions = np.frombuffer(offsets, np.uint64) | np.uint64(file << _OFFSET_BITS)
        with self._lock:
            self._sort_in(np.frombuffer(prefixes, np.uint64), positions)
            self._count += len(prefixes)

    def find(self, key: str) -> list[tuple[int, int]]:
        """(file number, byte offset) of the rows whose key starts like `key` (32 hex digits)."""
        if not self._count:
            return []
        prefix = int(key[:16], 16)
        with self._lock:
            positions = [self._recent[prefix]] if prefix in self._recent else []
            at = bisect_left(self._prefixes, prefix)
            while at < len(self._prefixes) and self._prefixes[at] == prefix:
                positions.append(self._positions[at])
                at += 1
        mask = (1 << _OFFSET_BITS) - 1
        return [(position >> _OFFSET_BITS, position & mask) for position in positions]

    def _merge(self) -> None:
        recent, self._recent = self._recent, {}
        self._sort_in(
            np.fromiter(recent.keys(), np.uint64, len(recent)),
            np.fromiter(recent.values(), np.uint64, len(recent)),
        )

    def _sort_in(self, prefixes: np.ndarray, positions: np.ndarray) -> None:
        prefixes = np.concatenate([np.frombuffer(self._prefixes, np.uint64), prefixes])
        positions = np.concatenate([np.frombuffer(self._positions, np.uint64), positions])
        order = np.argsort(prefixes, kind="stable")
        self._prefixes = array("Q", prefixes[order].tobytes())
        self._positions = array("Q", positions[order].tobytes())
