"""Labels of examples in an answer: their pattern, and the texts between them.

Models also talk about the labels ("I put each one between <example> and </example> tags"), and
write instructions about them. Such labels begin and end nothing; a text with one inside is marked,
since its limits are not certain.
"""

import functools
import re
from typing import NamedTuple

_MIN_LETTERS = 5  # of a tag whose name may have a typing error
_QUOTES = frozenset(('""', "''", "``", "“”", "‘’", "«»"))
_WORD = re.compile(r"\w")
_LETTER = re.compile(r"[^\W\d_]")
_LINE = 200  # characters that are read before a label
_LINE_END = re.compile(r"[ \t]*(?:\n|\Z)")
_ENDED = re.compile(r"[.?!:;。？！：；…\"”'’»`)\]}*]\s*$")


class Chunk(NamedTuple):
    """A text between two labels."""

    text: str
    opened: bool
    """There is an opening label before it."""
    closed: bool
    """There is a closing label after it."""
    doubtful: bool
    """It contains a label, or is part of a sentence about the labels."""


@functools.cache
def label_pattern(opening: str, closing: str | None) -> re.Pattern[str]:
    r"""A pattern of both labels; in a closing label, `closing` or `self_closed` is not empty.

    A tag `<example>` with its closing tag also matches `</Example>`, `<example 3>`, `<examples>`,
    `<\example>`, `<example id="1">`, `&lt;example&gt;` and `</exmaple>` (one typing error), but not
    `<example.com>`. Any other label matches literally, ignoring case.
    """
    tag = re.fullmatch(r"<([\w-]+)>", opening)
    if tag and closing == f"</{tag[1]}>":
        text = (
            rf"(?:<|&lt;)\s*(?P<closing>[/\\]?)\s*(?:{tag[1]}s?(?:[ _#:-]?\d{{1,3}}|{_ATTRIBUTES}"
            rf"|\s[^<>\n]*?)?|{_misspelt(tag[1])})\s*(?P<self_closed>/?)\s*(?:>|&gt;)"
        )
    else:
        end = rf"(?P<closing>{re.escape(closing)})" if closing else r"(?P<closing>(?!))"
        begin = rf"{re.escape(opening)}(?P<self_closed>)"
        longer_first = len(closing or "") > len(opening)
        text = f"{end}|{begin}" if longer_first else f"{begin}|{end}"
    return re.compile(text, re.IGNORECASE)


_ATTRIBUTES = (
    r"(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"]{0,2000}\"|'[^']{0,2000}'|“[^”]{0,2000}”|[^\s<>\"'“/]+))+"
)


def _misspelt(name: str) -> str:
    """A pattern of `name` with one letter missing, added or changed, or two exchanged."""
    if len(name) < _MIN_LETTERS:
        return r"(?!)"
    positions = range(len(name))
    forms = {name[:at] + name[at + 1 :] for at in positions}
    forms |= {name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in positions[:-1]}
    patterns = [re.escape(form) for form in sorted(forms)]
    patterns += [f"{re.escape(name[:at])}[a-z]{re.escape(name[at + 1 :])}" for at in positions]
    patterns += [f"{re.escape(name[:at])}[a-z]{re.escape(name[at:])}" for at in positions]
    return f"(?:{'|'.join(patterns)})"


def chunks(text: str, label: re.Pattern[str]) -> list[Chunk]:
    """Texts between labels.

    Text outside of labels is not a chunk. A repeated label makes no empty chunk; an opening label
    followed by a closing one does.
    """
    matches = list(label.finditer(text))
    closing_used = any(match["closing"] for match in matches)
    result: list[Chunk] = []
    is_open, at, doubtful = False, 0, False
    for number, match in enumerate(matches):
        closes = bool(match["closing"]) or bool(match["self_closed"] and is_open)
        following = matches[number + 1] if number + 1 < len(matches) else None
        sure = closes and is_open and (following is None or not following["closing"])
        if _is_quoted(text, match) or (not sure and _is_word(text, at, match, following)):
            doubtful = True
            continue
        chunk = text[at : match.start()]
        runs_on = _runs_on(text, at)
        if closes and is_open:
            talk = doubtful or (runs_on and _runs_on(text, match.end()))
            result.append(Chunk(chunk, True, True, talk))
        elif closes and _WORD.search(chunk):
            result.append(Chunk(chunk, False, True, doubtful))
        elif not closes and is_open and _WORD.search(chunk):
            result.append(Chunk(chunk, True, False, doubtful or (closing_used and runs_on)))
        is_open, at, doubtful = not closes, match.end(), False
    if is_open and _WORD.search(text[at:]):
        doubtful = doubtful or (closing_used and _runs_on(text, at))
        result.append(Chunk(text[at:], True, False, doubtful))
    return result


def _is_quoted(text: str, label: re.Match[str]) -> bool:
    before, after = (
        text[max(0, label.start() - 1) : label.start()],
        text[label.end() : label.end() + 1],
    )
    return before + after in _QUOTES


def _is_word(text: str, at: int, label: re.Match[str], following: re.Match[str] | None) -> bool:
    """Whether a label is a word of a sentence.

    Args:
        text: the answer.
        at: end of the previous label that is none.
        label: the label in it.
        following: the next label.
    """
    start = max(at, label.start() - _LINE)
    line = text[start : label.start()].rpartition("\n")[2]
    if not _LETTER.search(line) or not line[-1].isspace() or _ENDED.search(line):
        return False
    if _LINE_END.match(text, label.end()):  # some close an example by the opening label
        after = text[label.end() : following.start() if following else None]
        return not label["closing"] and bool(after.strip())
    return _runs_on(text, label.end())


def _runs_on(text: str, at: int) -> bool:
    """Whether a sentence goes on at `at`: a small letter after a space, or a punctuation mark."""
    after = text[at : at + 2]
    if after[:1] in tuple(".,;:!?)"):
        return True
    return after[:1] in (" ", "\t") and after[1:].isalpha() and not after[1:].isupper()
