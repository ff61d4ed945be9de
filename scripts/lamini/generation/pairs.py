"""Responses of the teacher to one shard of queries (section 3.2, Appendix B).

Each query is sent after a system message that requests concise answers. Refusals, empty and
truncated answers are flagged, not dropped; the mixture's settings exclude them.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lamini.files import derive_seed, read_jsonl, write_jsonl
from lamini.generation.choice import choice_name, choose, groups_of, judged_pairs
from lamini.generation.instructions import other_ledgers
from lamini.generation.parsing import clean
from lamini.generation.refusals import is_refusal
from lamini.generation.reports import PairReport
from lamini.log import Progress
from lamini.settings.params import GeneratePairs
from lamini.settings.teacher import Teacher
from lamini.teacher import (
    Answer,
    Request,
    chat_request,
    count_tokens,
    counted_tokens,
    ledger_path,
    open_teacher,
)
from lamini.teacher.completions import REFUSAL, finished

Row = dict[str, Any]


def generate_pairs(
    *,
    queries: Path,
    pairs: Path,
    report: Path,
    shard: str,
    settings: GeneratePairs,
    teacher: Teacher,
) -> dict[str, str]:
    """Generate the responses of one shard with the teacher.

    Args:
        queries: output of `select_queries`.
        pairs: JSONL to write, with the ledger of the answers beside it, in the queries' order:
            `id`, `instruction`, `response`, `instruction_source`, `finish_reason`, `prompt_tokens`,
            `completion_tokens`, `model`, `request` (request key in the ledger), `flags` (any of
            refusal, empty, truncated), and `thoughts` of a reasoning model. Of several answers the
            best (`lamini.generation.choice`), with the facts of the choice.
        report: JSON of counts to write; equal for sent requests and for answers from the ledger.
        shard: name of the shard, four digits.
        settings: the rule's params.
        teacher: the teacher's settings.

    Returns:
        The `ledger`, for the provenance record.

    Raises:
        LaminiError: an error of the teacher; earlier answers are in the ledger.
    """
    ledger = ledger_path(pairs)
    total = sum(1 for _ in read_jsonl(queries))
    several = settings.several
    counts: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    finish_reasons: Counter[str] = Counter()
    models: Counter[str] = Counter()
    verdicts = 0

    def candidates() -> Iterator[list[Row]]:
        """The pairs of each query: one, or several to choose from."""
        asked = session.ask(_requests(queries, settings))
        answered = groups_of(asked, several.per_query if several else 1)
        for query, answers in zip(read_jsonl(queries), answered, strict=True):
            for answer in answers:
                count_tokens(counts, answer)
                finish_reasons[answer.finish_reason] += 1
                models[answer.model] += 1
            yield [_pair(query, answer) for answer in answers]

    def chosen() -> Iterator[Row]:
        nonlocal verdicts
        if several is None:
            yield from (row for (row,) in candidates())
        elif several.by == "agreement":
            yield from map(choose, candidates())
        else:
            for row, answers in judged_pairs(session, list(candidates()), settings):
                verdicts += len(answers)
                for answer in answers:
                    count_tokens(counts, answer)
                yield row

    def rows() -> Iterator[Row]:
        for row in chosen():
            flags.update(row["flags"])
            progress.advance()
            yield row

    with (
        open_teacher(
            teacher,
            ledger,
            other_ledgers(ledger),
            job=f"generate_pairs {settings.source}/{shard}",
        ) as session,
        Progress(total, "pairs", details=session.status) as progress,
    ):
        write_jsonl(pairs, rows())
    PairReport(
        stage="pairs",
        source=settings.source,
        shard=shard,
        wanted=total,
        accepted=total - flags["empty"],
        requests=total * (several.per_query if several else 1) + verdicts,
        flags=flags,
        **counted_tokens(counts),
        finish_reasons=finish_reasons,
        asked_model=settings.model,
        models=models,
        **({"choice": choice_name(several.per_query, several.by)} if several else {}),
    ).write(report)
    return {"ledger": str(ledger)}


def _requests(queries: Path, settings: GeneratePairs) -> Iterator[Request]:
    """The requests of each query, one after another; their seeds depend on the instruction, not on
    the position.

    So the request keys stay equal when the number of shards changes. The first request is the same
    for any number of answers.
    """
    responses = settings.responses
    system = {"role": "system", "content": responses.system_message}
    for query in read_jsonl(queries):
        instruction = query["instruction"]
        for sample in range(settings.several.per_query if settings.several else 1):
            seed = None
            if settings.seed_requests:
                place = [settings.seed, instruction, *([sample] if sample else [])]
                # 31 bits: accepted by every server.
                seed = derive_seed("generate_pairs", *place) >> 32
            yield chat_request(
                settings.model,
                [system, {"role": "user", "content": instruction}],
                responses.sampling,
                seed,
                sample=sample,
                more_room=responses.more_room,
            )


def _pair(query: Row, answer: Answer) -> Row:
    response = clean(answer.text).strip()
    thoughts = clean(answer.thoughts).strip()
    return {
        "id": query["id"],
        "instruction": query["instruction"],
        "response": response,
        "instruction_source": query["instruction_source"],
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "model": answer.model,
        "request": answer.key,
        "flags": response_flags(response, answer.finish_reason),
        **({"thoughts": thoughts} if thoughts else {}),
    }


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
