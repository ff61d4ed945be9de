"""Flags of the teacher's texts: what is to be known before they are used."""

from lamini.generation.refusals import is_refusal
from lamini.teacher.completions import REFUSAL, finished


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
