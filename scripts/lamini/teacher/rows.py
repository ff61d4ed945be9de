"""Conversion of completions to ledger rows, and of ledger rows to answers."""

from typing import Any

from lamini.teacher.completions import Completion
from lamini.teacher.request import Answer, names_model
from lamini.teacher.thoughts import split_thoughts


def ledger_row(
    key: str, body: str, completion: Completion, attempts: int, sent_at: float, *, asked: str
) -> dict[str, Any]:
    """The ledger row of a completion.

    Fields that most rows do not need are omitted: `thoughts`, `refusal` (the endpoint's message),
    `cached_tokens`, `estimated` if the endpoint did not tell the numbers of tokens, and `asked` if
    the model that answered has another name.

    Args:
        key: the request key.
        body: digest of the request's body.
        completion: the answer.
        attempts: how many times the request was sent.
        sent_at: time of the last attempt, in seconds since the epoch.
        asked: name of the model in the request.
    """
    others = {
        "thoughts": completion.thoughts,
        "refusal": completion.refusal,
        "cached_tokens": completion.cached_tokens,
        "estimated": not completion.told and not completion.refusal,
        "asked": "" if completion.refusal or names_model(completion.model, asked) else asked,
    }
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
        **{name: value for name, value in others.items() if value},
    }


def discarded_fields(tokens: tuple[int, int]) -> dict[str, int]:
    """Fields of a ledger row for answers to the same request that were paid for and discarded."""
    if not any(tokens):
        return {}
    return {"discarded_prompt_tokens": tokens[0], "discarded_completion_tokens": tokens[1]}


def answer_of_row(row: dict[str, Any], *, cached: bool) -> Answer:
    """The answer of a ledger row; rows of earlier versions may contain thoughts in their text."""
    return Answer(
        key=row["key"],
        text=split_thoughts(row["text"])[0],
        finish_reason=row["finish_reason"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        model=row["model"],
        request_id=row["request_id"],
        attempts=row["attempts"],
        cached=cached,
        batch=row.get("batch", ""),
        cached_tokens=row.get("cached_tokens", 0),
        discarded_tokens=(
            row.get("discarded_prompt_tokens", 0),
            row.get("discarded_completion_tokens", 0),
        ),
    )
