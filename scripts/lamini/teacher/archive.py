"""Archive of all ledgers of a run, so that others can rebuild the dataset without an API key.

The archive is a zstd-compressed tar. It holds each plain ledger under its path below `results/`,
then the manifest with counts and SHA-256 digests. Only the known fields of rows are packed: no
logs, lock files or machine paths. Equal ledgers give equal bytes.
"""

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import orjson
import zstandard

from lamini.errors import LaminiError
from lamini.files import atomic_writer
from lamini.teacher.ledger import Ledger, open_files, row_line
from lamini.teacher.money import find_ledgers
from lamini.teacher.packing import pack_ledger
from lamini.teacher.storage import key_of_line

_FORMAT = 1
_MANIFEST = "manifest.json"
_SUFFIX = ".ledger.jsonl"
_FIELDS = (
    "key",
    "body",
    "prompt_tokens",
    "completion_tokens",
    "finish_reason",
    "model",
    "request_id",
    "attempts",
    "sent_at",
    "text",
    "batch",
    "thoughts",
    "refusal",
    "cached_tokens",
    "estimated",
    "discarded_prompt_tokens",
    "discarded_completion_tokens",
)
"""Fields of a ledger row that are exported; others are dropped."""
_SECRET_NAME = re.compile(r"_(API_KEY|TOKEN|SECRET)$")
_ROWS_AT_ONCE = 4096

Manifest = dict[str, Any]


