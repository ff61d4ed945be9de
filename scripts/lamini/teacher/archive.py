"""All ledgers of a run in one file, so that others rebuild the dataset without a key.

A tar in zstd: one plain ledger after another under its path below `results/`, and last the
manifest with counts and digests. Only a row's own fields are packed, never logs, lock files or
paths of the machine. The same ledgers give the same bytes.
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
)
"""What a row may hold; anything else is left behind."""
_SECRET_NAME = re.compile(r"_(API_KEY|TOKEN|SECRET)$")
_ROWS_AT_ONCE = 4096

Manifest = dict[str, Any]


def export_ledgers(results: Path, archive: Path) -> Manifest:
    """Pack all ledgers below a results folder into one file.

    Args:
        results: the results folder; a run may be going on, whole rows are taken.
        archive: the file to write.

    Returns:
        the manifest: `ledgers` with `rows`, `bytes`, `sha256` by path, and their sums.

    Raises:
        LaminiError: there is no ledger, or a row holds a secret of this environment.
    """
    found = find_ledgers(results)
    if not found:
        raise LaminiError(f"{results}: there are no ledgers (*{_SUFFIX}) below this folder")
    ledgers: dict[str, dict[str, Any]] = {}
    compressor = zstandard.ZstdCompressor(level=9, write_checksum=True)
    with (
        atomic_writer(archive, "wb") as handle,
        compressor.stream_writer(handle, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in found:
            data = _exported(path)
            if data:
                name = path.relative_to(results).as_posix()
                ledgers[name] = _facts(data)
                _add(tar, name, data)
        manifest = {
            "format": _FORMAT,
            "rows": sum(facts["rows"] for facts in ledgers.values()),
            "bytes": sum(facts["bytes"] for facts in ledgers.values()),
            "ledgers": ledgers,
        }
        _add(tar, _MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    return manifest


def import_ledgers(archive: Path, results: Path) -> dict[str, int]:
    """Put the ledgers of an archive where a run looks for them.

    The archive is checked as a whole before anything is written. Rows that are there already stay
    as they are, so importing twice, or over newer ledgers, loses nothing.

    Args:
        archive: what `export_ledgers` wrote.
        results: the results folder, made when missing.

    Returns:
        counts: `ledgers`, `rows` of the archive, `added` ones.

    Raises:
        LaminiError: the archive is damaged, or a job is writing one of the ledgers.
    """
    manifest = check_archive(archive)
    added = 0
    for name, data in _members(archive):
        if name != _MANIFEST:
            added += _merge(data, results / name)
    return {"ledgers": len(manifest["ledgers"]), "rows": manifest["rows"], "added": added}


def check_archive(archive: Path) -> Manifest:
    """Read an archive to its end and compare it with its manifest.

    Raises:
        LaminiError: names what is wrong.
    """
    found: dict[str, dict[str, Any]] = {}
    manifest: Manifest | None = None
    for name, data in _members(archive):
        if name == _MANIFEST:
            manifest = _read_manifest(archive, data)
            continue
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or not name.endswith(_SUFFIX):
            raise LaminiError(f"{archive}: {name!r} is no ledger below a results folder")
        if any(key_of_line(line) is None for line in data.splitlines(keepends=True)):
            raise LaminiError(f"{archive}: {name} has lines that are no rows of a ledger")
        found[name] = _facts(data)
    if manifest is None:
        raise LaminiError(f"{archive}: cut short, its manifest is missing; get the file again")
    expected = manifest["ledgers"]
    for name in sorted({*expected, *found}):
        if name not in found:
            raise LaminiError(f"{archive}: {name} is missing; get the file again")
        if expected.get(name) != found[name]:
            raise LaminiError(
                f"{archive}: {name} is not what the manifest says (expected"
                f" {expected.get(name)}, found {found[name]}); get the file again"
            )
    return manifest


def _exported(path: Path) -> bytes:
    """The rows of a ledger, packed ones first, with the fields that a row may hold."""
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
                            " take the row out before the ledger is given away"
                        )
                row = orjson.loads(line)
                kept = {field: row[field] for field in _FIELDS if field in row}
                lines.append(line if len(kept) == len(row) else row_line(kept))
        finally:
            file.close()
    return b"".join(lines)


def _merge(data: bytes, path: Path) -> int:
    """Add the rows that a ledger lacks; returns how many those were."""
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
                    raise LaminiError(f"{archive}: {member.name!r} is no plain file")
                yield member.name, content.read()
            while stream.read(1 << 20):  # to the checksum, which comes last
                pass
    except (zstandard.ZstdError, tarfile.TarError, EOFError) as error:
        raise LaminiError(
            f"{archive}: damaged, or no archive of ledgers ({error}); get the file again"
        ) from error


class _Unpacked:
    """What a zstd file holds, to be read once; unlike zstandard's reader it tells a torn end."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._unpacker = zstandard.ZstdDecompressor().decompressobj()
        self._rest = b""

    def read(self, size: int) -> bytes:
        """The next bytes; fewer than `size` at the end only."""
        parts, length = [self._rest], len(self._rest)
        while length < size and not self._unpacker.eof:
            block = self._handle.read(1 << 16)
            if not block:
                raise EOFError("cut short")
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
            f"{archive}: format {manifest['format']!r}, and this version reads {_FORMAT}"
        )
    return manifest


def _facts(data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"rows": data.count(b"\n"), "bytes": len(data), "sha256": digest}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # without times and owners
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))
