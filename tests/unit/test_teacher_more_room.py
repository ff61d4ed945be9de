"""Truncated and empty answers are requested once more, with a higher limit, and no others."""

import itertools
from collections import Counter

import pytest
from batch_endpoint import BatchEndpoint
from pydantic import ValidationError

from lamini.errors import LaminiError
from lamini.settings.teacher import InstructionRequests, MoreRoom, ResponseRequests, Sampling
from lamini.teacher.completions import lacks_room
from lamini.teacher.ledger import read_ledger
from lamini.teacher.packing import pack_ledger
from lamini.teacher.request import add_paid_tokens, chat_request
from lamini.teacher.session import open_teacher

ROOM = MoreRoom(factor=2, most=8)
PRICES = {"m": {"prompt": 1000.0, "completion": 1000.0}}
SHORT = {"3": ("half", "length"), "5": ("", "stop")}
"""Answers to the requests with the lower limit, by prompt."""


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "results" / "pairs" / "some" / "0000.ledger.jsonl"


def write(body):
    prompt = body["messages"][-1]["content"]
    if body["max_tokens"] == 5 and prompt in SHORT:
        return SHORT[prompt]
    return f"answer to {prompt} in {body['max_tokens']}", "stop"


def ask(settings, ledger, room=ROOM, count=8):
    requests = (
        chat_request(
            "m", [{"role": "user", "content": str(n)}], Sampling(max_tokens=5), more_room=room
        )
        for n in range(count)
    )
    with open_teacher(settings, ledger, job="some/0000") as teacher:
        answers = [answer for _, answer in teacher.ask(requests)]
    return answers, teacher.spend


WHOLE = [f"answer to {n} in {8 if str(n) in SHORT else 5}" for n in range(8)]


@pytest.mark.parametrize("backend", ["external", "batch"])
@pytest.mark.parametrize("switched_on_later", [False, True])
def test_short_answers_get_one_more_request_and_nothing_else_is_paid_again(
    ledger, backend, switched_on_later
):
    with BatchEndpoint(write=write) as endpoint:
        settings = endpoint.settings(backend=backend, prices=PRICES)
        if switched_on_later:
            answers, _ = ask(settings, ledger, room=None)
            assert [a.text for a in answers] == [
                SHORT[str(n)][0] if str(n) in SHORT else WHOLE[n] for n in range(8)
            ]
            pack_ledger(ledger)
        answers, spend = ask(settings, ledger)
        assert [answer.text for answer in answers] == WHOLE
        assert spend.sent == (2 if switched_on_later else 10) and spend.with_more_room == 2
        assert spend.dollars == pytest.approx(spend.sent * 0.015 / (1 + (backend == "batch")))
        if backend == "batch":
            sizes = [len(batch["rows"]) for batch in endpoint.batches.values()]
            assert sizes == [8, 2]
        again, free = ask(settings, ledger)
        replayed, _ = ask(settings.model_copy(update={"mode": "replay"}), ledger)
    assert (free.sent, [a.text for a in again]) == (0, WHOLE)
    assert [a.text for a in replayed] == WHOLE
    rows = list(read_ledger(ledger))
    assert len({row["key"] for row in rows}) == len(rows) == 10
    assert sorted(row["text"] for row in rows) == sorted([*WHOLE, "half", ""])


def test_the_report_counts_the_tokens_of_both_answers(ledger):
    counts: Counter[str] = Counter()
    with BatchEndpoint(write=write) as endpoint:
        ask(endpoint.settings(backend="external"), ledger, room=None)
        answers, _ = ask(endpoint.settings(backend="batch"), ledger)
    for answer in answers:
        add_paid_tokens(counts, answer)
    assert (counts["prompt_tokens"], counts["completion_tokens"]) == (100, 50)
    assert (counts["batch_prompt_tokens"], counts["batch_completion_tokens"]) == (20, 10)


@pytest.mark.parametrize(
    ("second", "used"),
    [
        (("whole", "stop"), "whole"),
        (("longer half", "length"), "longer half"),
        (("", "stop"), "half"),
    ],
)
def test_the_newest_usable_answer_counts_and_is_final(ledger, second, used):
    def short(body):
        return ("half", "length") if body["max_tokens"] == 5 else second

    with BatchEndpoint(write=short) as endpoint:
        settings = endpoint.settings(backend="external")
        (answer,), spend = ask(settings, ledger, count=1)
        (again,), free = ask(settings, ledger, count=1)
    assert (answer.text, again.text, spend.sent, free.sent) == (used, used, 2, 0)
    assert answer.unused and {answer.text, answer.unused.text} == {"half", second[0]}
    row = next(row for row in read_ledger(ledger) if row["text"] == used)
    assert answer.key == row["key"]


