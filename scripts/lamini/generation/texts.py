"""The teacher's texts as they are stored: their characters, and the flags of responses."""

import re

from lamini.generation.refusals import is_refusal
from lamini.teacher.completions import REFUSAL, finished

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u0085\u2028\u2029]")


def clean(text: str) -> str:
    """Convert line ends to `\\n`, lone surrogates to `?` and control characters to spaces."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


def response_flags(response: str, finish_reason: str) -> list[str]:
    """Flags of a response: any of `refusal`, `empty`, `truncated`.

    A response is truncated unless its finish reason is that of a whole answer.
    """
    flags = {
        "refusal": finish_reason == REFUSAL or is_refusal(response),
        "empty": not response,
        "truncated": finish_reason != REFUSAL and not finished(finish_reason),
    }
    return [name for name, holds in flags.items() if holds]
