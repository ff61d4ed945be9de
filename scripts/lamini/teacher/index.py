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
        self._prefixes, self._places = array("Q"), array("Q")
        self._recent: dict[int, int] = {}
        self._count = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def add(self, prefix: int, file: int, offset: int) -> None:
        """Add the position of a row; rows with equal prefixes are all kept."""
        place = file << _OFFSET_BITS | offset
        with self._lock:
            if prefix in self._recent or len(self._recent) >= _MERGE_AT:
                self._merge()
            self._recent[prefix] = place
            self._count += 1

    def load(self, prefixes: "array[int]", file: int, offsets: "array[int]") -> None:
        """Add the positions of many rows of one file."""
        places = np.frombuffer(offsets, np.uint64) | np.uint64(file << _OFFSET_BITS)
        with self._lock:
            self._sort_in(np.frombuffer(prefixes, np.uint64), places)
            self._count += len(prefixes)

    def find(self, key: str) -> list[tuple[int, int]]:
        """(file number, byte offset) of the rows whose key starts like `key` (32 hex digits)."""
        if not self._count:
            return []
        prefix = int(key[:16], 16)
        with self._lock:
            places = [self._recent[prefix]] if prefix in self._recent else []
            at = bisect_left(self._prefixes, prefix)
            while at < len(self._prefixes) and self._prefixes[at] == prefix:
                places.append(self._places[at])
                at += 1
        return [(place >> _OFFSET_BITS, place & ((1 << _OFFSET_BITS) - 1)) for place in places]

    def _merge(self) -> None:
        recent, self._recent = self._recent, {}
        self._sort_in(
            np.fromiter(recent.keys(), np.uint64, len(recent)),
            np.fromiter(recent.values(), np.uint64, len(recent)),
        )

    def _sort_in(self, prefixes: np.ndarray, places: np.ndarray) -> None:
        prefixes = np.concatenate([np.frombuffer(self._prefixes, np.uint64), prefixes])
        places = np.concatenate([np.frombuffer(self._places, np.uint64), places])
        order = np.argsort(prefixes, kind="stable")
        self._prefixes = array("Q", prefixes[order].tobytes())
        self._places = array("Q", places[order].tobytes())
