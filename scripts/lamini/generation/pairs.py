"""Responses of the teacher to one shard of queries (section 3.2, Appendix B).

Each query is sent after a system message that requests concise answers. Refusals, empty and
truncated answers are flagged, not dropped; the mixture's settings exclude them.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from lamini.files import derive_seed, write_jsonl
from lamini.generation.choice import choice_name, choose, groups_of, judged_pairs
from lamini.generation.instructions import other_ledgers
from lamini.generation.reports import PairReport
from lamini.generation.rows import PairRow, QueryRow, read_queries
from lamini.generation.texts import clean, response_flags
from lamini.generation.turns import Conversations
from lamini.log import Progress
from lamini.settings.params.generation import GeneratePairs
from lamini.settings.teacher import Teacher
from lamini.teacher.ledger import ledger_path
from lamini.teacher.request import Answer, Request, add_paid_tokens, chat_request, counted_tokens
from lamini.teacher.session import TeacherSession, open_teacher


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
            best (`lamini.generation.choice`), with the data of the choice. With turns, `messages`
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
    with (
        open_teacher(
            teacher,
            ledger,
            other_ledgers(ledger),
            job=f"generate_pairs {settings.source}/{shard}",
        ) as session,
        Progress(total, "pairs", details=session.status) as progress,
    ):
        shard_pairs = ShardPairs(session, queries, settings)
        write_jsonl(pairs, shard_pairs.rows(progress.advance))
    shard_pairs.report(shard, total).write(report)
    return {"ledger": str(ledger)}


class ShardPairs:
    """The pairs of one shard of queries, and counts of the answers that they are made from.

    Args:
        session: the teacher.
        queries: output of `select_queries`.
        settings: the rule's params.
    """

    def __init__(self, session: TeacherSession, queries: Path, settings: GeneratePairs) -> None:
        self._session, self._queries, self._settings = session, queries, settings
        self._answers_per_query = settings.several.per_query if settings.several else 1
        self._tokens: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._finish_reasons: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._requests_of_verdicts = 0
        self._requests_of_turns = 0
        self._ended: Counter[str] = Counter()
        self._turns: Counter[str] = Counter()

    def rows(self, advance: Callable[[], None]) -> Iterator[PairRow]:
        """Request the answers and make the pairs, in the queries' order.

        Args:
            advance: called for each pair.
        """
        for row in self._conversations() if self._settings.turns else self._chosen():
            self._flags.update(row["flags"])
            advance()
            yield row

    def _count(self, answer: Answer) -> None:
        add_paid_tokens(self._tokens, answer)
        self._finish_reasons[answer.finish_reason] += 1
        self._models[answer.model] += 1

    def _candidates(self) -> Iterator[list[PairRow]]:
        """The pairs of each query: one, or several to choose from."""
        answered = self._session.ask(_requests(self._queries, self._settings))
        groups = groups_of(answered, self._answers_per_query)
        for query, answers in zip(read_queries(self._queries), groups, strict=True):
            for answer in answers:
                self._count(answer)
            yield [_pair(query, answer) for answer in answers]

    def _chosen(self) -> Iterator[PairRow]:
        """One pair for each query."""
        several = self._settings.several
        if several is None:
            yield from (row for (row,) in self._candidates())
        elif several.by == "agreement":
            yield from map(choose, self._candidates())
        else:
            candidates = list(self._candidates())
            for row, verdicts in judged_pairs(self._session, candidates, self._settings):
                self._requests_of_verdicts += len(verdicts)
                for verdict in verdicts:
                    add_paid_tokens(self._tokens, verdict)
                yield row

    def _conversations(self) -> list[PairRow]:
        """The chosen pairs with the further turns of their conversations."""
        conversations = Conversations(self._session, self._settings, self._count)
        later = [query.get("later_turns", []) for query in read_queries(self._queries)]
        rows = conversations.extend(list(self._chosen()), later)
        self._requests_of_turns = conversations.requests
        self._ended.update(conversations.ended)
        self._turns.update(str(len(row["messages"]) // 2) for row in rows)
        return rows

    def report(self, shard: str, total: int) -> PairReport:
        """Counts of the shard, after its last pair.

        Args:
            shard: name of the shard.
            total: number of queries.
        """
        settings = self._settings
        first_turns = total * self._answers_per_query
        choice = _choice_name(settings)
        return PairReport(
            stage="pairs",
            source=settings.source,
            shard=shard,
            wanted=total,
            accepted=total - self._flags["empty"],
            requests=first_turns + self._requests_of_verdicts + self._requests_of_turns,
            flags=self._flags,
            **counted_tokens(self._tokens),
            finish_reasons=self._finish_reasons,
            asked_model=settings.model,
            models=self._models,
            **({"choice": choice} if choice else {}),
            **({"turns": self._turns, "ended": self._ended} if settings.turns else {}),
        )


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
                parts = [settings.seed, instruction, *([sample] if sample else [])]
                # 31 bits: accepted by every server.
                seed = derive_seed("generate_pairs", *parts) >> 32
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