def test_a_second_request_that_is_refused_leaves_the_first_answer(ledger):
    def line(prompt, attempt):
        return "400 context_length_exceeded" if (prompt, attempt) == ("3", 2) else None

    with BatchEndpoint(write=write, line=line) as endpoint:
        answers, _ = ask(endpoint.settings(), ledger)
    assert (answers[3].text, answers[3].finish_reason) == SHORT["3"]
    assert answers[3].unused and answers[3].unused.finish_reason == "context_length"
    assert answers[5].text == WHOLE[5]


def test_a_budget_reserves_the_second_request(ledger):
    """Eight answers cost 120 tokens; a second request may cost 24 + 8 more."""
    with BatchEndpoint(write=write) as endpoint:
        settings = endpoint.settings(backend="external", budget_tokens=140, max_concurrency=1)
        with pytest.raises(LaminiError, match="budget is used up: 120 of 140 tokens"):
            ask(settings, ledger)
        answers, spend = ask(settings.model_copy(update={"budget_tokens": 170}), ledger)
    assert ([answer.text for answer in answers], spend.sent) == (WHOLE, 2)


def test_equal_requests_share_both_answers(ledger):
    request = chat_request(
        "m", [{"role": "user", "content": "3"}], Sampling(max_tokens=5), more_room=ROOM
    )
    with BatchEndpoint(write=write) as endpoint:
        settings = endpoint.settings(backend="external")
        with open_teacher(settings, ledger) as teacher:
            answers = [answer.text for _, answer in teacher.ask(itertools.repeat(request, 3))]
        assert (answers, teacher.spend.sent) == ([WHOLE[3]] * 3, 2)


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "max_output_tokens", "model_length"])
@pytest.mark.parametrize("text", ["", "half"])
def test_the_limit_has_many_names(text, reason):
    assert lacks_room(text, reason)


@pytest.mark.parametrize(
    ("text", "reason", "lacks"),
    [
        ("", "stop", True),
        (" \n", "end_turn", True),
        ("", "", True),  # no finish reason
        ("whole", "stop", False),
        ("whole", "", False),
        ("", "content_filter", False),
        ("", "context_length", False),
        ("", "refused", False),
        ("", "no_choices", False),  # requested twice already
        ("", "tool_calls", False),
    ],
)
def test_an_empty_answer_lacks_room_unless_it_has_another_reason(text, reason, lacks):
    assert lacks_room(text, reason) is lacks


def test_the_second_limit_is_the_raised_first_one_under_the_name_that_was_sent():
    def second(room, **sampling):
        body = chat_request("m", [], Sampling(**sampling), more_room=room).more_room.body
        return {name: value for name, value in body.items() if name.startswith("max")}

    assert second(MoreRoom(), max_tokens=10) == {"max_tokens": 20}
    assert second(MoreRoom(factor=1.5), max_tokens=3) == {"max_tokens": 4}
    assert second(ROOM, max_tokens=5) == {"max_tokens": 8}
    extra = {"max_completion_tokens": 7}
    assert second(MoreRoom(), extra_body=extra) == {"max_completion_tokens": 14}
    assert second(ROOM, max_tokens=9, extra_body=extra) == {
        "max_tokens": 9,  # above `most` already
        "max_completion_tokens": 8,
    }


@pytest.mark.parametrize("requests", [InstructionRequests, ResponseRequests])
@pytest.mark.parametrize(
    ("sampling", "room"),
    [({}, {}), ({"max_tokens": 8}, {"most": 8}), ({"max_tokens": 1}, {"factor": 1.5})],
)
def test_settings_without_a_limit_to_raise_are_refused(requests, sampling, room):
    values = {"sampling": sampling, "more_room": room}
    if requests is ResponseRequests:
        values["system_message"] = "Be brief."
    with pytest.raises(ValidationError, match=r"`more_room` raises no limit"):
        requests.model_validate(values)


def test_results_that_are_older_than_the_setting_stay_up_to_date():
    assert "more_room" not in ResponseRequests(system_message="x").as_params()
    assert "more_room" not in InstructionRequests().as_params()
    limited = Sampling(max_tokens=5)
    assert InstructionRequests(sampling=limited, more_room=ROOM).as_params()["more_room"] == {
        "factor": 2.0,
        "most": 8,
    }
