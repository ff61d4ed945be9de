"""Rows of the seed collections, from local files or the hub, and how a row becomes a prompt.

Every collection keeps its own columns; `prompt_of` knows them:

| format | columns | prompt |
|---|---|---|
| `self_instruct` | `instruction`, `instances` | `instruction:input`, the first instance's |
| `alpaca` | `instruction`, `input` | the same form, as the paper defines no other |
| `p3` | `inputs_pretokenized`, or `inputs` | as it is |
| `flan` | `inputs`, optionally `task` | as it is |
| `jsonl` | `instruction`, optionally `input` | as for `alpaca` |
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from lamini.errors import LaminiError
from lamini.files import resolve_path
from lamini.settings.sources import HubData, SeedData

FILE_KINDS = (".jsonl", ".json", ".parquet")
SUBSET_COLUMN = "task"
_NO_INPUT = {"", "<noinput>", "noinput", "n/a", "none"}
_PARQUET_ROWS = 4096


class SeedRow(NamedTuple):
    """One row of a collection, as found."""

    subset: str
    number: int
    """Place in its file or hub subset, from 1."""
    row: Any
    """Usually a mapping of columns; whatever stood there otherwise. Null: not valid JSON."""
    place: str
    """The file's path below the collection's folder, without its ending, or the hub subset."""


class BadRow(Exception):
    """A row that gives no prompt; the message is the reason, one of a few fixed ones."""


def read_seeds(seeds: SeedData) -> Iterator[SeedRow]:
    """Yield every row of a collection in a fixed order, one at a time.

    Raises:
        LaminiError: when a file is missing, of an unknown kind or damaged as a whole, or the hub
            does not give the dataset.
    """
    limit = seeds.max_rows_per_subset
    if seeds.local is not None:
        root = resolve_path(seeds.local.path)
        for path in seed_files(root):
            place = str(path.relative_to(root).with_suffix("")) if path != root else path.stem
            for number, row in enumerate(_rows_of_file(path), start=1):
                if limit is not None and number > limit:
                    break
                yield SeedRow(_subset(row, path.stem), number, row, place)
    else:
        assert seeds.hub is not None
        for subset in _hub_subsets(seeds.hub):
            for number, row in enumerate(_rows_of_hub(seeds.hub, subset, limit), start=1):
                name = subset or seeds.hub.repo.rpartition("/")[2]
                yield SeedRow(_subset(row, name), number, row, name)


def _subset(row: Any, default: str) -> str:
    """The subset that a row names itself, else that of its file or hub configuration."""
    named = row.get(SUBSET_COLUMN) if isinstance(row, dict) else None
    return named if isinstance(named, str) and named else default


def seed_files(path: Path) -> list[Path]:
    """The file itself, or all data files below a folder, in the order of their names."""
    if path.is_file():
        return [path]
    found = sorted(item for item in path.rglob("*") if item.suffix in FILE_KINDS)
    if not found:
        kinds = ", ".join(FILE_KINDS)
        raise LaminiError(f"{path}: no such file, or a folder without {kinds} files")
    return found


def _rows_of_file(path: Path) -> Iterator[Any]:
    """The rows of one file; a JSONL line that is no JSON is null."""
    if path.suffix == ".parquet":
        yield from _rows_of_parquet(path)
    elif path.suffix == ".json":
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise LaminiError(f"{path}: not valid JSON ({error})") from error
        if not isinstance(rows, list):
            raise LaminiError(f"{path}: expected a JSON list of rows")
        yield from rows
    elif path.suffix == ".jsonl":
        with open(path, "rb") as handle:
            for line in handle:
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError:
                    yield None
    else:
        raise LaminiError(f"{path}: seed files end in one of {', '.join(FILE_KINDS)}")


def _rows_of_parquet(path: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        # Token columns are many times as big as the text, and not needed.
        texts = [
            field.name
            for field in file.schema_arrow
            if pyarrow.types.is_string(field.type)
            or pyarrow.types.is_large_string(field.type)
            or field.name == "instances"
        ]
        for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=texts):
            yield from batch.to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise LaminiError(f"{path}: not a readable Parquet file ({error})") from error


def _hub_subsets(hub: HubData) -> list[str | None]:
    """Names of the configurations to read; null for a dataset's only one."""
    if hub.subsets is not None:
        return list(hub.subsets)
    from datasets import get_dataset_config_names

    names = sorted(_from_hub(hub, get_dataset_config_names, hub.repo, revision=hub.revision))
    kept = [n for n in names if not any(re.search(p, n) for p in hub.exclude_subsets)]
    return [None] if kept == ["default"] else kept


def _rows_of_hub(hub: HubData, subset: str | None, limit: int | None) -> Iterator[Any]:
    """Stream one configuration; nothing but the rows in hand is kept."""
    from datasets import load_dataset

    rows = _from_hub(
        hub,
        load_dataset,
        hub.repo,
        name=subset,
        split=hub.split,
        revision=hub.revision,
        streaming=True,
    )
    columns = rows.column_names or []
    texts = [c for c in columns if c not in ("targets", "targets_pretokenized", "answer_choices")]
    if "inputs_pretokenized" in columns:
        texts = ["inputs_pretokenized"]  # P3's `inputs` are token ids.
    if columns:
        rows = rows.select_columns(texts)
    yield from rows if limit is None else rows.take(limit)


def _from_hub(hub: HubData, call: Any, *arguments: Any, **options: Any) -> Any:
    """Ask the hub; its many errors become one that says what to do."""
    try:
        return call(*arguments, **options)
    except Exception as error:
        raise LaminiError(
            f"{hub.repo} at revision {hub.revision}: the hub does not give it"
            f" ({type(error).__name__}: {error!s:.300}); check `seeds.hub`, or name local files"
            " under `seeds.local`"
        ) from error


def prompt_of(row: Any, form: str) -> str:
    """The prompt that a row of one of the formats holds, without white space around it.

    Raises:
        BadRow: when there is none; says why.
    """
    if row is None:
        raise BadRow("not_json")
    if not isinstance(row, Mapping):
        raise BadRow("not_an_object")
    if form in ("p3", "flan"):
        name = "inputs_pretokenized" if "inputs_pretokenized" in row else "inputs"
        return _text(row, name)
    instruction = _text(row, "instruction")
    if form == "self_instruct":
        instances = row.get("instances")
        if not isinstance(instances, list) or not all(isinstance(i, Mapping) for i in instances):
            raise BadRow("instances_not_a_list")
        return with_input(instruction, instances[0].get("input") if instances else None)
    return with_input(instruction, row.get("input"))


def _text(row: Mapping[str, Any], column: str) -> str:
    """A column's text."""
    if column not in row:
        raise BadRow(f"no_{column}")
    value = row[column]
    if not isinstance(value, str):
        raise BadRow(f"{column}_not_text")
    if not value.strip():
        raise BadRow(f"{column}_empty")
    return value.strip()


def with_input(instruction: str, given: Any) -> str:
    """`instruction:input` (section 3.1); the instruction alone where there is no input."""
    if given is None:
        return instruction
    if not isinstance(given, str):
        raise BadRow("input_not_text")
    return instruction if given.strip().lower() in _NO_INPUT else f"{instruction}:{given.strip()}"
