"""Removal of what is not part of an answer: thoughts of reasoning models, other chat turns.

Servers without a reasoning parser leave `<think>...</think>` in the text, also without its first
tag (which the chat template wrote) or its last (the answer was cut). Drafts in a thought look like
examples. A server that does not know the end-of-turn token lets the model write the next turns.
"""

import re
from typing import NamedTuple

_NAMES = r"(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis|seed:think)"
_OPENED = re.compile(
    rf"(?:^|(?<=[\n>]))[ \t]*(?:<{_NAMES}\b[^<>]*>|\[THINK\]|<\|begin_of_thought\|>|◁think▷)",
    re.IGNORECASE | re.MULTILINE,
)
_CLOSED = re.compile(rf"</{_NAMES}\s*>|\[/THINK\]|<\|end_of_thought\|>|◁/think▷", re.IGNORECASE)
_PROSE_FOLLOWS = re.compile(r"[ \t]*[\"'”’`.,;:)]|[ \t]+\w")
_FINAL = re.compile(
    r"<\|channel\|>\s*final\b[^\n]{0,60}?<\|message\|>|\Aanalysis[\s\S]*assistantfinal"
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)\b|\Aanalysis(?=[A-Z])")
_MARK = (
    r"(?:<\|[a-z_][\w ]{0,40}\|>|<｜[^｜<>]{1,40}｜>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|<end_of_utterance>|<(?:bos|eos)>|</s>(?=\s*(?:$|\n|<)))"
)
_FIRST_MARKS = re.compile(
    rf"\A(?:\s*(?:{_MARK}|<s>(?![^\n]*</s>))\s*(?:(?:assistant|model)\b(?:\s*<\|end_header_id\|>)?)?)+",
    re.IGNORECASE,
)
_MARKER = re.compile(_MARK, re.IGNORECASE)
_WORD = re.compile(r"\w")


class SplitAnswer(NamedTuple):
    """The parts of an answer."""

    text: str
    thoughts: list[str]
    other_turns: str | None
    """The text after the first chat marker, without markers; None: there is no marker."""


def split_answer(text: str) -> SplitAnswer:
    """Separate an answer from thoughts, and from all after a chat marker."""
    text, thoughts = _without_thoughts(text)
    text = _FIRST_MARKS.sub("", text, count=1)
    marker = next((m for m in _MARKER.finditer(text) if not _is_html(text, m)), None)
    if marker is None:
        return SplitAnswer(text, thoughts, None)
    return SplitAnswer(
        text[: marker.start()], thoughts, _MARKER.sub("", text[marker.end() :]).strip()
    )


def _is_html(text: str, marker: re.Match[str]) -> bool:
    """Whether a `</s>` closes a `<s>` of the same line, which strikes a text through."""
    line = text.rfind("\n", 0, marker.start()) + 1
    return marker[0] == "</s>" and "<s>" in text[line : marker.start()]


def _without_thoughts(text: str) -> tuple[str, list[str]]:
    thoughts: list[str] = []
    if finals := list(_FINAL.finditer(text)):
        thoughts.append(text[: finals[-1].end()])
        text = text[finals[-1].end() :]
    elif channel := _CHANNEL.search(text):
        thoughts.append(text[channel.start() :])
        text = text[: channel.start()]
    kept, at = [], 0
    while opened := _OPENED.search(text, at):
        kept.append(text[at : opened.start()])
        closed = _CLOSED.search(text, opened.end())
        end = closed.end() if closed else len(text)
        thoughts.append(text[opened.start() : end])
        at = end
    text = "".join(kept) + text[at:]
    ends = [m.end() for m in _CLOSED.finditer(text) if not _PROSE_FOLLOWS.match(text, m.end())]
    if ends:  # the first tag is missing
        thoughts.append(text[: ends[-1]])
        text = text[ends[-1] :]
    return text, [thought for thought in thoughts if _WORD.search(thought)]
