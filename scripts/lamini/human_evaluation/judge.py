"""The judge: the teacher rates by the protocol that people follow, item by item and blinded.

Its verdicts are machine ratings. They stand in a file of their own, carry that mark into
`ratings.csv`, and are never counted together with people's.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lamini.files import derive_seed, write_jsonl
from lamini.human_evaluation.items import Item, read_items
from lamini.human_evaluation.protocol import LEVELS, QUESTIONS, levels_text
from lamini.log import Progress
from lamini.settings.human_evaluation import Judge
from lamini.settings.params import JudgeItems
from lamini.settings.teacher import Sampling, Teacher
from lamini.teacher import Request, chat_request, ledger_path, open_teacher

Row = dict[str, Any]
# The letter stands alone: "A good answer" names no level.
_VERDICT = re.compile(r"\W*(?:rating|rate)?\W*([A-D])(?=\W*$|[.:;,)*\n-])", re.IGNORECASE)


def judge_items(
    *, rated: Path, verdicts: Path, settings: JudgeItems, teacher: Teacher
) -> dict[str, Any]:
    """Ask the teacher for one level for each item.

    Args:
        rated: `items.jsonl`.
        verdicts: JSONL to write, with the ledger of the answers beside it, in the items' order:
            `item`, `digest`, `rating` (null when the answer named no level), `answer`,
            `clipped_characters`, `model`, `request`.
        settings: the rule's params.
        teacher: where the teacher is and how it may be asked.

    Returns:
        The `ledger`, and how many texts were `clipped` or got no level, for the record.

    Raises:
        LaminiError: from the teacher; what was answered before is in the ledger.
    """
    judged, judge, ledger = read_items(rated), settings.judge, ledger_path(verdicts)
    clipped, unclear = 0, 0

    def rows() -> Iterator[Row]:
        nonlocal clipped, unclear
        asked = session.ask(_requests(judged, judge, settings))
        for item, (request, answer) in zip(judged, asked, strict=True):
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
    """The level that an answer starts with, as in `B`, `Rate-B`, `**Rating: B**`; else none."""
    found = _VERDICT.match(answer)
    return found[1].upper() if found else None


def judge_messages(item: Item, judge: Judge) -> list[dict[str, str]]:
    """What the judge is told: the levels with their examples, then one item."""
    instruction = clip(item.instruction, judge.max_characters)
    asked = [f"Instruction: {instruction}"]
    if item.part == "response":
        asked.append(f"Response: {clip(item.text, judge.max_characters)}")
    asked.append(f"{QUESTIONS[item.part]} Answer with one letter: {', '.join(LEVELS)}.")
    return [
        {"role": "system", "content": f"You rate texts on four levels.\n{levels_text()}"},
        {"role": "user", "content": "\n\n".join(asked)},
    ]


def clip(text: str, most: int | None) -> str:
    """A text of at most `most` characters, with a mark for what was cut off its end."""
    if most is None or len(text) <= most:
        return text
    return f"{text[:most]} [{len(text) - most:,} more characters are not shown]"


def _clipped_characters(item: Item, most: int | None) -> int:
    shown = {item.instruction, item.text}  # Equal where the instruction is what is rated.
    return sum(max(0, len(text) - (most or len(text))) for text in shown)


def _requests(items: Sequence[Item], judge: Judge, settings: JudgeItems) -> Iterator[Request]:
    sampling = Sampling(
        temperature=judge.temperature, max_tokens=judge.max_tokens, extra_body=judge.extra_body
    )
    for item in items:
        seed = None
        if settings.seed_requests:
            seed = derive_seed("judge_items", settings.seed, item.digest) >> 32
        yield chat_request(settings.model, judge_messages(item, judge), sampling, seed)
