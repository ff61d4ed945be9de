"""Several answers to each query: the best is kept, each is paid for once, and one answer is as
before."""

import json
from pathlib import Path
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer
from writing_endpoint import WritingEndpoint

from lamini.command import read_config
from lamini.errors import SettingsError
from lamini.files import derive_seed, read_jsonl, write_jsonl
from lamini.generation.choice import agreements_of, choose
from lamini.generation.pairs import _requests, generate_pairs
from lamini.human_evaluation.rating_protocols import RATING_PROTOCOLS
from lamini.plan.requests import planned_requests
from lamini.settings.params.generation import GeneratePairs
from lamini.settings.teacher import Sampling
from lamini.teacher.ledger import read_ledger
from lamini.teacher.report import ShardReport
from lamini.teacher.request import chat_request
from lamini.workflow import Workflow

QUERIES = ("Name a tree.", "What is 6 x 7?", "海を一つ挙げて")
ANSWERS = {
    "Name a tree.": [
        "An oak is a tree.",
        "An oak, I think, is a tree.",
        "Stone",
        "I'm sorry, but no.",
    ],
    "What is 6 x 7?": ["41", "42", "42", "42"],
    "海を一つ挙げて": ["山", "日本海", "日本海", "川"],
}
"""Answers to each query, in the order of its requests."""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    rows = [
        {"id": f"some/{number}", "instruction": text, "instruction_source": "some"}
        for number, text in enumerate(QUERIES)
    ]
    write_jsonl("0000.jsonl", rows)


def _settings(**changes: Any) -> GeneratePairs:
    fields = {
        "source": "some",
        "model": "m",
        "responses": {"system_message": "Be brief.", "sampling": {"max_tokens": 9}},
        "seed_requests": True,
        "seed": 42,
    }
    return GeneratePairs.model_validate(fields | changes)


def _seed(query: str, sample: int) -> int:
    return derive_seed("generate_pairs", 42, query, *([sample] if sample else [])) >> 32


SEEDS = {
    _seed(query, sample): answers[sample]
    for query, answers in ANSWERS.items()
    for sample in range(4)
}


def _write(body: dict[str, Any]) -> tuple[str, str]:
    """An answer by its seed; as judge, A for oaks, C for what has an `I`, B for others."""
    if body["seed"] in SEEDS:
        return SEEDS[body["seed"]], "stop"
    response = body["messages"][-1]["content"].partition("Response: ")[2].partition("\n")[0]
    return "C" if "I" in response else "A" if "oak" in response else "B", "stop"


def _pairs(endpoint: WritingEndpoint, **changes: Any) -> list[dict[str, Any]]:
    generate_pairs(
        queries=Path("0000.jsonl"),
        pairs=Path("pairs/0000.jsonl"),
        report=Path("pairs/0000.report.json"),
        shard="0000",
        settings=_settings(**changes),
        teacher=endpoint.settings(),
    )
    return list(read_jsonl("pairs/0000.jsonl"))


def _report() -> dict[str, Any]:
    return json.loads(Path("pairs/0000.report.json").read_text())


AGREEMENT = {"per_query": 4, "by": "agreement"}
JUDGE = {"per_query": 4, "by": "judge", "judge": {}, "protocol": "own"}


def test_one_answer_has_the_requests_and_params_that_it_had() -> None:
    settings = _settings()
    assert "several" not in settings.as_params()
    wanted = [
        chat_request(
            "m",
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": query}],
            Sampling(max_tokens=9),
            derive_seed("generate_pairs", 42, query) >> 32,
        )
        for query in QUERIES
    ]
    found = list(_requests(Path("0000.jsonl"), settings))
    assert found == wanted
    assert [request.key for request in found] == [
        "cb4a7884aa6571667071868f1a729945",
        "0498fe759cb1b9478bc4643c8516eaf1",
        "c7b80636773a67d013b9c1ab2bd54ef6",
    ]


def test_the_answer_that_agrees_is_kept_and_more_answers_cost_only_themselves() -> None:
    with WritingEndpoint(write=_write) as endpoint:
        alone = _pairs(endpoint)
        assert [row["response"] for row in alone] == [answers[0] for answers in ANSWERS.values()]
        assert {"sample", "answers"}.isdisjoint(alone[0])
        assert "choice" not in _report()
        asked = len(endpoint.requests)
        two = _pairs(endpoint, several={"per_query": 2, "by": "agreement"})
        assert len(endpoint.requests) - asked == len(QUERIES)
        # Two answers agree with each other alike: the first is kept.
        assert [row["response"] for row in two] == [row["response"] for row in alone]
        four = _pairs(endpoint, several=AGREEMENT)
        assert len(endpoint.requests) == 4 * len(QUERIES)
        # Of both sentences about oaks, the second shares a word with the refusal.
        wanted = ["An oak, I think, is a tree.", "42", "日本海"]
        assert [row["response"] for row in four] == wanted
        assert [row["sample"] for row in four] == [1, 1, 1]
        assert [row["agreement"] for row in four[1:]] == [0.6667, 0.3333]
        assert {row["answers"] for row in four} == {4}
        report = _report()
        assert (report["requests"], report["wanted"], report["accepted"]) == (12, 3, 3)
        assert (report["prompt_tokens"], report["completion_tokens"]) == (120, 60)
        assert report["choice"] == "best of 4 by agreement"
        # Fewer answers again, and one: nothing is asked, and one is as before.
        assert _pairs(endpoint, several={"per_query": 2, "by": "agreement"}) == two
        assert _pairs(endpoint) == alone
        assert len(endpoint.requests) == 4 * len(QUERIES)
    keys = {row["key"] for row in read_ledger(Path("pairs/0000.ledger.jsonl"))}
    assert {row["request"] for row in four} <= keys
    assert len(keys) == 12


