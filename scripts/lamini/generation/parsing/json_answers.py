"""Generated instructions in a JSON answer: the items of its list, as texts to check.

The answer is a list of strings or of objects, or an object with one such list; it may be in a code
fence, after a line of prose, or cut by the limit of tokens. A list is read item by item, so that
the whole items before a cut or an error are kept.
"""

import json
import re
from typing import Any, NamedTuple

import pydantic_core

from lamini.generation.parsing.labels import Chunk

_DOCUMENT = re.compile(
    r"^[ \t]*(?:```[ \t]*\w*\s*)?(?=\[\s*[\"{\[\]\dtfn-]|\{\s*[\"}])", re.MULTILINE
)
_FENCE = re.compile(r"\A\s*```[ \t]*\w*|```\s*\Z")
_SPACE = re.compile(r"\s*")
_CONTROL = re.compile(r"[\x00-\x1f]")
_AFTER_ITEM = (",", "]", "")


class JsonItems(NamedTuple):
    """The items of an answer's list."""

    chunks: list[Chunk]
    malformed: list[str]
    """Items that are no text, or an object without exactly one text in the wanted field; and the
    text from an error of syntax on."""
    cut: str
    """The last item, if the answer ends inside it; otherwise empty."""


class _Object(list[tuple[str, Any]]):
    """A JSON object as pairs, in which a name may occur several times."""


# Not strict: models write line ends into texts.
_DECODER = json.JSONDecoder(object_pairs_hook=_Object, strict=False)


class _Array(NamedTuple):
    items: list[tuple[Any, str]]
    """Values and their source texts."""
    end: int
    """Position after the list."""
    rest: str
    """What is not read because the list is cut or wrong; empty for a whole list."""


def json_items(text: str, field: str | None) -> JsonItems | None:
    """The items of the list in an answer; no text raises an error.

    Args:
        text: the answer, without thoughts.
        field: the field of each object that holds the text; None: the items are texts.

    Returns:
        The items; None if the answer has no list, or an object with several.
    """
    start = _DOCUMENT.search(text)
    if not start:
        return None
    at = start.end()
    array = _array(text, at) if text[at] == "[" else _only_array(text, at)
    if array is None:
        return None
    items = JsonItems([], [], array.rest if _is_cut(array.rest) else "")
    for value, source in array.items:
        instruction = _instruction(value, field)
        if instruction is None:
            items.malformed.append(source)
        else:
            items.chunks.append(Chunk(instruction, opened=True, closed=True, doubtful=False))
    if array.rest and not items.cut:
        items.malformed.append(array.rest)
    return items


def is_document(text: str) -> bool:
    """Whether a text is one whole JSON value, in a code fence or not."""
    body = _FENCE.sub("", text).strip()
    read = _value(body, 0)
    return read is not None and read[1] == len(body)


def _instruction(value: Any, field: str | None) -> str | None:
    """The text of an item; None if it has another structure, or the field several times."""
    if field is not None:
        if not isinstance(value, _Object):
            return None
        values = [each for name, each in value if name == field]
        value = values[0] if len(values) == 1 else None
    return value if isinstance(value, str) else None


def _array(text: str, at: int) -> _Array:
    """Read the list that begins at `at`, item by item."""
    items: list[tuple[Any, str]] = []
    at = _after_space(text, at + 1)
    while at < len(text):
        if text[at] == "]":
            return _Array(items, at + 1, "")
        read = _value(text, at)
        following = _after_space(text, read[1]) if read else 0
        if read is None or text[following : following + 1] not in _AFTER_ITEM:
            return _Array(items, len(text), text[at:].strip())
        items.append((read[0], text[at : read[1]]))
        at = following
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)
    return _Array(items, len(text), "")


def _only_array(text: str, at: int) -> _Array | None:
    """Read the only list among the values of the object that begins at `at`."""
    array: _Array | None = None
    at = _after_space(text, at + 1)
    while text[at : at + 1] == '"':
        name = _value(text, at)
        colon = _after_space(text, name[1]) if name else len(text)
        if text[colon : colon + 1] != ":":
            break
        at = _after_space(text, colon + 1)
        if text[at : at + 1] == "[":
            if array is not None:
                return None
            array = _array(text, at)
            at = array.end
        elif read := _value(text, at):
            at = read[1]
        else:
            break
        at = _after_space(text, at)
        if text[at : at + 1] != ",":
            break
        at = _after_space(text, at + 1)
    return array


def _value(text: str, at: int) -> tuple[Any, int] | None:
    """The JSON value that begins at `at`, and the position after it; None if it is cut or wrong."""
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None


def _is_cut(rest: str) -> bool:
    """Whether a text is the beginning of a JSON value, and not wrong."""
    if _value(rest, 0):
        return False
    try:
        pydantic_core.from_json(_CONTROL.sub(" ", rest), allow_partial="trailing-strings")
    except ValueError:
        return False
    return True


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
