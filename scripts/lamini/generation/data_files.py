"""Data files of a folder as people download it: a clone from the hub, `save_to_disk`, exports.

Metadata and hidden folders are no data. A file that may be data but cannot be read is an error, and
so are two files that may have the same rows: nothing is ignored silently, and nothing read twice.
"""

import contextlib
import gzip
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson
import zstandard

from lamini.errors import LaminiError
from lamini.files import matching_files
from lamini.user_text import BOM, json_fault

if TYPE_CHECKING:
    import pyarrow

TABLES = (".parquet", ".arrow")
_TEXTS = (".jsonl", ".json")
_PACKED = (".gz", ".zst")
FILE_KINDS = (*TABLES, *_TEXTS, *(f"{kind}{packed}" for kind in _TEXTS for packed in _PACKED))
"""Endings of the files that are read."""
_METADATA = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
"""Files beside the data: of the hub, and of `save_to_disk`."""
_OTHER_DATA = (*_PACKED, ".csv", ".tsv", ".bz2", ".xz", ".zip", ".tar", ".feather", ".ndjson")
_POINTER = b"version https://git-lfs"


def data_files(path: Path) -> list[Path]:
    """`path` itself if it is a file, or all data files that match it or are below it, sorted.

    Args:
        path: a file, a folder, or a pattern of files (`matching_files`).

    Raises:
        LaminiError: there are none, one is in a form that is not read or was not downloaded, or two
            have the same name but for the ending.
    """
    if path.is_file():
        files = [path]
    elif matching := matching_files(path):
        files = matching
    else:
        inside = sorted(item for item in path.rglob("*") if item.is_file())
        files = [item for item in inside if _is_data(item.relative_to(path))]
    kinds = ", ".join(FILE_KINDS)
    if not files:
        raise LaminiError(f"{path}: no such file, or a folder without {kinds} files")
    names: dict[Path, Path] = {}
    for file in files:
        if ending_of(file) is None:
            raise LaminiError(f"{file}: this form is not read; convert it to one of {kinds}")
        if (other := names.setdefault(without_kind(file), file)) != file:
            raise LaminiError(f"{other} and {file}: the same rows twice? Remove one of them")
        with file.open("rb") as handle:
            if handle.read(len(_POINTER)) == _POINTER:
                raise LaminiError(f"{file}: only a pointer of Git LFS; run `git lfs pull` there")
    return files


def ending_of(path: Path) -> str | None:
    """The ending among `FILE_KINDS`; None for other files."""
    return next((kind for kind in reversed(FILE_KINDS) if path.name.endswith(kind)), None)


def without_kind(path: Path) -> Path:
    """The path without the ending among `FILE_KINDS`."""
    return path.with_name(path.name.removesuffix(ending_of(path) or ""))


def _is_data(inside: Path) -> bool:
    if any(part.startswith(".") for part in inside.parts) or inside.name in _METADATA:
        return False
    return ending_of(inside) is not None or inside.suffix in _OTHER_DATA


def json_values(path: Path) -> Iterator[Any]:
    """The items of a JSON list, or the value of each line of a JSONL file, packed or not.

    Yields:
        A value, or an `orjson.JSONDecodeError` for a line that is not valid JSON. Blank lines are
        left out.

    Raises:
        LaminiError: a JSON file is not a list, or a packed file is damaged.
    """
    if has_lines(path):
        for _, line in numbered_lines(path):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield error
        return
    with _opened(path) as handle:
        content = handle.read()
    try:
        rows = orjson.loads(content.removeprefix(BOM))
    except orjson.JSONDecodeError as error:
        raise LaminiError(json_fault(content, path, error)) from error
    if not isinstance(rows, list):
        raise LaminiError(f"{path}: expected a JSON list of rows")
    yield from rows


def has_lines(path: Path) -> bool:
    """Whether a file of JSON has a row per line."""
    return ".jsonl" in (ending_of(path) or "")


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines of a JSONL file that are not blank, with their numbers from 1, packed or not.

    Raises:
        LaminiError: a packed file is damaged.
    """
    with _opened(path) as handle:
        for number, line in enumerate(handle, start=1):
            text = line.removeprefix(BOM) if number == 1 else line
            if text.strip():
                yield number, text.rstrip(b"\r\n")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The unpacked content of a file; a damaged pack is a `LaminiError`."""
    try:
        with _unpacked(path) as handle:
            yield handle
    except (gzip.BadGzipFile, EOFError, zstandard.ZstdError) as error:
        raise LaminiError(f"{path}: damaged ({error}); download it again") from error


def _unpacked(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    if path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().stream_reader(
            path.open("rb"), read_across_frames=True, closefd=True
        )
        return io.BufferedReader(reader)
    return path.open("rb")


def table_schema(path: Path) -> "pyarrow.Schema":
    """Columns of a Parquet or Arrow file."""
    import pyarrow.parquet

    if path.suffix == ".parquet":
        return pyarrow.parquet.read_schema(path)
    with _arrow(path) as reader:
        return reader.schema


def table_batches(path: Path, columns: Sequence[str], rows: int) -> "Iterator[pyarrow.RecordBatch]":
    """Some columns of a Parquet or Arrow file, at most `rows` rows at once."""
    import pyarrow.parquet

    if path.suffix == ".parquet":
        # By default, pyarrow keeps what it has read until the file is closed.
        file = pyarrow.parquet.ParquetFile(path, pre_buffer=False)
        yield from file.iter_batches(rows, columns=list(columns))
        return
    with _arrow(path) as reader:
        numbers = range(getattr(reader, "num_record_batches", 0))
        for batch in map(reader.get_batch, numbers) if numbers else reader:
            for start in range(0, len(batch), rows):
                yield batch.select(list(columns)).slice(start, rows)


def _arrow(path: Path) -> Any:
    """Reader of an Arrow file: a stream, as `save_to_disk` writes, or a file with a footer."""
    import pyarrow

    try:
        return pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)))
    except pyarrow.ArrowInvalid:
        return pyarrow.ipc.open_file(pyarrow.memory_map(str(path)))
