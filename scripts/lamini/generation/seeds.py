"""Readers of seed collections (local files or the hub), and conversion of rows to prompts.

Each collection has its own columns; `prompt_of` reads these:

| format | columns | prompt |
|---|---|---|
| `self_instruct` | `instruction`, `instances` | `instruction:input`, the first instance's |
| `alpaca` | `instruction`, `input` | `instruction:input`; the paper defines no other form |
| `p3` | `inputs_pretokenized`, or `inputs` | the column's text |
| `flan` | `inputs`, optionally `task` | the column's text |
| `jsonl` | `instruction`, optionally `input` | `instruction:input` |
| `messages` | `messages` | the first user turn; `later_turns_of` reads the others |

All columns are text, except `instances` and `messages`, lists of mappings. `task`, if it is text,
is the row's subset. A table (Parquet, or from the hub) with a missing column or a wrong type is an
error. In JSON, each row has its own columns and types, and wrong rows are counted as rejected.
"""

import functools
import logging
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from lamini.conversations import problem_of
from lamini.errors import LaminiError
from lamini.files import resolve_path
from lamini.generation.data_files import (
    TABLES,
    data_files,
    json_values,
    table_batches,
    table_schema,
    without_kind,
)
from lamini.generation.hub_seeds import HubSeeds
from lamini.settings.sources import SeedData

if TYPE_CHECKING:
    import pyarrow

logger = logging.getLogger("lamini")
SUBSET_COLUMN = "task"
_LISTS = ("instances", "messages")
_NO_INPUT = re.compile(
    r"(?:there is |this (?:task|instruction) (?:has|needs|requires) )?no[\W_]*"
    r"(?:(?:additional|further|specific|extra|other) )?inputs?"
    r"(?: (?:is |was |data )?(?:required|needed|necessary|provided|given|available|specified))?"
    r"(?: for this (?:task|instruction))?"
    r"|(?:input )?(?:is )?not (?:applicable|required|needed)|none|n[/.]a",
    re.IGNORECASE,
)
"""Texts that mark a row without input in the collections, without brackets and full stops."""
_BRACKETS = r"[\s<>()\[\]{}\\`'\"*_.,:;!/-]+"
_AROUND = re.compile(rf"^{_BRACKETS}|{_BRACKETS}$")
_MARK = re.compile(
    r"^\s*<\s*no[ _-]?inputs?\s*>\s*|\s*<\s*no[ _-]?inputs?\s*>[\s.,]*$"
    r"|\n\s*no[ _-]?input[\s.]*$",
    re.IGNORECASE,
)
"""A mark of no input before or after a text."""
_TABLE_ROWS = 4096


class SeedRow(NamedTuple):
    """One unconverted row of a collection."""

    subset: str
    number: int
    """Row number in its file or hub subset, from 1."""
    row: Any
    """A mapping of columns, or any other JSON value of the file; None: not valid JSON."""
    path: str
    """Path of the file below the collection's folder, without extension; or the hub subset."""


class BadRow(Exception):
    """A row gives no prompt; the message is the reason, from a small fixed set."""


_IN_WORDS = {
    "not_an_object": "expected an object with columns",
    "instances_not_a_list": "`instances` is no list of objects",
    "too_long": "longer than `seeds.max_characters`",
    "not_a_conversation": "`messages` must alternate from a user turn on, each with a text, without"
    " system and tool turns",
}


def reason_in_words(reason: str, row: Any) -> str:
    """The reason of a `BadRow`, such as `no_input`, with the columns of the row."""
    if reason in _IN_WORDS:
        return _IN_WORDS[reason]
    if reason.startswith("no_"):
        columns = ", ".join(map(str, row))[:200] or "none"
        return f"has no column `{reason.removeprefix('no_')}`; it has {columns}"
    column, _, what = reason.rpartition("_")
    return f"`{column.removesuffix('_not')}` is {'empty' if what == 'empty' else 'no text'}"


def read_seeds(seeds: SeedData) -> Iterator[SeedRow]:
    """Yield every row of a collection, in a fixed order.

    Raises:
        LaminiError: a file is missing, damaged or of an unknown type, a table's columns do not
            match the format, or the dataset cannot be read from the hub.
    """
    limit = seeds.max_rows_per_subset
    if seeds.local is not None:
        root = resolve_path(seeds.local.path)
        for path in data_files(root):
            bare = without_kind(path)
            name = str(bare.relative_to(root)) if path != root else bare.name
            for number, row in enumerate(_rows_of_file(path, seeds.format), start=1):
                if limit is not None and number > limit:
                    break
                yield SeedRow(_subset(row, bare.name), number, row, name)
    else:
        assert seeds.hub is not None
        hub = HubSeeds(seeds.hub)
        for subset in hub.subsets():
            rows = _rows_of_hub(hub, subset, seeds.format, limit)
            for number, row in enumerate(rows, start=1):
                name = subset or seeds.hub.repo.rpartition("/")[2]
                yield SeedRow(_subset(row, name), number, row, name)


def _subset(row: Any, default: str) -> str:
    """The subset in a row's column `task`, or else `default`."""
    named = row.get(SUBSET_COLUMN) if isinstance(row, dict) else None
    return named if isinstance(named, str) and named else default


def _rows_of_file(path: Path, form: str) -> Iterator[Any]:
    """The rows of one file; None for a JSONL line that is not valid JSON."""
    if path.suffix in TABLES:
        yield from rows_of_table(path, form)
    else:
        for row in json_values(path):
            yield None if isinstance(row, orjson.JSONDecodeError) else row


