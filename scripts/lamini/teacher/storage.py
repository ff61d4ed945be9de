"""Readers of the two forms of a ledger: a scan of all rows, and random access to single rows.

Plain: JSONL. Packed: the same JSONL in zstd frames of about one megabyte, so that reading a single
row is cheap; `zstd -d` restores the plain form.
"""

import bisect
import functools
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import zstandard

from lamini.errors import LaminiError

_LINE = re.compile(rb'\{"key":"([0-9a-f]{16})[0-9a-f]{16}",')
_MAX_FRAME_BYTES = 1 << 26
_RLE_BLOCK = 1


def key_of_line(line: bytes) -> int | None:
    """The first 64 bits of a row's key; None if the line is not a whole row."""
    match = _LINE.match(line)
    return int(match[1], 16) if match and line.endswith(b"}\n") else None


class LedgerFile:
    """A plain ledger; several threads may read lines of it.

    Args:
        path: JSONL file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = open(path, "rb")  # noqa: SIM115, closed by close()
        self._lock = threading.Lock()
        """Held between seeking and reading."""

    def scan(self) -> Iterator[tuple[int, bytes]]:
        """Yield the byte offset and the bytes of each whole line."""
        offset = 0
        with open(self.path, "rb") as handle:
            for line in handle:
                if not line.endswith(b"\n"):
                    return  # incomplete last line of a ledger that is being written
                yield offset, line
                offset += len(line)

    def line_at(self, offset: int) -> bytes:
        """The line that starts at `offset`."""
        with self._lock:
            self._handle.seek(offset)
            return self._handle.readline()

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


class PackedFile(LedgerFile):
    """A packed ledger; offsets are positions in the unpacked file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._starts: list[int] = []
        self._frames: list[tuple[int, int]] = []
        self._cached = functools.lru_cache(maxsize=8)(self._unpack)
        unpacked = 0
        for offset, length, size in self._find_frames():
            self._starts.append(unpacked)
            self._frames.append((offset, length))
            unpacked += size

    def scan(self) -> Iterator[tuple[int, bytes]]:
        """Yield the offset and the bytes of each line."""
        for number, start in enumerate(self._starts):
            offset = start
            for line in self._unpack(number).splitlines(keepends=True):
                yield offset, line
                offset += len(line)

    def line_at(self, offset: int) -> bytes:
        """The line that starts at `offset`, from the frame that holds it."""
        number = bisect.bisect_right(self._starts, offset) - 1
        data = self._cached(number)
        inside = offset - self._starts[number]
        return data[inside : data.index(b"\n", inside) + 1]

    def _unpack(self, number: int) -> bytes:
        offset, length = self._frames[number]
        with self._lock:
            self._handle.seek(offset)
            packed = self._handle.read(length)
        try:
            data = zstandard.ZstdDecompressor().decompress(packed)
        except zstandard.ZstdError as error:
            raise LaminiError(f"{self.path}: damaged at byte {offset} ({error})") from error
        if not data.endswith(b"\n"):
            raise self._foreign()
        return data

    def _find_frames(self) -> Iterator[tuple[int, int, int]]:
        """Yield offset, packed and unpacked length of each frame, from headers only (RFC 8878)."""
        offset, end = 0, self.path.stat().st_size
        while offset < end:
            self._handle.seek(offset)
            head = self._handle.read(18)  # maximum size of a frame header
            try:
                frame = zstandard.get_frame_parameters(head)
            except zstandard.ZstdError as error:
                raise LaminiError(f"{self.path}: damaged at byte {offset} ({error})") from error
            if not 0 < frame.content_size <= _MAX_FRAME_BYTES:
                raise self._foreign()
            at, last = offset + zstandard.frame_header_size(head), False
            while not last:
                self._handle.seek(at)
                block = int.from_bytes(self._handle.read(3), "little")
                last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
                at += 3 + (1 if kind == _RLE_BLOCK else size)
                if at > end:
                    raise LaminiError(f"{self.path}: truncated at byte {offset}; restore the file")
            at += 4 if frame.has_checksum else 0
            yield offset, at - offset, frame.content_size
            offset = at

    def _foreign(self) -> LaminiError:
        return LaminiError(
            f"{self.path}: not packed by this pipeline; unpack it: zstd -d {self.path}"
        )