def test_the_judge_decides_and_choosing_again_asks_nothing() -> None:
    with WritingEndpoint(write=_write) as endpoint:
        agreed = _pairs(endpoint, several=AGREEMENT)
        asked = len(endpoint.requests)
        judged = _pairs(endpoint, several=JUDGE)
        verdicts = endpoint.requests[asked:]
        # Not the refusal; equal answers are sent once: 3, 2 and 3 texts.
        assert len(verdicts) == 3 + 2 + 3
        assert _report()["requests"] == 12 + 3 + 4 + 4
        assert [row["response"] for row in judged] == ["An oak is a tree.", "42", "日本海"]
        assert [row["level"] for row in judged] == ["A", "B", "B"]
        system = f"You rate texts on four levels.\n{RATING_PROTOCOLS['own'].text()}"
        assert {body["messages"][0]["content"] for body in verdicts} == {system}
        assert _pairs(endpoint, several=JUDGE) == judged
        assert _pairs(endpoint, several=AGREEMENT) == agreed
        assert len(endpoint.requests) == asked + 8


@pytest.mark.usefixtures("empty_project")
def test_the_plan_takes_no_numbers_of_another_choice() -> None:
    config = read_config([], [])
    config["sources"]["alpaca"] |= {"answers_per_query": 4, "samples": 10, "shards": 1}
    flow = Workflow(config)
    fields = {"stage": "pairs", "source": "alpaca", "shard": "0000", "wanted": 10, "accepted": 10}
    counts: dict[str, Any] = {"prompt_tokens": 5, "completion_tokens": 5, "finish_reasons": {}}
    report = ShardReport(
        **fields, **counts, requests=44, asked_model=flow.teacher_of("pairs", "").model, models={}
    )
    path = Path("results/pairs/alpaca/0000.report.json")

    def planned() -> tuple[int, str]:
        (found,) = (p for p in planned_requests(flow, Path("results")) if p.source == "alpaca")
        return found.requests, found.basis

    report.write(path)
    assert "choice" not in json.loads(path.read_text())
    assert planned() == (40, "estimated")
    report.model_copy(update={"choice": "best of 4 by agreement"}).write(path)
    assert planned() == (44, "measured")


def _row(response: str, *flags: str) -> dict[str, Any]:
    return {"response": response, "flags": list(flags)}


def test_flags_come_before_levels_and_levels_before_agreement() -> None:
    rows = [_row("no", "refusal"), _row("a b c"), _row("a b c d"), _row("x")]
    assert choose(rows)["sample"] == 1
    assert choose(rows, ["A", "B", "C", None])["sample"] == 1
    assert choose(rows, [None, "B", "B", "A"])["sample"] == 3
    assert choose(rows, [None, None, None, "D"])["sample"] == 3, "no verdict is the worst"
    flagged = [_row("", "empty"), _row("I cannot", "refusal"), _row("I cannot", "refusal")]
    assert choose(flagged)["sample"] == 1, "of flagged ones by agreement"
    assert choose([_row("x"), _row("y")]) == {
        "response": "x",
        "flags": [],
        "answers": 2,
        "sample": 0,
        "agreement": 0.0,
    }


def test_agreement_is_the_mean_rouge_l_with_the_others() -> None:
    texts = ["The cat sat on the mat.", "On the mat the cat sat", "a dog", "", "the the the cat 12"]
    scorer = RougeScorer(["rougeL"])
    wanted = [
        round(
            sum(
                scorer.score(other, text)["rougeL"].fmeasure for other in texts if other is not text
            )
            / (len(texts) - 1),
            4,
        )
        for text in texts
    ]
    assert agreements_of(texts) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.usefixtures("empty_project")
def test_the_plan_has_all_answers_and_verdicts() -> None:
    def plan(**source: Any) -> Any:
        config = read_config([], [])
        config["sources"]["alpaca"] |= source
        flow = Workflow(config)
        (found,) = (
            p
            for p in planned_requests(flow, Path("results"))
            if (p.source, p.stage) == ("alpaca", "pairs")
        )
        return flow, found

    flow, one = plan()
    assert "several" not in flow.pair_params("alpaca").as_params()
    assert {"answers_per_query", "best_answer"}.isdisjoint(
        flow.config.as_params()["sources"]["alpaca"]
    )
    _, four = plan(answers_per_query=4)
    assert (four.requests, four.prompt_tokens) == (4 * one.requests, 4 * one.prompt_tokens)
    assert four.completion_tokens == 4 * one.completion_tokens
    flow, judged = plan(answers_per_query=4, best_answer={"by": "judge"})
    assert judged.requests == 8 * one.requests
    assert judged.completion_tokens == four.completion_tokens + 2 * four.requests
    assert judged.prompt_tokens > four.prompt_tokens + 100 * four.requests
    several = flow.pair_params("alpaca").as_params()["several"]
    assert several["protocol"] == "paper"
    assert several["judge"]["max_tokens"] == 8
    assert "several" not in flow.pair_params("original_p3").as_params()


@pytest.mark.usefixtures("empty_project")
def test_greedy_answers_are_refused() -> None:
    config = read_config([], [])
    config["sources"]["alpaca"]["answers_per_query"] = 3
    config["teacher"]["responses"]["sampling"] = {"temperature": 0}
    with pytest.raises(
        SettingsError, match=r"alpaca\.answers_per_query: 3 answers at temperature 0"
    ):
        Workflow(config)
