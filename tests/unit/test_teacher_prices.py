"""Prices of cached prompt tokens and of the answering model, wherever dollars are counted."""

from collections import Counter

import pytest
from fake_endpoint import FakeEndpoint
from test_teacher_client import ask_all, teacher_settings

from lamini.settings.teacher import Price
from lamini.teacher.ledger import read_ledger
from lamini.teacher.money import dollars, ledger_spending, report_spending
from lamini.teacher.report import ShardReport
from lamini.teacher.request import add_paid_tokens, counted_tokens

PRICE = Price(prompt=1000.0, completion=2000.0, cached_prompt=100.0)
CACHED = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 8},
}
DOLLARS = 2 * 0.001 + 8 * 0.0001 + 5 * 0.002
"""Of an answer with the usage `CACHED`."""


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")


def test_cached_prompt_tokens_cost_their_own_price():
    assert dollars(PRICE, 10, 5, cached_tokens=8) == pytest.approx(DOLLARS)
    assert dollars(PRICE, 10, 5, cached_tokens=8, batch=True) == pytest.approx(DOLLARS / 2)
    assert dollars(PRICE, 10, 5) == pytest.approx(0.02)
    without = Price(prompt=1000.0, completion=2000.0)
    assert dollars(without, 10, 5, cached_tokens=8) == dollars(without, 10, 5)
    free = Price(prompt=1000.0, completion=2000.0, cached_prompt=0)
    assert dollars(free, 10, 5, cached_tokens=8) == pytest.approx(0.012)


def test_session_ledger_budget_and_report_count_the_same_dollars(tmp_path):
    ledger = tmp_path / "results" / "pairs" / "some" / "0000.ledger.jsonl"
    with FakeEndpoint(usage=CACHED) as endpoint:
        settings = teacher_settings(endpoint, prices={"m": PRICE.as_params()}, budget_dollars=100.0)
        answers, spend = ask_all(settings, ledger, 20)
    assert spend.dollars == pytest.approx(20 * DOLLARS)
    assert ledger_spending(ledger, settings.prices, None).dollars == pytest.approx(20 * DOLLARS)
    counts: Counter[str] = Counter()
    for answer in answers:
        add_paid_tokens(counts, answer)
    report = ShardReport(
        stage="pairs",
        source="some",
        shard="0000",
        wanted=20,
        accepted=20,
        requests=20,
        finish_reasons={},
        asked_model="m",
        models={},
        **counted_tokens(counts),
    )
    assert report.cached_tokens == 160
    assert report_spending(report, PRICE).dollars == pytest.approx(20 * DOLLARS)


def test_reports_without_cached_tokens_are_what_they_were():
    assert set(counted_tokens(Counter())) == {
        "prompt_tokens",
        "batch_prompt_tokens",
        "completion_tokens",
        "batch_completion_tokens",
    }
    assert "cached_prompt" not in Price(prompt=1, completion=1).as_params()


def test_discarded_replies_are_part_of_the_report(tmp_path):
    with FakeEndpoint(fault=lambda p, a: "broken" if (p, a) == ("3", 1) else None) as endpoint:
        answers, spend = ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 8)
    counts: Counter[str] = Counter()
    for answer in answers:
        add_paid_tokens(counts, answer)
    assert (counts["prompt_tokens"], counts["completion_tokens"]) == (90, 45)
    assert (spend.prompt_tokens, spend.completion_tokens) == (90, 45)


def test_the_answering_model_has_its_own_price_while_the_job_runs(tmp_path):
    """The endpoint answers as `m-answering`."""
    prices = {
        "m": {"prompt": 1000, "completion": 1000},
        "m-answering": {"prompt": 0, "completion": 200},
    }
    ledger = tmp_path / "a.ledger.jsonl"
    with FakeEndpoint() as endpoint:
        settings = teacher_settings(endpoint, prices=prices)
        _, spend = ask_all(settings, ledger, 8)
    assert spend.dollars == pytest.approx(8 * 5 * 200 / 1e6)
    paid = ledger_spending(ledger, settings.prices, settings.prices["m"])
    assert paid.dollars == pytest.approx(spend.dollars)
    assert all("discarded_prompt_tokens" not in row for row in read_ledger(ledger))
