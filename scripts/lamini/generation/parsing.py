"""Parser of generated instructions in an answer, tolerant of format errors.

The prompt requests `<example>...</example>`, or other labels from the configuration. Models also
number the examples, write `<Example 3>`, omit or repeat a label, add text before and after, copy
the prompt's examples and sentences, answer or refuse their own instructions, think aloud, talk
about the labels, and stop in the middle. Unambiguous format errors are repaired; other examples are
rejected with a reason.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lamini.generation.answered import is_answered
from lamini.generation.labels import Chunk, chunks
from lamini.generation.leftovers import split_answer
from lamini.generation.normalization import normalized
from lamini.generation.refusals import is_refusal
from lamini.generation.tidying import tidy, without_fields

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
]
"""Reason of a rejection. `empty_answer` and `no_label` concern a whole answer, `refusal` an answer
or one example, `thought` and `chat_marker` a part of the answer, the others one example.
`duplicate` (within the shard) and `surplus` (the shard is full) are set by the caller."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u0085\u2028\u2029]")
_WORD = re.compile(r"\w")
_PLACEHOLDER = re.compile(
    r"\W*(?:(?:your|the|an?|new|generated) )*(?:example|instruction|question|text)s?"
    r"(?: (?:text|here|goes|\w|\d+))*\W*",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.?!。？！…][\"'”’)*]*\s*$")
_LEAST_ECHO = 3  # words of a part of the prompt that count as its copy


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
    label: re.Pattern[str],
    truncated: bool,
    shown: Sequence[str],
    also_shown: Collection[str] = (),
    prompt: str = "",
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
    answer = split_answer(text)
    parsed.rejects += [Reject("thought", thought.strip()) for thought in answer.thoughts]
    if answer.other_turns:
        parsed.rejects.append(Reject("chat_marker", answer.other_turns))
    found = chunks(answer.text, label)
    if not found and (_WORD.search(answer.text) or not parsed.rejects):
        parsed.rejects.append(
            Reject("refusal" if is_refusal(answer.text) else "no_label", answer.text.strip())
        )
    copies = {_copy_key(example) for example in (*shown, *also_shown)}
    sentences = _own_sentences(prompt, shown)
    cut: Reason | None = "truncated" if truncated else None
    if answer.other_turns is not None:
        cut = "chat_marker"
    for number, chunk in enumerate(found):
        instruction, reason = _read(chunk, shown, max_characters)
        is_last = number == len(found) - 1
        if reason is None and is_last and not chunk.closed and cut is not None:
            reason = None if cut == "chat_marker" and _ENDED.search(chunk.text) else cut
        if reason is None and (
            _copy_key(instruction) in copies or _is_echo(instruction, sentences)
        ):
            reason = "copied"
        if reason is None:
            parsed.instructions.append(instruction)
        else:
            parsed.rejects.append(Reject(reason, chunk.text.strip()))
    return parsed


def clean(text: str) -> str:
    """Convert line ends to `\\n`, lone surrogates to `?` and control characters to spaces."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


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
    # Words of somebody and a task about them have a question or several lines.
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
    for example in sorted(shown, key=len, reverse=True):
        prompt = prompt.replace(example, "\n")
    return "\n".join(normalized(line) for line in prompt.splitlines())


def _is_echo(instruction: str, sentences: str) -> bool:
    """Whether an instruction is a sentence of the prompt, or a part of several words."""
    key = _copy_key(instruction)
    return len(key.split()) >= _LEAST_ECHO and key in sentences
