"""The judge: the teacher rates blinded items one by one, by the same rating protocol as people.

Its verdicts are machine ratings. They are stored in a separate file, marked as `machine` in
`ratings.csv`, and never counted together with human ratings.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lamini.files import derive_seed, write_jsonl
from lamini.human_evaluation.items import Item, read_items
from lamini.human_evaluation.rating_protocols import (
    LEVELS,
    QUESTIONS,
    RATING_PROTOCOLS,
    RatingProtocolText,
)
from lamini.log import Progress
from lamini.settings.human_evaluation import Judge, RatingProtocol
from lamini.settings.params.human_evaluation import JudgeItems
from lamini.settings.teacher import Sampling, Teacher
from lamini.teacher.ledger import ledger_path
from lamini.teacher.request import Request, chat_request
from lamini.teacher.session import open_teacher

# The letter must be a separate word: "A good answer" names no level.
_VERDICT = re.compile(r"\W*(?:rating|rate)?\W*([A-D])(?=\W*$|[.:;,)*\n-])", re.IGNORECASE)


def judge_items(
    *, rated: Path, verdicts: Path, settings: JudgeItems, teacher: Teacher
) -> dict[str, Any]:
    """Request one level per item from the teacher.

    Args:
        rated: `items.jsonl`.
        verdicts: JSONL to write, in the order of the items, with the ledger of the answers beside
            it: `item`, `digest`, `rating` (null if the answer names no level), `answer`,
            `clipped_characters`, `model`, `request`.
        settings: the rule's params.
        teacher: address and limits of the teacher.

    Returns:
        For the job's record: `ledger`, number of `clipped` texts, number of texts without a level.

    Raises:
        LaminiError: from the teacher; earlier answers are in the ledger.
    """
    judged, judge, ledger = read_items(rated), settings.judge, ledger_path(verdicts)
    clipped, unclear = 0, 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal clipped, unclear
        answered = session.ask(_requests(judged, judge, settings))
        for item, (request, answer) in zip(judged, answered, strict=True):
            rating = read_verdict(answer.text)
            missing = _clipped_characters(item, judge.max_characters)
            clipped += missing > 0
            unclear += rating is None
            progress.advance()
            yield {
                "item": item.item,
                "digest": item.digest,
                "rating": rating,
                "answer": answer.text,
                "clipped_characters": missing,
                "model": answer.model,
                "request": request.key,
            }

    with (
        open_teacher(teacher, ledger, job=f"judge_items {settings.study}") as session,
        Progress(len(judged), "items", details=session.status) as progress,
    ):
        write_jsonl(verdicts, rows())
    return {"ledger": str(ledger), "clipped": clipped, "without_a_level": unclear}


def read_verdict(answer: str) -> str | None:
    """Level at the start of an answer (`B`, `Rate-B`, `**Rating: B**`), or None."""
    match = _VERDICT.match(answer)
    return match[1].upper() if match else None


def judge_messages(
    item: Item, judge: Judge, rating_protocol: RatingProtocolText
) -> list[dict[str, str]]:
    """Chat messages to the judge: the levels with their examples, then one item."""
    instruction = shorten(item.instruction, judge.max_characters)
    parts = [f"Instruction: {instruction}"]
    if item.part == "response":
        parts.append(f"Response: {shorten(item.text, judge.max_characters)}")
    parts.append(f"{QUESTIONS[item.part]} Answer with one letter: {', '.join(LEVELS)}.")
    return [
        {"role": "system", "content": f"You rate texts on four levels.\n{rating_protocol.text()}"},
        {"role": "user", "content": "\n\n".join(parts)},
    ]


def shorten(text: str, most: int | None) -> str:
    """Clip a text to `most` characters, and append a note with the number of clipped characters."""
    if most is None or len(text) <= most:
        return text
    return f"{text[:most]} [{len(text) - most:,} more characters are not shown]"


def _clipped_characters(item: Item, most: int | None) -> int:
    shown = {item.instruction, item.text}  # equal if the instruction is the rated text
    return sum(max(0, len(text) - (most or len(text))) for text in shown)


def _requests(items: Sequence[Item], judge: Judge, settings: JudgeItems) -> Iterator[Request]:
    for item in items:
        seed = None
        if settings.seed_requests:
            seed = derive_seed("judge_items", settings.seed, item.digest) >> 32
        yield judge_request(item, judge, settings.protocol, settings.model, seed)


def judge_request(
    item: Item, judge: Judge, rating_protocol: RatingProtocol, model: str, seed: int | None
) -> Request:
    """Request for the level of one item.

    Args:
        item: the item.
        judge: settings of the judge.
        rating_protocol: wording of the levels.
        model: the teacher's model name.
        seed: sampling seed; null: none is sent.
    """
    sampling = Sampling(
        temperature=judge.temperature, max_tokens=judge.max_tokens, extra_body=judge.extra_body
    )
    return chat_request(
        model, judge_messages(item, judge, RATING_PROTOCOLS[rating_protocol]), sampling, seed
    )
