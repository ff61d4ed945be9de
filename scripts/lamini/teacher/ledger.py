"""Ledger of a shard: all answers that were paid for, by request key.

A ledger is append-only JSONL, so a killed job leaves at worst an incomplete last line. The ledger
of a finished shard may be packed (`lamini.teacher.packing`); both forms are read.
"""

import fcntl
import json
import logging
import os
import socket
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Required, TypedDict

import orjson

from lamini.errors import LaminiError
from lamini.files import sync_folder, write_json
from lamini.teacher.index import KeyIndex
from lamini.teacher.storage import LedgerFile, PackedFile, key_of_line

logger = logging.getLogger("lamini")


class LedgerRow(TypedDict, total=False):
    """One answer in a ledger; rows of version 0.1.0 lack some fields."""

    key: Required[str]
    """Request key."""
    body: str
    """Digest of the request's body."""
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    model: str
    """Name of the model in the endpoint's reply."""
    request_id: str
    attempts: int
    """How many times the request was sent."""
    sent_at: float
    """Time of the last attempt, in seconds since the epoch."""
    text: str
    thoughts: str
    refusal: str
    """The endpoint's message, if it refused the prompt."""
    cached_tokens: int
    estimated: bool
    """Whether the reply has no numbers of tokens."""
    asked: str
    """Name of the model in the request, if `model` is another one."""
    batch: str
    """Id of the batch, for an answer of the Batch API."""
    discarded_prompt_tokens: int
    discarded_completion_tokens: int


class LedgerReader:
    """Read-only lookup in ledgers that this job does not write.

    The files are scanned once, at the first lookup. Another job may be writing to them: rows that
    are complete at that time are found, an incomplete last line is skipped.

    Args:
        paths: plain paths (`*.ledger.jsonl`) of the ledgers; missing ledgers count as empty.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths)
        self._files: list[LedgerFile] | None = None
        self._index = KeyIndex()

    def get(self, key: str) -> LedgerRow | None:
        """The row with this request key, or None."""
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
    """The ledger that this job writes, locked against other writers.

    Args:
        path: `*.ledger.jsonl`; created if missing. Its packed form beside it is read too.

    Raises:
        LaminiError: another job is writing this ledger, or its packed form is damaged.
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

    def get(self, key: str) -> LedgerRow | None:
        """The row with this request key, or None."""
        return find_row(self._index, self._files, key)

    def __len__(self) -> int:
        return len(self._index)

    def append(self, lines: list[bytes]) -> None:
        """Append rows and sync them to disk.

        Args:
            lines: rows made by `row_line`.

        Raises:
            LaminiError: the rows cannot be written; the whole rows that fit are kept.
        """
        self.write(lines)
        self.sync()

    def write(self, lines: list[bytes]) -> None:
        """Append rows without a sync: they outlive this process, but not the machine.

        Args, raises: as in `append`.
        """
        everything = b"".join(lines)
        data = memoryview(everything)
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            fitted = everything[: len(everything) - len(data)].rfind(b"\n") + 1
            os.ftruncate(self._descriptor, self._size + fitted)
            raise self._unwritable(error) from error
        for line in lines:
            self._index.add(int(line[8:24], 16), 0, self._size)
            self._size += len(line)

    def sync(self) -> None:
        """Sync all rows to disk; raises as `append`."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> LaminiError:
        return LaminiError(
            f"{self.path}: cannot be written ({error.strerror}); free disk space, then run the"
            " same command again: requests in the ledger are not sent again"
        )

    def close(self) -> None:
        """Close the files and release the lock."""
        for file in self._files:
            file.close()
        _holder_path(self.path).unlink(missing_ok=True)
        os.close(self._descriptor)


def row_line(row: LedgerRow) -> bytes:
    """One line of a ledger. `key` is the first field, because the index reads it by position."""
    assert next(iter(row)) == "key"
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def read_ledger(path: Path) -> Iterator[LedgerRow]:
    """Yield the rows of a ledger, packed rows first."""
    for file in reversed(open_files(path)):
        try:
            for _, line in file.scan():
                if key_of_line(line) is not None:
                    yield orjson.loads(line)
        finally:
            file.close()


def ledger_path(answers: Path) -> Path:
    """Path of the ledger of a shard; `answers` is the shard's JSONL file, in the same folder."""
    return answers.with_suffix(".ledger.jsonl")


def packed_path(path: Path) -> Path:
    """Path of the packed form of a ledger."""
    return path.with_name(path.name + ".zst")


def open_files(path: Path) -> list[LedgerFile]:
    """Open the existing forms of a ledger: plain, packed, both or neither."""
    return [*([LedgerFile(path)] if path.exists() else []), *open_packed(path)]


def open_packed(path: Path) -> list[LedgerFile]:
    """Open the packed form of a ledger, if it exists."""
    packed = packed_path(path)
    return [PackedFile(packed)] if packed.exists() else []


def index_file(index: KeyIndex, number: int, file: LedgerFile) -> None:
    """Add all rows of a file to the index; damaged lines are skipped with a warning."""
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
        logger.warning(
            "%s: %d damaged lines skipped; their requests are sent again", file.path, damaged
        )


def find_row(index: KeyIndex, files: list[LedgerFile], key: str) -> LedgerRow | None:
    """Read the row with this key from its file; None if there is none."""
    for number, offset in index.find(key):
        row: LedgerRow = orjson.loads(files[number].line_at(offset))
        if row["key"] == key:
            return row
    return None


def _open_locked(path: Path) -> int:
    """Open for appending with an exclusive lock, which over NFS holds on all machines."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise LaminiError(
                f"{path}: another job{_holder(path)} is writing this ledger; stop one of the two"
                " jobs, or each answer would be paid for twice"
            ) from None
        except OSError as error:
            # Some cluster file systems have no locks; then only Snakemake's lock protects it.
            logger.warning(
                "%s: this file system has no locks (%s); make sure that no other job writes this"
                " ledger",
                path,
                error.strerror,
            )
        try:  # packing may have replaced the file between opening and locking
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
    """Process and host of the lock's holder; "" if unknown."""
    try:
        holder = json.loads(_holder_path(path).read_text())
        return f" (process {holder['pid']} on {holder['host']})"
    except (OSError, ValueError, KeyError):
        return ""


def _mend_tail(descriptor: int, path: Path) -> None:
    """Repair an incomplete last line: add a missing line end, or else truncate the line."""
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
        logger.info("%s: removed an incomplete last line of %d bytes", path, len(torn))
    else:
        os.write(descriptor, b"\n")
    os.fsync(descriptor)
