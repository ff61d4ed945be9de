"""Parser of generated instructions in an answer, tolerant of format errors.

The prompt requests `<example>...</example>`, or other labels from the configuration. Models also
number the examples, write `<Example 3>`, omit or repeat a label, add text before and after, copy
the prompt's examples and sentences, answer or refuse their own instructions, think aloud, talk
about the labels, and stop in the middle. Unambiguous format errors are repaired; other examples are
rejected with a reason.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lamini.generation.normalization import normalized
from lamini.generation.parsing.answered import is_answered
from lamini.generation.parsing.json_answers import is_document, json_items
from lamini.generation.parsing.labels import Chunk, chunks
from lamini.generation.parsing.leftovers import SplitAnswer, split_answer
from lamini.generation.parsing.tidying import tidy, without_fields
from lamini.generation.refusals import is_refusal
from lamini.generation.texts import clean

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
    "thought",
    "chat_marker",
    "label_inside",
    "nested",
    "no_list",
    "malformed",
]
"""Reason of a rejection. `empty_answer`, `no_label` and `no_list` (JSON) concern a whole answer,
`refusal` an answer or one example, `thought` and `chat_marker` a part of the answer, the others one
example. `malformed` is an item of a JSON list without a text, or the text after an error of syntax.
`duplicate` (within the shard) and `surplus` (the shard is full) are set by the caller."""

_WORD = re.compile(r"\w")
_PLACEHOLDER = re.compile(
    r"\W*(?:(?:your|the|an?|new|generated) )*(?:example|instruction|question|text)s?"
    r"(?: (?:text|here|goes|\w|\d+))*\W*",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.?!。？！…][\"'”’)*]*\s*$")
_MIN_ECHO_WORDS = 3  # words of a part of the prompt that count as its copy


@dataclass(frozen=True, slots=True)
class Json:
    """Answers are JSON lists of texts, or of objects with the text in a field."""

    field: str | None = None


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


def parse_examples(
    text: str,
    *,
    label: re.Pattern[str] | Json,
    truncated: bool,
    shown: Sequence[str],
    also_shown: Collection[str] = (),
    prompt: str = "",
    max_characters: int = 4000,
) -> Parsed:
    """Extract the instructions of one answer; no text raises an error.

    Args:
        text: the answer.
        label: `label_pattern` of the prompt's labels, or `Json`.
        truncated: whether the answer ended at its maximum length.
        shown: the examples in the request. They define the format: a leading number, or an
            "Answer:" inside, is kept if an example has it too.
        also_shown: other texts whose copies are rejected, for example those of demonstrations.
        prompt: text of the request; copies of its sentences are rejected.
        max_characters: longer instructions are rejected.

    Returns:
        Instructions and rejects.
    """
    parsed = Parsed()
    text = clean(text)
    if not _WORD.search(text):
        parsed.rejects.append(Reject("empty_answer", text))
        return parsed
    # A whole JSON document is no thought and has no other turns, whatever its texts are about.
    whole = isinstance(label, Json) and is_document(text)
    answer = SplitAnswer(text, [], None) if whole else split_answer(text)
    parsed.rejects += [Reject("thought", thought.strip()) for thought in answer.thoughts]
    if answer.other_turns:
        parsed.rejects.append(Reject("chat_marker", answer.other_turns))
    candidates = _chunks(answer.text, label, parsed)
    copies = {_copy_key(example) for example in (*shown, *also_shown)}
    sentences = _own_sentences(prompt, shown)
    for number, chunk in enumerate(candidates, start=1):
        instruction, reason = _read(chunk, shown, max_characters)
        if reason is None and number == len(candidates):
            reason = _cut_reason(chunk, answer, truncated)
        if reason is None and (
            _copy_key(instruction) in copies or _is_echo(instruction, sentences)
        ):
            reason = "copied"
        if reason is None:
            parsed.instructions.append(instruction)
        else:
            parsed.rejects.append(Reject(reason, chunk.text.strip()))
    return parsed


def _chunks(text: str, label: re.Pattern[str] | Json, parsed: Parsed) -> list[Chunk]:
    """The texts of an answer that may be instructions; adds other rejects to `parsed`."""
    if isinstance(label, Json):
        return _json_chunks(text, label, parsed)
    candidates = chunks(text, label)
    if not candidates and (_WORD.search(text) or not parsed.rejects):
        _reject_answer(text, "no_label", parsed)
    return candidates


def _cut_reason(chunk: Chunk, answer: SplitAnswer, truncated: bool) -> Reason | None:
    """The reason to reject the last text of an answer, if the answer was cut inside it."""
    if chunk.closed:
        return None
    if answer.other_turns is not None:
        return None if _ENDED.search(chunk.text) else "chat_marker"
    return "truncated" if truncated else None


def _json_chunks(text: str, form: Json, parsed: Parsed) -> list[Chunk]:
    """The texts of a JSON answer; adds the rejects of its other items to `parsed`."""
    items = json_items(text, form.field)
    if items is None:
        if _WORD.search(text) or not parsed.rejects:
            _reject_answer(text, "no_list", parsed)
        return []
    parsed.rejects += [Reject("malformed", item) for item in items.malformed]
    if items.cut:
        parsed.rejects.append(Reject("truncated", items.cut))
    if not items.chunks and not parsed.rejects:
        parsed.rejects.append(Reject("empty_answer", text.strip()))
    return [chunk._replace(text=clean(chunk.text)) for chunk in items.chunks]


def _reject_answer(text: str, reason: Reason, parsed: Parsed) -> None:
    parsed.rejects.append(Reject("refusal" if is_refusal(text) else reason, text.strip()))


def _read(chunk: Chunk, shown: Sequence[str], max_characters: int) -> tuple[str, Reason | None]:
    """The instruction in a text between labels, and the reason to reject it, if any."""
    text = tidy(chunk.text if chunk.opened else _after_preamble(chunk.text), shown)
    if len(text) > max_characters:
        return text, "too_long"
    fields = without_fields(text, shown)
    plain, answered = fields or (text, False)
    if plain != text:
        plain = tidy(plain, shown)
    reason: Reason | None = None
    if not _WORD.search(plain) or _PLACEHOLDER.fullmatch(plain):
        reason = "empty"
    elif not chunk.opened and "\n" in text:
        reason = "unopened"
    elif chunk.doubtful:
        reason = "label_inside"
    elif fields is None:
        reason = "nested"
    elif answered or is_answered(plain, shown):
        reason = "answered"
    # A task about a quoted refusal has a question or several lines.
    elif not re.search(r"[\n?]", plain) and is_refusal(plain, asking_refuses=False):
        reason = "refusal"
    return plain, reason


def _after_preamble(chunk: str) -> str:
    """A chunk without an opening label, minus an introductory line such as "Here are 20:"."""
    lines = [line for line in chunk.strip().splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].rstrip().endswith(":"):
        lines = lines[1:]
    return "\n".join(lines)


def _copy_key(text: str) -> str:
    """Key of a text by which copies are found; a missing full stop makes no difference."""
    key = normalized(text)
    return key.strip(" .!?:。？！\"'`*“”") or key


def _own_sentences(prompt: str, shown: Sequence[str]) -> str:
    """The prompt's own lines, without the shown examples, as one normalized text."""
    forms = {*shown, *(json.dumps(example, ensure_ascii=False)[1:-1] for example in shown)}
    for example in sorted(forms, key=len, reverse=True):
        prompt = prompt.replace(example, "\n")
    return "\n".join(normalized(line) for line in prompt.splitlines())


def _is_echo(instruction: str, sentences: str) -> bool:
    """Whether an instruction is a sentence of the prompt, or a part of several words."""
    key = _copy_key(instruction)
    return len(key.split()) >= _MIN_ECHO_WORDS and key in sentences