def export_ledgers(results: Path, archive: Path) -> Manifest:
    """Write all ledgers below a results folder to one archive.

    Args:
        results: the results folder; a run may be writing to it, only whole rows are exported.
        archive: the file to write.

    Returns:
        the manifest: `ledgers` (`rows`, `bytes` and `sha256` by path), and the sums `rows` and
        `bytes`.

    Raises:
        LaminiError: there is no ledger, or a row holds the value of a secret environment variable.
    """
    paths = find_ledgers(results)
    if not paths:
        raise LaminiError(f"{results}: there are no ledgers (*{_SUFFIX}) below this folder")
    ledgers: dict[str, dict[str, Any]] = {}
    compressor = zstandard.ZstdCompressor(level=9, write_checksum=True)
    with (
        atomic_writer(archive, "wb") as handle,
        compressor.stream_writer(handle, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in paths:
            data = _exported(path)
            if data:
                name = path.relative_to(results).as_posix()
                ledgers[name] = _manifest_entry(data)
                _add(tar, name, data)
        manifest = {
            "format": _FORMAT,
            "rows": sum(entry["rows"] for entry in ledgers.values()),
            "bytes": sum(entry["bytes"] for entry in ledgers.values()),
            "ledgers": ledgers,
        }
        _add(tar, _MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    return manifest


def import_ledgers(archive: Path, results: Path) -> dict[str, int]:
    """Add the rows of an archive to the ledgers of a results folder.

    The whole archive is checked before anything is written. Existing rows are kept unchanged, so
    importing twice, or over newer ledgers, loses nothing.

    Args:
        archive: a file written by `export_ledgers`.
        results: the results folder, created if missing.

    Returns:
        counts: `ledgers` and `rows` of the archive, `added` rows.

    Raises:
        LaminiError: the archive is damaged, or another process is writing one of the ledgers.
    """
    manifest = check_archive(archive)
    added = 0
    for name, data in _members(archive):
        if name != _MANIFEST:
            added += _merge(data, results / name)
    return {"ledgers": len(manifest["ledgers"]), "rows": manifest["rows"], "added": added}


def check_archive(archive: Path) -> Manifest:
    """Read a whole archive and compare its ledgers with its manifest.

    Raises:
        LaminiError: the archive is damaged; names the file and the difference.
    """
    actual: dict[str, dict[str, Any]] = {}
    manifest: Manifest | None = None
    for name, data in _members(archive):
        if name == _MANIFEST:
            manifest = _read_manifest(archive, data)
            continue
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name.endswith(_SUFFIX):
            raise LaminiError(f"{archive}: {name!r} is not the path of a ledger (*{_SUFFIX})")
        if any(key_of_line(line) is None for line in data.splitlines(keepends=True)):
            raise LaminiError(f"{archive}: {name} has lines that are not ledger rows")
        actual[name] = _manifest_entry(data)
    if manifest is None:
        raise LaminiError(f"{archive}: truncated, its manifest is missing; get the file again")
    expected = manifest["ledgers"]
    for name in sorted({*expected, *actual}):
        if name not in actual:
            raise LaminiError(f"{archive}: {name} is missing; get the file again")
        if expected.get(name) != actual[name]:
            raise LaminiError(
                f"{archive}: {name} does not match the manifest (expected"
                f" {expected.get(name)}, found {actual[name]}); get the file again"
            )
    return manifest


def _exported(path: Path) -> bytes:
    """The rows of a ledger, packed rows first, reduced to `_FIELDS`."""
    secrets = [
        (name, value.encode())
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name) and len(value) >= 16
    ]
    lines = []
    for file in reversed(open_files(path)):
        try:
            for _, line in file.scan():
                if key_of_line(line) is None:
                    continue
                for name, value in secrets:
                    if value in line:
                        raise LaminiError(
                            f"{path}: row {line[8:40].decode()} holds the value of {name};"
                            " remove the row before you share the ledger"
                        )
                row = orjson.loads(line)
                kept: Any = {field: row[field] for field in _FIELDS if field in row}
                lines.append(line if len(kept) == len(row) else row_line(kept))
        finally:
            file.close()
    return b"".join(lines)


def _merge(data: bytes, path: Path) -> int:
    """Append the rows whose key is not in the ledger; returns their number."""
    was_plain = path.exists()
    ledger = Ledger(path)
    added = 0
    try:
        lines: list[bytes] = []
        for line in data.splitlines(keepends=True):
            if ledger.get(line[8:40].decode()) is None:
                lines.append(line)
            if len(lines) == _ROWS_AT_ONCE:
                added += len(lines)
                ledger.append(lines)
                lines = []
        if lines:
            added += len(lines)
            ledger.append(lines)
    finally:
        ledger.close()
    if not was_plain:
        pack_ledger(path)
    return added


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of an archive."""
    if not archive.is_file():
        raise LaminiError(f"{archive}: no such file")
    try:
        with (
            open(archive, "rb") as handle,
            tarfile.open(fileobj=cast(IO[bytes], stream := _Unpacked(handle)), mode="r|") as tar,
        ):
            for member in tar:
                content = tar.extractfile(member)
                if content is None:
                    raise LaminiError(f"{archive}: {member.name!r} is not a regular file")
                yield member.name, content.read()
            while stream.read(1 << 20):  # read to the end, where the checksum is verified
                pass
    except (zstandard.ZstdError, tarfile.TarError, EOFError) as error:
        raise LaminiError(
            f"{archive}: damaged, or not an archive of ledgers ({error}); get the file again"
        ) from error


class _Unpacked:
    """Reader of a zstd file; unlike zstandard's own reader, it raises at a truncated end."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._unpacker = zstandard.ZstdDecompressor().decompressobj()
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the file."""
        parts, length = [self._rest], len(self._rest)
        while length < size and not self._unpacker.eof:
            block = self._handle.read(1 << 16)
            if not block:
                raise EOFError("truncated")
            parts.append(self._unpacker.decompress(block))
            length += len(parts[-1])
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]


def _read_manifest(archive: Path, data: bytes) -> Manifest:
    try:
        manifest: Manifest = orjson.loads(data)
        known = manifest["format"] == _FORMAT and isinstance(manifest["ledgers"], dict)
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise LaminiError(f"{archive}: its manifest cannot be read ({error!r})") from error
    if not known:
        raise LaminiError(
            f"{archive}: has format {manifest['format']!r}, but this version reads {_FORMAT}"
        )
    return manifest


def _manifest_entry(data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"rows": data.count(b"\n"), "bytes": len(data), "sha256": digest}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # without times and owners
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))