def rows_of_table(path: Path, form: str) -> Iterator[Any]:
    """The rows of a Parquet or Arrow file, with the columns that a format reads.

    Raises:
        LaminiError: the file is damaged, or its columns do not match the format.
    """
    import pyarrow

    try:
        columns = _columns_read(table_schema(path), form, str(path))
        for batch in table_batches(path, columns, _TABLE_ROWS):
            yield from batch.to_pylist()
    except pyarrow.ArrowInvalid as error:
        kind = "Parquet" if path.suffix == ".parquet" else "Arrow"
        raise LaminiError(f"{path}: not a readable {kind} file ({error})") from error


def _columns_read(schema: "pyarrow.Schema", form: str, origin: str) -> list[str]:
    """The columns of a table that a format reads.

    The other columns are logged and not read: token ids, for example, can be many times larger
    than the text.

    Raises:
        LaminiError: a column is missing or has a wrong type; names the remedy.
    """
    types = {field.name: field.type for field in schema}
    needed, optional = _columns_of(form, types)
    if missing := [name for name in needed if name not in types]:
        columns = ", ".join(f"{name} ({kind})" for name, kind in types.items())
        raise LaminiError(
            f"{origin}: has no column `{missing[0]}`, which the format `{form}` reads; it has"
            f" {columns:.500}. Write the prompts to a column of this name, or choose another"
            " `seeds.format`"
        )
    read = [name for name in (*needed, *optional) if name in types]
    for name in read:
        if not _fits(name, types[name]):
            wanted = "a list of structs" if name in _LISTS else "text"
            raise LaminiError(
                f"{origin}: the column `{name}` has the type {types[name]!s:.200}, but the format"
                f" `{form}` reads {wanted} there. Convert it, or choose another `seeds.format`"
            )
    if SUBSET_COLUMN in types and _fits(SUBSET_COLUMN, types[SUBSET_COLUMN]):
        read.append(SUBSET_COLUMN)
    unread = ", ".join(name for name in types if name not in read) or "none"
    _log_once(f"the format `{form}` reads the columns {', '.join(read)}; not read: {unread}")
    return read


def _columns_of(form: str, present: Container[str]) -> tuple[list[str], list[str]]:
    """Required and optional columns of a format."""
    if form in ("p3", "flan"):  # P3's `inputs` are token ids
        return ["inputs_pretokenized" if "inputs_pretokenized" in present else "inputs"], []
    if form == "self_instruct":
        return ["instruction", "instances"], []
    if form == "messages":
        return ["messages"], []
    return ["instruction"], ["input"]


def _fits(name: str, kind: "pyarrow.DataType") -> bool:
    """Whether `prompt_of` can read a column of this type."""
    from pyarrow import types

    if name in _LISTS:
        lists = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view)
        return any(is_kind(kind) for is_kind in lists) and types.is_struct(kind.value_type)
    return holds_text(kind) or (name == "input" and types.is_null(kind))


def holds_text(kind: "pyarrow.DataType") -> bool:
    """Whether the values of this type are text; dictionary-encoded text counts."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    texts = (types.is_string, types.is_large_string, types.is_string_view)
    return any(is_kind(kind) for is_kind in texts)


@functools.cache
def _log_once(message: str) -> None:
    logger.info(message)


def _rows_of_hub(hub: HubSeeds, subset: str | None, form: str, limit: int | None) -> Iterator[Any]:
    rows = hub.rows(subset)
    if rows.features is not None:  # None for JSON, where each row has its own columns
        origin = f"{hub.data.repo} ({subset or 'default'})"
        rows = rows.select_columns(_columns_read(rows.features.arrow_schema, form, origin))
    yield from rows if limit is None else rows.take(limit)


def prompt_of(row: Any, form: str) -> str:
    """The prompt of a row in one of the formats, stripped of outer white space.

    Raises:
        BadRow: the row has no prompt; the message is the reason.
    """
    if row is None:
        raise BadRow("not_json")
    if not isinstance(row, Mapping):
        raise BadRow("not_an_object")
    if form in ("p3", "flan"):
        (name,), _ = _columns_of(form, row)
        return _text(row, name)
    if form == "messages":
        return user_turns(row)[0]
    instruction = _text(row, "instruction")
    if form == "self_instruct":
        instances = row.get("instances")
        if not isinstance(instances, list) or not all(isinstance(i, Mapping) for i in instances):
            raise BadRow("instances_not_a_list")
        return with_input(instruction, instances[0].get("input") if instances else None)
    return with_input(instruction, row.get("input"))


def later_turns_of(row: Any, form: str) -> list[str]:
    """The user turns of a row after the first; none in most formats. `prompt_of` checks the row."""
    return user_turns(row)[1:] if form == "messages" else []


def user_turns(row: Mapping[str, object]) -> list[str]:
    """The user turns of a row with `messages`, stripped.

    Raises:
        BadRow: they are no conversation.
    """
    if "messages" not in row:
        raise BadRow("no_messages")
    messages: Any = row["messages"]  # checked next
    if problem_of(messages) is not None:
        raise BadRow("not_a_conversation")
    return [message["content"].strip() for message in messages[::2]]


def _text(row: Mapping[str, object], column: str) -> str:
    """The stripped text of a column."""
    if column not in row:
        raise BadRow(f"no_{column}")
    value = row[column]
    if not isinstance(value, str):
        raise BadRow(f"{column}_not_text")
    if not value.strip():
        raise BadRow(f"{column}_empty")
    return value.strip()


def with_input(instruction: str, given: Any) -> str:
    """`instruction:input` (section 3.1); only the instruction if there is no input."""
    if given is None:
        return instruction
    if not isinstance(given, str):
        raise BadRow("input_not_text")
    text = _AROUND.sub("", given)
    if not given.strip() or _NO_INPUT.fullmatch(text):
        return instruction
    return f"{instruction}:{_MARK.sub('', given).strip()}"
