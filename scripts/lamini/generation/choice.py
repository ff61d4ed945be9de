"""Several answers to each query, of which the best is kept.

An answer without a flag (refusal, empty, truncated) goes before one with a flag. Then the teacher's
verdicts decide, by the protocol of the human annotators, if they were requested; then agreement:
the mean ROUGE-L of an answer with the others, as in minimum Bayes risk decoding (Kumar and Byrne
2004, https://aclanthology.org/N04-1022); then the order of the answers. Verdicts are in the ledger
of the answers, so choosing again costs nothing, and more answers cost only the new ones.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from lamini.files import derive_seed
from lamini.generation.rows import PairRow
from lamini.human_evaluation.items import make_item
from lamini.human_evaluation.judge import judge_request, read_verdict
from lamini.human_evaluation.rating_protocols import LEVELS
from lamini.settings.params.generation import GeneratePairs
from lamini.teacher.request import Answer, Request
from lamini.teacher.session import TeacherSession


def choice_name(per_query: int, by: str, turns: int) -> str:
    """Text such as `best of 4 by judge, 2 turns`; empty with one answer and one turn."""
    parts = [f"best of {per_query} by {by}"] if per_query > 1 else []
    return ", ".join([*parts, *([f"{turns} turns"] if turns > 1 else [])])


def groups_of(answered: Iterator[tuple[Request, Answer]], size: int) -> Iterator[list[Answer]]:
    """The answers of each query; `answered` has `size` consecutive answers for each."""
    while group := [answer for _, answer in islice(answered, size)]:
        yield group


def choose(candidates: Sequence[PairRow], levels: Sequence[str | None] | None = None) -> PairRow:
    """The best of several pairs of one query, with the data of the choice.

    Args:
        candidates: pairs with `response` and `flags`, in the order of their requests.
        levels: level of each pair; null: no verdict; None: not judged.

    Returns:
        The pair, and `answers` (number of candidates), `sample` (its index), `agreement` (0 to 1);
        if judged, `level`.
    """
    agreements = agreements_of([row["response"] for row in candidates])

    def rank(index: int) -> tuple[bool, int, float, int]:
        level = levels[index] if levels else None
        worst = len(LEVELS) if level is None else LEVELS.index(level)
        return bool(candidates[index]["flags"]), worst, -agreements[index], index

    best = min(range(len(candidates)), key=rank)
    chosen: PairRow = {
        **candidates[best],
        "answers": len(candidates),
        "sample": best,
        "agreement": agreements[best],
    }
    if levels:
        chosen["level"] = levels[best]
    return chosen


def agreements_of(texts: Sequence[str]) -> list[float]:
    """Mean ROUGE-L (F-measure, four decimals) of each text with the others; 1 for equal texts.

    Texts in other scripts than Latin have no tokens in ROUGE; only equal ones agree.
    """
    from lamini.analysis.rouge import RougeTexts  # loads numba

    together = RougeTexts()
    together.add(list(texts))
    similar = together.similarities()
    agreements = []
    for number, text in enumerate(texts):
        others = [
            1.0 if text == other else float(similar[number, index])
            for index, other in enumerate(texts)
            if index != number
        ]
        agreements.append(round(sum(others) / len(others), 4))
    return agreements


def verdict_requests(
    groups: Sequence[Sequence[PairRow]], settings: GeneratePairs
) -> Iterator[Request]:
    """Requests for a verdict on each candidate of `judged`, in order."""
    for candidates in groups:
        for index in judged(candidates):
            yield _verdict_request(candidates[index], settings)


def judged(candidates: Sequence[PairRow]) -> list[int]:
    """Indices of the candidates that need a verdict: without flags, if their texts differ."""
    whole = [index for index, row in enumerate(candidates) if not row["flags"]]
    return whole if len({candidates[index]["response"] for index in whole}) > 1 else []


def _verdict_request(pair: PairRow, settings: GeneratePairs) -> Request:
    assert settings.several is not None
    item = make_item(
        study=settings.source,
        seed=settings.seed,
        group=pair["id"],
        subject="",
        part="response",
        instruction=pair["instruction"],
        text=pair["response"],
    )
    seed = None
    if settings.seed_requests:
        seed = derive_seed("judge_answers", settings.seed, item.digest) >> 32
    judge, rating_protocol = settings.several.judge, settings.several.protocol
    assert judge is not None and rating_protocol is not None
    return judge_request(item, judge, rating_protocol, settings.model, seed)


def judged_pairs(
    session: TeacherSession, groups: Sequence[Sequence[PairRow]], settings: GeneratePairs
) -> Iterator[tuple[PairRow, list[Answer]]]:
    """The best pair of each query by the teacher's verdicts, and the verdicts' answers.

    Args:
        session: the session of the answers.
        groups: candidates of each query.
        settings: the rule's params.
    """
    verdicts = session.ask(verdict_requests(groups, settings))
    for candidates in groups:
        levels: list[str | None] = [None] * len(candidates)
        answers = []
        for index in judged(candidates):
            _, answer = next(verdicts)
            levels[index] = read_verdict(answer.text)
            answers.append(answer)
        yield choose(candidates, levels), answers
