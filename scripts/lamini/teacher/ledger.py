"""The ledger of a shard: every answer that was ever paid for, found again by its request's key.

One JSON object a line, only ever appended to, so that a killed job leaves at worst a torn last
line. A finished ledger may be packed (`lamini.teacher.packing`); both forms are read.
"""

import fcntl
import json
import logging
import os
import socket
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from lamini.errors import LaminiError
from lamini.files import sync_folder, write_json
from lamini.teacher.index import KeyIndex
from lamini.teacher.storage import LedgerFile, PackedFile, key_of_line

logger = logging.getLogger("lamini")


class LedgerReader:
    """Looks keys up in ledgers that this job does not write.

    The files are read through once, at the first lookup. A file may be growing meanwhile: what was
    complete then is found, a torn end is passed over.

    Args:
        paths: ledgers by their plain name (`*.ledger.jsonl`); missing ones are fine.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths)
        self._files: list[LedgerFile] | None = None
        self._index = KeyIndex()

    def get(self, key: str) -> dict[str, Any] | None:
        """The row of a request, or None."""
        if self._files is None:
            self._read_files()
        return find_row(self._index, self._files or [], key)

    def __len__(self) -> int:
        if self._files is None:
            self._read_files()
        return len(self._index)

    def _read_files(self) -> None:
        self._files = [file for path in self._paths for file in open_files(path)]
        for number, file in enumerate(self._files):
            index_file(self._index, number, file)

    def close(self) -> None:
        """Close the files."""
        for file in self._files or []:
            file.close()


class Ledger:
    """The ledger that this job writes, locked against a second writer.

    Args:
        path: `*.ledger.jsonl`; made when missing. Its packed form beside it is read too.

    Raises:
        LaminiError: another job writes it, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = _open_locked(path)
        try:
            _mend_tail(self._descriptor, path)
            self._files = [LedgerFile(path), *open_packed(path)]
            self._index = KeyIndex()
            for number, file in enumerate(self._files):
                index_file(self._index, number, file)
            self._size = os.fstat(self._descriptor).st_size
        except BaseException:
            os.close(self._descriptor)
            raise

    def get(self, key: str) -> dict[str, Any] | None:
        """The row of a request, or None."""
        return find_row(self._index, self._files, key)

    def __len__(self) -> int:
        return len(self._index)

    def append(self, lines: list[bytes]) -> None:
        """Append rows, and return once they would survive a power cut.

        Args:
            lines: rows as `row_line` made them.

        Raises:
            LaminiError: they cannot be written; the file is left as it was.
        """
        data = memoryview(b"".join(lines))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fdatasync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            raise LaminiError(
                f"{self.path}: cannot be written ({error.strerror}); make room, then run the same"
                " command again: what the ledger holds is not asked again"
            ) from error
        for line in lines:
            self._index.add(int(line[8:24], 16), 0, self._size)
            self._size += len(line)

    def close(self) -> None:
        """Give up the lock."""
        for file in self._files:
            file.close()
        _holder_path(self.path).unlink(missing_ok=True)
        os.close(self._descriptor)


def row_line(row: dict[str, Any]) -> bytes:
    """One line of a ledger. `key` comes first, where the index expects it."""
    assert next(iter(row)) == "key"
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def read_ledger(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a ledger, packed ones first."""
    for file in reversed(open_files(path)):
        try:
            for _, line in file.scan():
                if key_of_line(line) is not None:
                    yield orjson.loads(line)
        finally:
            file.close()


def ledger_path(answers: Path) -> Path:
    """Where the ledger of a file that is made of answers lies: beside it."""
    return answers.with_suffix(".ledger.jsonl")


def packed_path(path: Path) -> Path:
    """Where the packed form of a ledger lies."""
    return path.with_name(path.name + ".zst")


def open_files(path: Path) -> list[LedgerFile]:
    """The forms in which a ledger exists: plain, packed, both or neither."""
    return [*([LedgerFile(path)] if path.exists() else []), *open_packed(path)]


def open_packed(path: Path) -> list[LedgerFile]:
    """The packed form of a ledger, when there is one."""
    packed = packed_path(path)
    return [PackedFile(packed)] if packed.exists() else []


def index_file(index: KeyIndex, number: int, file: LedgerFile) -> None:
    """Put all rows of a file into the index; damaged lines are named and passed over."""
    damaged = 0
    prefixes, offsets = array("Q"), array("Q")
    for offset, line in file.scan():
        key = key_of_line(line)
        if key is None:
            damaged += 1
        else:
            prefixes.append(key)
            offsets.append(offset)
    index.load(prefixes, number, offsets)
    if damaged:
        logger.warning("%s: %d damaged lines passed over; they are asked again", file.path, damaged)


def find_row(index: KeyIndex, files: list[LedgerFile], key: str) -> dict[str, Any] | None:
    """Read the row of `key` from the file that holds it."""
    for number, offset in index.find(key):
        row: dict[str, Any] = orjson.loads(files[number].line_at(offset))
        if row["key"] == key:
            return row
    return None


def _open_locked(path: Path) -> int:
    """Open for appending as the only writer, on this machine and, over NFS, on all."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise LaminiError(
                f"{path}: another job{_holder(path)} is writing this ledger; stop one of the two,"
                " or each answer would be paid for twice"
            ) from None
        except OSError as error:
            # Some cluster file systems have no locks; Snakemake's own lock is left then.
            logger.warning(
                "%s: this file system has no locks (%s); be sure that no second job writes it",
                path,
                error.strerror,
            )
        try:  # packing may have replaced the file between the opening and the lock
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        except FileNotFoundError:
            pass
        os.close(descriptor)
    sync_folder(path.parent)
    write_json(_holder_path(path), {"host": socket.gethostname(), "pid": os.getpid()})
    return descriptor


def _holder_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.writer")


def _holder(path: Path) -> str:
    """Who holds the lock, as far as it is known."""
    try:
        holder = json.loads(_holder_path(path).read_text())
        return f" (process {holder['pid']} on {holder['host']})"
    except (OSError, ValueError, KeyError):
        return ""


def _mend_tail(descriptor: int, path: Path) -> None:
    """Make the file end with a whole line: finish it if only its line end is missing, else cut."""
    size = os.fstat(descriptor).st_size
    start, tail = size, b""
    while start > 0 and b"\n" not in tail:
        step = min(65536, start)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
    torn = tail[tail.rfind(b"\n") + 1 :]
    if not torn:
        return
    try:
        orjson.loads(torn)
    except orjson.JSONDecodeError:
        os.ftruncate(descriptor, size - len(torn))
        logger.info("%s: a torn last line of %d bytes was cut off", path, len(torn))
    else:
        os.write(descriptor, b"\n")
    os.fsync(descriptor)
