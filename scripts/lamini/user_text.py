"""Texts that people wrote, saved or sent: every fault is named with file, line and column."""

import codecs
import json
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError

BOM = codecs.BOM_UTF8
"""Byte order mark, which Windows' editors put at the start of a file."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE, _CORRECT = "save the file in UTF-8", "correct it"


def decoded(content: bytes, path: str | Path, line: int = 1, remedy: str = _SAVE) -> str:
    """A text in UTF-8; a byte order mark at its start is no part of it.

    Args:
        content: the text.
        path: its file, for messages.
        line: line of the file in which the text starts.
        remedy: what to do about a fault.

    Raises:
        LaminiError: the text is not in UTF-8; names file and line.
    """
    if content.startswith(_UTF16):
        raise LaminiError(f"{path}: the text is in UTF-16, and not in UTF-8; {remedy}")
    try:
        return content.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        bad_line = line + error.object[: error.start].count(b"\n")
        byte = error.object[error.start]
        raise LaminiError(
            f"{path}, line {bad_line}: byte 0x{byte:02x} is not UTF-8; {remedy}"
        ) from None


def parse_json(content: bytes, path: str | Path, line: int = 1, remedy: str | None = None) -> Any:
    """Value of a JSON text; the arguments are those of `decoded`.

    Raises:
        LaminiError: the text is not valid; names file, line and column.
    """
    try:
        return json.loads(decoded(content, path, line, remedy or _SAVE))
    except json.JSONDecodeError as error:
        position = f"line {line + error.lineno - 1}, column {error.colno}"
        raise LaminiError(
            f"{path}, {position}: not valid JSON: {error.msg}; {remedy or _CORRECT}"
        ) from None


def json_fault(content: bytes, path: str | Path, error: json.JSONDecodeError, line: int = 1) -> str:
    """What is wrong with a text that orjson refused, with file, line, column if known, and remedy.

    Args:
        content: the text.
        path: its file.
        error: orjson's error, which has no position in other encodings.
        line: line of the file in which the text starts.
    """
    try:
        parse_json(content, path, line)
    except LaminiError as fault:
        return str(fault)
    # Such as half of a surrogate pair.
    return f"{path}, line {line}: not valid JSON: {error.msg}; {_CORRECT}"
