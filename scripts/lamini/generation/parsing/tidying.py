"""Removal of the format around a generated instruction: marks, numbers, names of fields, tags.

A form that a shown example has as well is kept: it belongs to the instructions of that collection.
"""

import re
from collections.abc import Sequence

_PREFIXES = (
    re.compile(r"(?:(?:example|instruction|task|prompt)\s*#?\d*|#\d+)\s*[:.)-]\s*", re.IGNORECASE),
    re.compile(r"\(?(?P<number>\d{1,3})(?P<mark>[.)])\s+"),
    re.compile(r"(?P<bullet>[-*•])\s+"),
    # Not a form of several lines ("Question: ... Answer:").
    re.compile(r"question\s*#?\d*\s*[:.)-]\s*(?=[^\n]*\Z)", re.IGNORECASE),
    # A line that repeats the topic, unless the instruction refers to it.
    re.compile(
        r"(?:topic|category|type)\s*#?\d*\s*:[^\n]*\n+(?![\s\S]*\b(?:topic|above|it|this|these|that"
        r"|subject)\b)",
        re.IGNORECASE,
    ),
)
_BOLD = re.compile(r"^\*\*(.+?)\*\*", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "'": "'", "`": "`"}
_WORD = re.compile(r"\w")
_INSTRUCTION = r"instruction|task|question|prompt|query|example|text"
_INPUT = r"input|context|passage"
_RESPONSE = r"output|response|answer|solution"
_FIELD = re.compile(
    rf"<(?P<name>{_INSTRUCTION}|{_INPUT}|{_RESPONSE})(?:\s[^<>]*)?>(?P<value>.*?)</(?P=name)\s*>",
    re.IGNORECASE | re.DOTALL,
)
_HALF_FIELD = re.compile(
    rf"\A\s*</?(?:{_INSTRUCTION}|{_RESPONSE})(?:\s[^<>]*)?>|</(?:{_INSTRUCTION}|{_INPUT}"
    rf"|{_RESPONSE})\s*>\s*\Z",
    re.IGNORECASE,
)
_TAG_PAIR = re.compile(
    r"\s*<(?P<name>[a-z][\w:-]*)(?:\s[^<>]*)?>(?P<value>.*?)</(?P=name)\s*>", re.I | re.S
)


def tidy(chunk: str, shown: Sequence[str]) -> str:
    """Remove bold marks and quotes, and numbers or "Instruction:" that no shown example has."""
    text = _BOLD.sub(r"\1", chunk).strip()
    for _ in _PREFIXES:
        for prefix in _PREFIXES:
            match = prefix.match(text)
            if (
                match
                and not _is_list(text, match)
                and not any(prefix.match(example) for example in shown)
            ):
                text = text[match.end() :].strip()
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        inner = text[1:-1]
        if text[0] not in inner and text[-1] not in inner:
            text = inner.strip()
    return text


def _is_list(text: str, prefix: re.Match[str]) -> bool:
    """Whether the number or bullet at the start is the first of a list's."""
    marks = prefix.groupdict()
    if number := marks.get("number"):
        following = rf"(?<!\w)\(?{int(number) + 1}{re.escape(marks['mark'])}\s"
    elif bullet := marks.get("bullet"):
        following = rf"\n[ \t]*{re.escape(bullet)}\s"
    else:
        return False
    return re.search(following, text[prefix.end() :]) is not None


def without_fields(text: str, shown: Sequence[str]) -> tuple[str, bool] | None:
    """Read tags inside an example, such as `<instruction>...</instruction><input>...</input>`.

    Returns:
        The text `instruction:input`, and whether there is a response as well. None if the tags have
        another structure; the text itself if there are none, or if a shown example has tags too.
    """
    if any(_FIELD.search(example) or _HALF_FIELD.search(example) for example in shown):
        return text, False
    fields = list(_FIELD.finditer(text))
    if not fields:
        return _unwrapped(text, shown)
    outside = text[: fields[0].start()].strip()
    between = _FIELD.sub("", text[fields[0].start() :])
    values: dict[str, list[str]] = {"instruction": [outside] if outside else [], "input": []}
    answered = False
    for field in fields:
        name, value = field["name"].lower(), field["value"].strip()
        if re.fullmatch(_RESPONSE, name):
            answered = answered or bool(_WORD.search(value))
        elif value:
            values["input" if re.fullmatch(_INPUT, name) else "instruction"].append(value)
    if _WORD.search(between) or len(values["instruction"]) != 1 or len(values["input"]) > 1:
        return None
    plain = ":".join(values["instruction"] + values["input"])
    return None if _FIELD.search(plain) or _HALF_FIELD.search(plain) else (plain, answered)


def _unwrapped(text: str, shown: Sequence[str]) -> tuple[str, bool] | None:
    """A text without a tag around all of it; None if it is nothing but several tagged parts."""
    if _HALF_FIELD.search(text):
        return None
    if any(_TAG_PAIR.match(example) for example in shown):
        return text, False
    pairs = []
    at = 0
    while pair := _TAG_PAIR.match(text, at):
        pairs.append(pair)
        at = pair.end()
    if not pairs or text[at:].strip():
        return text, False
    return (pairs[0]["value"].strip(), False) if len(pairs) == 1 else None
