"""Conversion of completions to ledger rows, and of ledger rows to answers."""

from lamini.teacher.completions import Completion
from lamini.teacher.ledger import LedgerRow
from lamini.teacher.request import Answer, names_model
from lamini.thoughts import split_thoughts


def ledger_row(
    key: str,
    body: str,
    completion: Completion,
    attempts: int,
    sent_at: float,
    *,
    asked: str,
    batch: str = "",
    discarded: tuple[int, int] = (0, 0),
) -> LedgerRow:
    """The ledger row of a completion.

    Fields that most rows do not need are omitted, from `thoughts` on.

    Args:
        key: the request key.
        body: digest of the request's body.
        completion: the answer.
        attempts: how many times the request was sent.
        sent_at: time of the last attempt, in seconds since the epoch.
        asked: name of the model in the request.
        batch: id of the batch; empty for a live answer.
        discarded: prompt and completion tokens of answers to the same request that were paid for
            and discarded.
    """
    row: LedgerRow = {
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
    if completion.thoughts:
        row["thoughts"] = completion.thoughts
    if completion.refusal:
        row["refusal"] = completion.refusal
    if completion.cached_tokens:
        row["cached_tokens"] = completion.cached_tokens
    if not completion.told and not completion.refusal:
        row["estimated"] = True
    if not completion.refusal and not names_model(completion.model, asked):
        row["asked"] = asked
    if batch:
        row["batch"] = batch
    if any(discarded):
        row["discarded_prompt_tokens"], row["discarded_completion_tokens"] = discarded
    return row


def answer_of_row(row: LedgerRow, *, cached: bool) -> Answer:
    """The answer of a ledger row; rows of version 0.1.0 may contain thoughts in their text."""
    text, thoughts = split_thoughts(row["text"])
    return Answer(
        key=row["key"],
        text=text,
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
        thoughts=row.get("thoughts", thoughts),
    )
