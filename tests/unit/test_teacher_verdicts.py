"""Refused, broken and unpriced answers in whole sessions, against an endpoint that sends them."""

import logging
import math

import pytest
from batch_endpoint import BatchEndpoint
from fake_endpoint import FakeEndpoint
from test_teacher_client import ask_all, teacher_settings

from lamini.errors import LaminiError
from lamini.teacher.ledger import read_ledger
from lamini.teacher.money import ledger_spending


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """The key of the endpoint."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    monkeypatch.setattr(logging.getLogger("lamini"), "propagate", True)


@pytest.mark.parametrize("first", [0, 150])
def test_refused_prompts_are_kept_and_never_asked_again(tmp_path, first, caplog) -> None:
    """Wherever they are, also as the first of a shard; the others are answered."""
    ledger = tmp_path / "a.ledger.jsonl"

    def fault(prompt: str, attempt: int) -> str | None:
        return "400" if (int(prompt) - first) % 50 == 0 and int(prompt) >= first else None

    with FakeEndpoint(fault=fault, latency=0.01) as endpoint:
        settings = teacher_settings(endpoint)
        answers, _ = ask_all(settings, ledger, 300)
        again, spend = ask_all(settings, ledger, 300)
    refused = [number for number, answer in enumerate(answers) if answer.finish_reason == "refused"]
    assert refused == list(range(first, 300, 50))
    assert all(answer.text for number, answer in enumerate(answers) if number not in refused)
    assert spend.sent == 0
    assert [a.finish_reason for a in again] == [a.finish_reason for a in answers]
    rows = {row["finish_reason"]: row for row in read_ledger(ledger)}
    assert "the endpoint's own words on 400" in rows["refused"]["refusal"]
    assert max(endpoint.asked.values()) == 1
    assert sum("refuses a prompt" in message for message in caplog.messages) == 1


def test_a_last_row_that_is_refused_ends_no_rerun(tmp_path) -> None:
    """Answers of earlier sessions show that the settings are right."""
    ledger = tmp_path / "a.ledger.jsonl"
    with FakeEndpoint(fault=lambda p, a: "400" if p == "9" else None) as endpoint:
        ask_all(teacher_settings(endpoint), ledger, 9)
        answers, spend = ask_all(teacher_settings(endpoint), ledger, 10)
    assert (spend.sent, answers[9].finish_reason) == (1, "refused")


@pytest.mark.parametrize("status", ["403", "404"])
def test_what_a_proxy_may_have_said_is_tried_twice(tmp_path, status) -> None:
    def fault(prompt: str, attempt: int) -> str | None:
        return status if prompt == "7" or (prompt == "5" and attempt == 1) else None

    with FakeEndpoint(fault=fault) as endpoint:
        answers, _ = ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 20)
    assert (answers[5].finish_reason, endpoint.asked["5"]) == ("stop", 2)
    assert (answers[7].finish_reason, endpoint.asked["7"]) == ("refused", 2)


def test_too_many_refusals_end_the_job(tmp_path) -> None:
    with (
        FakeEndpoint(fault=lambda p, a: "400" if int(p) % 3 == 1 else None) as endpoint,
        pytest.raises(LaminiError, match=r"refused \d+ of 4\d prompts.*max_refused_share"),
    ):
        ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 2000)


@pytest.mark.parametrize(
    ("answered", "refused", "too_many"),
    [(32, 8, False), (31, 9, True), (7, 3, False), (0, 39, False), (0, 40, True), (320, 80, False)],
)
@pytest.mark.parametrize("backend", ["external", "batch"])
def test_live_api_and_batches_judge_a_share_of_refusals_alike(
    tmp_path, backend, answered, refused, too_many
) -> None:
    """One rule: more than a fifth of 40 or more prompts; all refusals say that they are certain."""
    fault = "400 context_length_exceeded"
    total = answered + refused

    def refuse(prompt: str, attempt: int) -> str | None:
        return fault if int(prompt) >= answered else None

    ledger = tmp_path / "a.ledger.jsonl"
    server = BatchEndpoint(line=refuse) if backend == "batch" else FakeEndpoint(fault=refuse)
    with server as endpoint:
        settings = teacher_settings(endpoint, backend=backend, batch={"poll_seconds": 0.02})
        if too_many:
            with pytest.raises(LaminiError, match="max_refused_share"):
                ask_all(settings, ledger, total)
        else:
            answers, _ = ask_all(settings, ledger, total)
            assert sum(a.finish_reason == "context_length" for a in answers) == refused


@pytest.mark.parametrize("refused", [range(9), range(31, 40), range(10, 19)])
def test_a_share_of_refusals_is_judged_in_any_order(tmp_path, refused) -> None:
    """Also if judging begins with an answer, the fortieth reply. It is kept, as it is paid."""
    ledger = tmp_path / "a.ledger.jsonl"

    def fault(prompt: str, attempt: int) -> str | None:
        return "400 context_length_exceeded" if int(prompt) in refused else None

    with FakeEndpoint(fault=fault) as endpoint:
        settings = teacher_settings(endpoint, max_concurrency=1)
        with pytest.raises(LaminiError, match=r"refused 9 of 40 prompts.*max_refused_share"):
            ask_all(settings, ledger, 40)
    kept = [row["finish_reason"] for row in read_ledger(ledger)]
    assert kept.count("stop") == 31


def test_a_broken_answer_is_asked_for_once_more_and_both_are_paid(tmp_path) -> None:
    """Prompt 3 is broken once, prompt 5 always; each reply costs 15 tokens."""
    ledger = tmp_path / "a.ledger.jsonl"

    def fault(prompt: str, attempt: int) -> str | None:
        return "broken" if prompt == "5" or (prompt == "3" and attempt == 1) else None

    with FakeEndpoint(fault=fault) as endpoint:
        answers, spend = ask_all(teacher_settings(endpoint), ledger, 8)
    assert (endpoint.asked["3"], endpoint.asked["5"]) == (2, 2)
    assert (answers[3].finish_reason, answers[5].finish_reason) == ("stop", "error")
    assert (spend.prompt_tokens, spend.completion_tokens) == (100, 50)
    spending = ledger_spending(ledger, {}, None)
    assert (spending.answers, spending.prompt_tokens, spending.completion_tokens) == (8, 100, 50)


@pytest.mark.parametrize("fault", ["no_usage", "malformed"])
def test_a_budget_counts_what_the_endpoint_does_not_tell(tmp_path, fault, caplog) -> None:
    """It ends the job near its limit, and a rerun, which reads the ledger, sends nothing more."""
    ledger = tmp_path / "a.ledger.jsonl"

    def faults(prompt: str, attempt: int) -> str | None:
        return fault if fault == "no_usage" or attempt == 1 else None

    with FakeEndpoint(fault=faults) as endpoint:
        settings = teacher_settings(endpoint, budget_tokens=3000, max_concurrency=8)
        with pytest.raises(LaminiError, match="budget is used up"):
            ask_all(settings, ledger, 1000)
        asked = sum(endpoint.asked.values())
        assert asked < 200
        with pytest.raises(LaminiError, match="budget is used up"):
            ask_all(settings, ledger, 1000)
        assert sum(endpoint.asked.values()) <= asked + 40  # requests that were discarded only
    told = [message for message in caplog.messages if "numbers of tokens" in message]
    assert len(told) == (fault == "no_usage")


@pytest.mark.parametrize("pause", ["86400", "inf"])
def test_a_pause_of_a_day_ends_the_job_with_a_message(tmp_path, pause) -> None:
    with (
        FakeEndpoint(fault=lambda p, a: "429", retry_after=pause) as endpoint,
        pytest.raises(LaminiError, match=r"asks to wait .* hours .*run the same command again"),
    ):
        ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 5)


def test_a_slow_answer_delays_no_other(tmp_path) -> None:
    """Requests are read ahead by thousands, not by the concurrency."""
    with FakeEndpoint(fault=lambda p, a: "slow" if p == "30" else None, latency=0.02) as endpoint:
        settings = teacher_settings(endpoint, max_concurrency=8)
        answers, _ = ask_all(settings, tmp_path / "a.ledger.jsonl", 400)
    assert [answer.text for answer in answers[29:31]] == ["answer to 29", "answer to 30"]
    assert endpoint.answered_before_slow >= 300


def test_the_answering_models_price_is_that_of_its_name_without_the_date() -> None:
    from lamini.settings.teacher import Price
    from lamini.teacher.money import price_of

    prices = {"gpt-4": Price(prompt=30, completion=60), "gpt-4o": Price(prompt=3, completion=10)}
    assert price_of("gpt-4-0613", prices) == prices["gpt-4"]
    assert price_of("gpt-4o-2026-01-01", prices) == prices["gpt-4o"]
    assert price_of("gpt-4", prices) == prices["gpt-4"]
    assert price_of("gpt-45", prices) is None


def test_reasoning_models_reserve_their_thoughts() -> None:
    from lamini.teacher.money import most_tokens

    assert most_tokens(b"x" * 30, {"max_completion_tokens": 16_000}) == (10, 16_000)
    assert most_tokens(b"x" * 30, {"max_tokens": 9, "max_completion_tokens": 7}) == (10, 9)
    assert math.isclose(most_tokens(b"x" * 30, {})[1], 1024)
