"""Conversion of completions to ledger rows, and of ledger rows to answers."""

from typing import Any

from lamini.teacher.replies import Completion
from lamini.teacher.request import Answer


def ledger_row(
    key: str, body: str, completion: Completion, attempts: int, sent_at: float
) -> dict[str, Any]:
    """The ledger row of a completion; `body` is the digest of the request's body."""
    return {
        "key": key,
        "body": body,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "finish_reason": completion.finish_reason,
        "model": completion.model,
        "request_id": completion.request_id,
        "attempts": attempts,
        "sent_at": sent_at,
        "text": completion.text,
    }


def answer_of_row(row: dict[str, Any], *, cached: bool) -> Answer:
    """The answer of a ledger row."""
    return Answer(
        key=row["key"],
        text=row["text"],
        finish_reason=row["finish_reason"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        model=row["model"],
        request_id=row["request_id"],
        attempts=row["attempts"],
        cached=cached,
        batch=row.get("batch", ""),
    )
