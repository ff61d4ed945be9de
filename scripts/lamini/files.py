"""Reading and atomic writing of files; errors name the file and the row.

Every artifact is written to a temporary file in the same folder, flushed to disk, and renamed.
"""

import codecs
import contextlib
import glob
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypedDict

import orjson

from lamini.errors import LaminiError, disk_full

Files = Path | list[Path]
"""A named input or output of a rule: a file, or a list of files."""


def listed(paths: str | Iterable[str] | None) -> list[str]:
    """Named input of a rule as a list; Snakemake passes one file as a string, no file as None."""
    if paths is None:
        return []
    return [paths] if isinstance(paths, str) else list(paths)


@contextlib.contextmanager
def atomic_writer(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file in the folder of `path`; on success fsync and rename it to `path`.

    Args:
        path: the file to create or replace; its folder is created if missing.
        mode: "w" for UTF-8 text with `\\n` line ends, "wb" for bytes.

    Raises:
        DiskFullError: names the file; the old content, if any, is kept.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, mode, **text) as handle:  # type: ignore[call-overload]
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if full := disk_full(error, path):
            raise full from error
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: str | Path) -> None:
    """Flush the entries of `folder` to disk, so that a rename survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` atomically as indented JSON with sorted keys."""
    with atomic_writer(path) as handle:
        json.dump(value, handle, indent=2, sort_keys=True, ensure_ascii=False)
        handle.write("\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        LaminiError: if the file is missing or is not valid JSON; names the file and the position.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LaminiError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LaminiError(f"{path}: not valid JSON ({error}); restore or remake it") from error


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, object]]) -> int:
    """Write a JSONL file atomically; returns the number of rows."""
    count = 0
    with atomic_writer(path, "wb") as handle:
        for row in rows:
            handle.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a JSONL file; empty lines are skipped.

    Raises:
        LaminiError: if the file is missing or a line is not a JSON object; names file and line.
    """
    if not Path(path).is_file():
        raise LaminiError(f"{path}: no such file")
    with open(path, "rb") as handle:
        for number, line in enumerate(handle, start=1):
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if not text.strip():
                continue
            try:
                row = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise LaminiError(f"{path}:{number}: not valid JSON ({error})") from error
            if not isinstance(row, dict):
                raise LaminiError(f"{path}:{number}: expected a JSON object, found {row!r:.80}")
            yield row


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's content, as a hexadecimal string."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def stable_hash(*parts: Any, size: int = 16) -> str:
    """Hexadecimal BLAKE2b digest of JSON-serializable values; the same on all machines.

    Args:
        parts: values that `json` can write; the order of dict keys has no effect.
        size: size of the digest in bytes.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8"), digest_size=size).hexdigest()


def derive_seed(*parts: Any) -> int:
    """63-bit seed derived from `parts` only, so that the sampling of jobs is independent."""
    return int(stable_hash(*parts, size=8), 16) >> 1


def resolve_path(path: str) -> Path:
    """Resolve a path from the settings; `package:NAME/FILE` is a file in an installed package.

    Raises:
        LaminiError: if the package is not installed or does not contain the file.
    """
    if not path.startswith("package:"):
        return Path(path)
    package, _, inside = path.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LaminiError(f"{path}: package {package} is not installed; run `make install`")
    resolved = Path(spec.submodule_search_locations[0]) / inside
    if not resolved.exists():
        raise LaminiError(f"{path}: package {package} has no {inside}")
    return resolved


def matching_files(path: str | Path) -> list[Path]:
    """The files that match a pattern (`*`, `**`, `?`, `[ab]`), sorted; none if the path exists."""
    if Path(path).exists() or not glob.has_magic(str(path)):
        return []
    matches = map(Path, glob.glob(str(path), recursive=True))
    return sorted(file for file in matches if file.is_file())


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file's content atomically."""
    with atomic_writer(target, "wb") as handle, open(source, "rb") as original:
        shutil.copyfileobj(original, handle)


class FileEntry(TypedDict):
    """A file in the manifest of its folder."""

    bytes: int
    sha256: str


def damage_of(folder: Path, files: Mapping[str, FileEntry]) -> str | None:
    """Compare the files of a folder with its manifest; returns the first difference, or None.

    Args:
        folder: the folder.
        files: entry `files` of the folder's manifest (`write_folder_manifest`).

    Raises:
        OSError: if a file is missing or cannot be read.
    """
    for name, expected in files.items():
        if (folder / name).stat().st_size != expected["bytes"]:
            return f"{name} has another size"
        if sha256_file(folder / name) != expected["sha256"]:
            return f"{name} has another checksum"
    return None


def write_folder_manifest(folder: str | Path, content: Mapping[str, object]) -> Path:
    """Write `manifest.json` into a finished folder: size and SHA-256 of its files, and `content`.

    The manifest is written last, so its presence proves that the folder is complete.
    """
    folder = Path(folder)
    path = folder / "manifest.json"
    files: dict[str, FileEntry] = {
        str(item.relative_to(folder)): {"bytes": item.stat().st_size, "sha256": sha256_file(item)}
        for item in sorted(folder.rglob("*"))
        if item.is_file() and item != path and not item.name.startswith(".")
    }
    write_json(path, {**content, "files": files})
    return path
