"""Parser of generated instructions in an answer, tolerant of format errors.

The prompt requests `<example>...</example>`, or other labels from the configuration. Models also
number the examples, write `<Example 3>`, omit or repeat a label, add text before and after, copy
the prompt's examples, answer their own instructions, and stop in the middle. Unambiguous format
errors are repaired; other examples are rejected with a reason.
"""

import functools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lamini.generation.normalization import normalized
from lamini.generation.refusals import is_refusal

Reason = Literal[
    "empty_answer",
    "refusal",
    "no_label",
    "empty",
    "truncated",
    "unopened",
    "answered",
    "copied",
    "too_long",
    "duplicate",
    "surplus",
]
"""Reason of a rejection. The first three concern a whole answer, the others one example.
`duplicate` (within the shard) and `surplus` (the shard is full) are set by the caller."""

_PREFIXES = (
    re.compile(r"(?:(?:example|instruction|task|prompt)\s*#?\d*|#\d+)\s*[:.)-]\s*", re.IGNORECASE),
    re.compile(r"\(?\d{1,3}[.)]\s+"),
    re.compile(r"[-*•]\s+"),
)
_BOLD = re.compile(r"^\*\*(.+?)\*\*", re.DOTALL)
_RESPONSE = re.compile(
    r"(?:^|(?<=[.?!:\"')\]]\s)|\n)[ \t*]*(?:expected |sample )?"
    r"(?:response|answer|output|solution)\s*\**:\**[ \t]*",
    re.IGNORECASE,
)
_SHORT_QUESTION = re.compile(r"^[ \t]*Q:", re.MULTILINE)
_SHORT_RESPONSE = re.compile(r"^[ \t]*A:", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u0085\u2028\u2029]")
_WORD = re.compile(r"\w")
_QUOTES = {'"': '"', "“": "”", "'": "'", "`": "`"}


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected answer or example."""

    reason: Reason
    text: str


@dataclass(slots=True)
class Parsed:
    """Instructions and rejects of one answer, in order."""

    instructions: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


@functools.cache
def label_pattern(opening: str, closing: str | None) -> re.Pattern[str]:
    r"""A pattern of both labels; in a closing label, `closing` or `self_closed` is not empty.

    A tag `<example>` with its closing tag also matches `</Example>`, `<example 3>`, `<examples>`,
    `<\example>`, `<example id="1">` and `&lt;example&gt;`, but not `<example.com>`. Any other label
    matches literally, ignoring case.
    """
    tag = re.fullmatch(r"<([\w-]+)>", opening)
    if tag and closing == f"</{tag[1]}>":
        text = (
            rf"(?:<|&lt;)\s*(?P<closing>[/\\]?)\s*{tag[1]}s?"
            r"(?:[ _#:-]?\d{1,3}|\s[^<>\n]{0,40}?)?\s*(?P<self_closed>/?)\s*(?:>|&gt;)"
        )
    else:
        end = rf"(?P<closing>{re.escape(closing)})" if closing else r"(?P<closing>(?!))"
        begin = rf"{re.escape(opening)}(?P<self_closed>)"
        longer_first = len(closing or "") > len(opening)
        text = f"{end}|{begin}" if longer_first else f"{begin}|{end}"
    return re.compile(text, re.IGNORECASE)


def parse_examples(
    text: str,
    *,
    label: re.Pattern[str],
    truncated: bool,
    shown: Sequence[str],
    also_shown: Collection[str] = (),
    max_characters: int = 4000,
) -> Parsed:
    """Extract the instructions of one answer; no text raises an error.

    Args:
        text: the answer.
        label: `label_pattern` of the prompt's labels.
        truncated: whether the answer ended at its maximum length.
        shown: the examples in the request. They define the format: a leading number, or an
            "Answer:" inside, is kept if an example has it too.
        also_shown: other texts whose copies are rejected, for example those of demonstrations.
        max_characters: longer instructions are rejected.

    Returns:
        Instructions and rejects.
    """
    parsed = Parsed()
    text = clean(text)
    if not _WORD.search(text):
        parsed.rejects.append(Reject("empty_answer", text))
        return parsed
    chunks = _chunks(text, label)
    if not chunks:
        parsed.rejects.append(Reject("refusal" if is_refusal(text) else "no_label", text))
        return parsed
    copies = {normalized(example) for example in (*shown, *also_shown)}
    for number, (chunk, opened, closed) in enumerate(chunks):
        is_last = number == len(chunks) - 1
        instruction = _tidy(chunk if opened else _after_preamble(chunk), shown)
        reason: Reason | None = None
        if not _WORD.search(instruction):
            reason = "empty"
        elif not opened and "\n" in instruction:
            reason = "unopened"
        elif not closed and is_last and truncated:
            reason = "truncated"
        elif _is_answered(instruction, shown):
            reason = "answered"
        elif len(instruction) > max_characters:
            reason = "too_long"
        elif normalized(instruction) in copies:
            reason = "copied"
        if reason is None:
            parsed.instructions.append(instruction)
        else:
            parsed.rejects.append(Reject(reason, chunk.strip()))
    return parsed


def clean(text: str) -> str:
    """Convert line ends to `\\n`, lone surrogates to `?` and control characters to spaces."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


def _chunks(text: str, label: re.Pattern[str]) -> list[tuple[str, bool, bool]]:
    """Texts between labels, each with two flags: has an opening label, has a closing label.

    Text outside of labels is not a chunk. A repeated label makes no empty chunk; an opening label
    followed by a closing one does.
    """
    chunks: list[tuple[str, bool, bool]] = []
    is_open, at = False, 0
    for found in label.finditer(text):
        chunk = text[at : found.start()]
        closes = bool(found["closing"]) or bool(found["self_closed"] and is_open)
        if closes and is_open:
            chunks.append((chunk, True, True))
        elif closes and _WORD.search(chunk):
            chunks.append((chunk, False, True))
        elif not closes and is_open and _WORD.search(chunk):
            chunks.append((chunk, True, False))
        is_open, at = not closes, found.end()
    if is_open and _WORD.search(text[at:]):
        chunks.append((text[at:], True, False))
    return chunks


def _after_preamble(chunk: str) -> str:
    """A chunk without an opening label, minus an introductory line such as "Here are 20:"."""
    lines = [line for line in chunk.strip().splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].rstrip().endswith(":"):
        lines = lines[1:]
    return "\n".join(lines)


def _tidy(chunk: str, shown: Sequence[str]) -> str:
    """Remove bold marks and quotes, and numbers or "Instruction:" that no shown example has."""
    text = _BOLD.sub(r"\1", chunk).strip()
    for _ in _PREFIXES:
        for prefix in _PREFIXES:
            match = prefix.match(text)
            if match and not any(prefix.match(example) for example in shown):
                text = text[match.end() :].strip()
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        inner = text[1:-1]
        if text[0] not in inner and text[-1] not in inner:
            text = inner.strip()
    return text


def _is_answered(text: str, shown: Sequence[str]) -> bool:
    """Whether a text contains a response, and no shown example does.

    An "Answer:" at the end is not a response: many prompts of P3 and FLAN end with it.
    """
    return _has_response(text) and not any(_has_response(example) for example in shown)


def _has_response(text: str) -> bool:
    labels = list(_RESPONSE.finditer(text))
    if _SHORT_QUESTION.search(text):  # without "Q:", "A:" is the first of several options
        labels = [*labels, *_SHORT_RESPONSE.finditer(text)]
    labels = [label for label in labels if label.start() > 0]
    return bool(labels) and bool(_WORD.search(text, max(label.end() for label in labels)))
