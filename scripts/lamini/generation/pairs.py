"""Responses of the teacher to one shard of queries (section 3.2, Appendix B).

Each query is sent after a system message that requests concise answers. Refusals, empty and
truncated answers are flagged, not dropped; the mixture's settings exclude them.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lamini.files import derive_seed, write_jsonl
from lamini.generation.choice import choice_name, choose, groups_of, judged_pairs
from lamini.generation.flags import response_flags
from lamini.generation.instructions import other_ledgers
from lamini.generation.parsing import clean
from lamini.generation.reports import PairReport
from lamini.generation.rows import PairRow, QueryRow, read_queries
from lamini.generation.turns import Conversations
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
            best (`lamini.generation.choice`), with the facts of the choice. With turns, `messages`
            (`lamini.generation.turns`), whose first two are `instruction` and `response`.
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
    total = sum(1 for _ in read_queries(queries))
    several = settings.several
    counts: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    finish_reasons: Counter[str] = Counter()
    models: Counter[str] = Counter()
    verdicts = 0
    ended: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    further = 0

    def counted(answer: Answer) -> None:
        count_tokens(counts, answer)
        finish_reasons[answer.finish_reason] += 1
        models[answer.model] += 1

    def candidates() -> Iterator[list[PairRow]]:
        """The pairs of each query: one, or several to choose from."""
        asked = session.ask(_requests(queries, settings))
        answered = groups_of(asked, several.per_query if several else 1)
        for query, answers in zip(read_queries(queries), answered, strict=True):
            for answer in answers:
                counted(answer)
            yield [_pair(query, answer) for answer in answers]

    def chosen() -> Iterator[PairRow]:
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

    def with_turns() -> Iterator[PairRow]:
        nonlocal further
        if settings.turns is None:
            yield from chosen()
            return
        talks = Conversations(session, settings, counted)
        later = [query.get("later_turns", []) for query in read_queries(queries)]
        rows = talks.extend(list(chosen()), later)
        further = talks.requests
        ended.update(talks.ended)
        lengths.update(str(len(row["messages"]) // 2) for row in rows)
        yield from rows

    def rows() -> Iterator[PairRow]:
        for row in with_turns():
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
        requests=total * (several.per_query if several else 1) + verdicts + further,
        flags=flags,
        **counted_tokens(counts),
        finish_reasons=finish_reasons,
        asked_model=settings.model,
        models=models,
        **({"choice": name} if (name := _choice_name(settings)) else {}),
        **({"turns": lengths, "ended": ended} if settings.turns else {}),
    ).write(report)
    return {"ledger": str(ledger)}


def _choice_name(settings: GeneratePairs) -> str:
    several, turns = settings.several, settings.turns
    per_query, by = (several.per_query, several.by) if several else (1, "")
    return choice_name(per_query, by, turns.count if turns else 1)


def _requests(queries: Path, settings: GeneratePairs) -> Iterator[Request]:
    """The requests of each query, one after another; their seeds depend on the instruction, not on
    the position.

    So the request keys stay equal when the number of shards changes. The first request is the same
    for any number of answers.
    """
    responses = settings.responses
    system = {"role": "system", "content": responses.system_message}
    for query in read_queries(queries):
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


def _pair(query: QueryRow, answer: Answer) -> PairRow:
    response = clean(answer.text).strip()
    thoughts = clean(answer.thoughts).strip()
    pair: PairRow = {
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
    }
    if thoughts:
        pair["thoughts"] = thoughts
    return pair
