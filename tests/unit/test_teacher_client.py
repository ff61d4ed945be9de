"""The client against an endpoint with faults and limits: each request answered once, in order."""

import asyncio
import itertools
import logging
import os
import signal
import socket
import sys
import threading
import time
from hashlib import blake2b
from pathlib import Path

import aiohttp
import openai
import pytest
import uvloop
from fake_endpoint import FakeEndpoint

from lamini.errors import LaminiError, StopRequested
from lamini.files import write_json
from lamini.settings.endpoints import Endpoint
from lamini.settings.teacher import Sampling, Teacher
from lamini.teacher import live, session
from lamini.teacher.dispatch import Dispatcher
from lamini.teacher.ledger import read_ledger
from lamini.teacher.request import Request, chat_request
from lamini.teacher.session import open_teacher

KEY = "sk-secret-of-the-test"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def teacher_settings(endpoint: FakeEndpoint, **changes) -> Teacher:
    values = {
        "model": "m",
        "endpoints": [{"base_url": endpoint.base_url}],
        "responses": {"system_message": "Be brief."},
        "max_concurrency": 32,
        "timeout": 60.0,  # far above any pause of a loaded machine: a timeout sends again
        "jobs": 1,
    }
    return Teacher.model_validate(values | changes)


def prompts(count: int, **sampling):
    for number in range(count):
        yield chat_request("m", [{"role": "user", "content": str(number)}], Sampling(**sampling))


def ask_all(settings: Teacher, ledger: Path, count: int, look_ahead: int | None = None):
    with open_teacher(settings, ledger) as teacher:
        answers = [answer for _, answer in teacher.ask(prompts(count), look_ahead)]
    return answers, teacher.spend


def mixed_faults(prompt: str, attempt: int) -> str | None:
    """429 5 %, 500 5 %, resets and cuts 2 %, malformed 1 %, hangs 1 %, empty 1 %; by hash."""
    draw = blake2b(f"{prompt}/{attempt}".encode(), digest_size=4).digest()
    share = int.from_bytes(draw, "big") / 2**32 * 100
    for fault, most in (
        ("429", 5),
        ("500", 10),
        ("reset", 11),
        ("cut", 12),
        ("malformed", 13),
        ("hang", 14),
        ("no_choices", 14.5),
        ("error_in_200", 15),
    ):
        if share < most:
            return fault
    return None


def test_requests_equal_those_of_the_openai_package(tmp_path, monkeypatch):
    sampling = Sampling(
        temperature=0.7, top_p=0.9, max_tokens=20, extra_body={"min_p": 0.1, "grammar": 'r ::= "é"'}
    )
    messages = [{"role": "system", "content": "Kürze!"}, {"role": "user", "content": "hi\u2028x"}]
    with FakeEndpoint(record=True) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url + "/")
        monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
        monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")

        async def theirs():
            async with openai.AsyncOpenAI() as client:
                await client.chat.completions.create(
                    model="m",
                    messages=messages,
                    temperature=0.7,
                    top_p=0.9,
                    max_tokens=20,
                    seed=7,
                    extra_body=sampling.extra_body,
                )

        asyncio.run(theirs())
        settings = teacher_settings(endpoint, endpoints=[{"base_url": None}])
        with open_teacher(settings, tmp_path / "a.ledger.jsonl") as teacher:
            list(teacher.ask([chat_request("m", messages, sampling, seed=7)]))
    their, our = endpoint.requests
    assert (our["method"], our["path"], our["body"]) == tuple(
        their[name] for name in ("method", "path", "body")
    )
    lower = [{name.lower(): value for name, value in r["headers"].items()} for r in (their, our)]
    for name in (
        "authorization",
        "content-type",
        "accept",
        "openai-organization",
        "openai-project",
    ):
        assert lower[0][name] == lower[1][name], name


@pytest.mark.parametrize(
    "fault",
    [
        "429",
        "500",
        "503",
        "409",
        "408",
        "reset",
        "cut",
        "malformed",
        "hang",
        "no_choices",
        "error_in_200",
    ],
)
def test_passing_fault_costs_one_more_attempt(tmp_path, fault):
    def first_of_three(prompt: str, attempt: int) -> str | None:
        return fault if int(prompt) % 3 == 0 and attempt == 1 else None

    with FakeEndpoint(fault=first_of_three, retry_after="0.05") as endpoint:
        settings = teacher_settings(endpoint, timeout=1.0 if fault == "hang" else 60.0)
        answers, spend = ask_all(settings, tmp_path / "a.ledger.jsonl", 12)
    assert [answer.text for answer in answers] == [f"answer to {n}" for n in range(12)]
    assert [answer.attempts for answer in answers] == [2 if n % 3 == 0 else 1 for n in range(12)]
    assert all(count == 1 for count in endpoint.paid.values())
    assert spend.retries == 4 and spend.sent == 16
    assert spend.rate_limited == (4 if fault == "429" else 0)


def test_each_attempt_has_the_whole_timeout(tmp_path):
    """One timer serves all requests; here each hangs once, one after another."""

    def first(prompt: str, attempt: int) -> str | None:
        return "hang" if attempt == 1 else None

    with FakeEndpoint(fault=first) as endpoint:
        settings = teacher_settings(endpoint, timeout=0.5, max_concurrency=1)
        started = time.monotonic()
        answers, spend = ask_all(settings, tmp_path / "a.ledger.jsonl", 3)
        seconds = time.monotonic() - started
    assert [answer.attempts for answer in answers] == [2, 2, 2]
    assert (spend.sent, spend.retries) == (6, 3)
    assert seconds > 3 * 0.5


def test_retries_wait_twice_as_long_each_time(tmp_path, monkeypatch):
    waits = []

    class Loop(uvloop.Loop):
        def call_later(self, delay, callback, *arguments, context=None):
            if getattr(callback, "__func__", None) is Dispatcher._again:
                waits.append(delay)
                delay = 0
            return super().call_later(delay, callback, *arguments, context=context)

    monkeypatch.setattr("uvloop.new_event_loop", Loop)
    monkeypatch.setattr("lamini.teacher.dispatch.random.uniform", lambda low, high: low + high)
    with FakeEndpoint(fault=lambda _, attempt: "malformed" if attempt < 10 else None) as endpoint:
        answers, spend = ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 1)
    # From 0.25 s on, doubled with each failure, a minute at most; times 0.5 to 1.5 at random.
    assert waits == [2 * wait for wait in (0.5, 1, 2, 4, 8, 16, 32, 60, 60)]
    assert (answers[0].attempts, spend.sent) == (10, 10)


@pytest.mark.parametrize("count", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_all_faults_together_lose_no_answer(tmp_path, count):
    if count > 1000 and not os.environ.get("LAMINI_SLOW_TESTS"):
        pytest.skip("takes minutes; set LAMINI_SLOW_TESTS=1")
    with FakeEndpoint(fault=mixed_faults, retry_after="0.02", latency=0.01) as endpoint:
        settings = teacher_settings(endpoint, max_concurrency=128, timeout=1)
        answers, _ = ask_all(settings, tmp_path / "a.ledger.jsonl", count, look_ahead=2000)
    assert [answer.text for answer in answers] == [f"answer to {n}" for n in range(count)]
    assert endpoint.paid == {str(number): 1 for number in range(count)}
    rows = [row["text"] for row in read_ledger(tmp_path / "a.ledger.jsonl")]
    assert sorted(rows) == sorted(answer.text for answer in answers)


def test_null_content_is_an_empty_answer(tmp_path):
    with FakeEndpoint(fault=lambda prompt, attempt: "null") as endpoint:
        answers, _ = ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 2)
    assert [(answer.text, answer.finish_reason) for answer in answers] == [("", "stop")] * 2


@pytest.mark.parametrize(("status", "asked"), [("400", 3), ("401", 1), ("403", 3), ("404", 3)])
def test_permanent_errors_quote_the_endpoint(tmp_path, status, asked, caplog):
    """Statuses that may concern a single prompt end the job after three prompts, each sent once."""
    caplog.set_level(logging.DEBUG)
    with (
        FakeEndpoint(fault=lambda prompt, attempt: status) as endpoint,
        pytest.raises(LaminiError, match=f"endpoint's own words on {status}") as caught,
    ):
        ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 50)
    assert list(endpoint.asked.values()) == [1] * asked
    assert KEY not in str(caught.value) + caplog.text


def test_refused_prompt_is_marked_and_the_others_go_on(tmp_path):
    def too_long(prompt: str, attempt: int) -> str | None:
        return "400 context_length_exceeded" if prompt == "3" else None

    with FakeEndpoint(fault=too_long) as endpoint:
        settings = teacher_settings(endpoint)
        answers, _ = ask_all(settings, tmp_path / "a.ledger.jsonl", 6)
        again, spend = ask_all(settings, tmp_path / "a.ledger.jsonl", 6)
    assert [answer.finish_reason for answer in answers].index("context_length") == 3
    assert again[3].text == "" and spend.sent == 0


def test_used_up_quota_ends_the_job(tmp_path):
    with (
        FakeEndpoint(fault=lambda prompt, attempt: "429 insufficient_quota") as endpoint,
        pytest.raises(LaminiError, match="add credit"),
    ):
        ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 5)


def test_key_is_in_no_message_even_when_the_transport_raises_it(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)

    def leak(self, *arguments, headers, **more):
        raise RuntimeError(f"could not send {headers}")

    monkeypatch.setattr(aiohttp.ClientSession, "post", leak)
    with FakeEndpoint() as endpoint, pytest.raises(LaminiError) as caught:
        ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 1)
    assert "could not send" in caplog.text
    assert KEY not in caplog.text + str(caught.value)
    assert KEY not in (tmp_path / "a.ledger.jsonl").read_text()


@pytest.mark.parametrize("in_url", [True, False])
def test_a_gateway_gets_its_headers_and_its_query(tmp_path, monkeypatch, in_url, caplog):
    """Also if the query is part of the base URL; the key of a header comes from the environment."""
    monkeypatch.setenv("GATEWAY_KEY", "gateway-secret")
    with FakeEndpoint(record=True, fault=lambda p, a: "401" if p == "1" else None) as endpoint:
        query = {"api-version": "2026-01-01"}
        one = {
            "base_url": endpoint.base_url + ("?api-version=2026-01-01" if in_url else ""),
            "query": {} if in_url else query,
            "headers": {"api-key": "${GATEWAY_KEY}", "X-Team": "nlp"},
        }
        settings = teacher_settings(endpoint, endpoints=[one])
        with pytest.raises(LaminiError) as caught:
            ask_all(settings, tmp_path / "a.ledger.jsonl", 2)
    first = endpoint.requests[0]
    assert first["path"] == "/v1/chat/completions?api-version=2026-01-01"
    assert (first["headers"]["api-key"], first["headers"]["X-Team"]) == ("gateway-secret", "nlp")
    assert "gateway-secret" not in str(caught.value) + caplog.text
    monkeypatch.delenv("GATEWAY_KEY")
    with pytest.raises(LaminiError, match=r"GATEWAY_KEY .*header api-key"):
        ask_all(settings, tmp_path / "b.ledger.jsonl", 1)


def test_a_pasted_header_key_is_refused_without_being_shown():
    with pytest.raises(ValueError, match="api-key must come from the environment") as caught:
        Endpoint.model_validate({"headers": {"api-key": "pasted-secret", "X-Team": "nlp"}})
    assert "pasted-secret" not in str(caught.value).split("[type=")[0]


def test_missing_and_unusable_keys_are_named(tmp_path, monkeypatch):
    with FakeEndpoint() as endpoint:
        monkeypatch.setenv("OPENAI_API_KEY", "")
        with pytest.raises(LaminiError, match="OPENAI_API_KEY"):
            ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 1)
        monkeypatch.setenv("OPENAI_API_KEY", "geheim\nX-Evil: 1")
        with pytest.raises(LaminiError, match="OPENAI_API_KEY") as caught:
            ask_all(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl", 1)
    assert "geheim" not in str(caught.value)


def test_the_first_failure_of_an_endpoint_is_told_at_once_and_later_ones_rarely(tmp_path, caplog):
    fails = {"3", "6", "9"}
    with FakeEndpoint(fault=lambda p, a: "500" if p in fails and a == 1 else None) as endpoint:
        ask_all(teacher_settings(endpoint, down_after=90), tmp_path / "a.ledger.jsonl", 12)
    told = [message for message in caplog.messages if "trying again" in message]
    assert len(told) == 1
    assert f":{endpoint.port}/" in told[0] and " 500" in told[0] and "sk-secret" not in told[0]
    assert told[0].endswith("; trying again, for up to 90 s without a good answer")


def test_dead_endpoint_ends_the_job_with_a_message(tmp_path):
    with FakeEndpoint() as endpoint:
        settings = teacher_settings(endpoint, down_after=1.0)
    started = time.monotonic()
    last = r"\(last: cannot connect: Connection refused\)"
    with pytest.raises(LaminiError, match=f"no good answer for 1 s {last}"):
        ask_all(settings, tmp_path / "a.ledger.jsonl", 100)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("backend", ["external", "batch"])
def test_an_unknown_host_ends_the_job_at_once(tmp_path, backend, monkeypatch):
    unknown = [{"base_url": "http://teacher.invalid/v1"}]  # RFC 2606: resolves nowhere
    with FakeEndpoint() as endpoint:
        settings = teacher_settings(endpoint, endpoints=unknown, backend=backend)
    failing_resolver(monkeypatch, socket.EAI_NONAME)
    started = time.monotonic()
    with pytest.raises(LaminiError, match=r"host name is unknown; correct base_url"):
        ask_all(settings, tmp_path / "a.ledger.jsonl", 100)
    assert time.monotonic() - started < 5


def test_a_name_server_that_fails_for_a_moment_is_asked_again(tmp_path, monkeypatch):
    with FakeEndpoint() as endpoint:
        url = endpoint.base_url.replace("127.0.0.1", "localhost")
        settings = teacher_settings(endpoint, endpoints=[{"base_url": url}])
        failing_resolver(monkeypatch, socket.EAI_AGAIN, times=2)
        answers, spend = ask_all(settings, tmp_path / "a.ledger.jsonl", 5)
    assert (len(answers), spend.retries) == (5, 2)


def failing_resolver(monkeypatch, errno: int, times: int = sys.maxsize) -> None:
    """Resolve no host name, for the first `times` times."""
    resolve, calls = aiohttp.ThreadedResolver.resolve, itertools.count()

    def fail(*arguments, **keywords):
        raise socket.gaierror(errno, "of the test")

    async def resolve_later(*arguments, **keywords):
        return fail() if next(calls) < times else await resolve(*arguments, **keywords)

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve_later)
    if times == sys.maxsize:  # the `openai` package has a resolver of its own
        monkeypatch.setattr(socket, "getaddrinfo", fail)


def test_request_that_keeps_failing_ends_the_job(tmp_path):
    with FakeEndpoint(
        fault=lambda prompt, attempt: "500" if prompt == "5" else None, latency=0.02
    ) as endpoint:
        settings = teacher_settings(endpoint, max_attempts=3, max_concurrency=4)
        with pytest.raises(LaminiError, match="failed 3 times") as caught:
            ask_all(settings, tmp_path / "a.ledger.jsonl", 2000, look_ahead=2000)
    assert endpoint.asked["5"] == 3 and KEY not in str(caught.value)


def test_one_of_two_endpoints_dead_and_weights(tmp_path):
    with FakeEndpoint(latency=0.01) as light, FakeEndpoint(latency=0.01) as heavy:
        with FakeEndpoint() as dead:
            pass
        both = [
            {"base_url": light.base_url, "weight": 1},
            {"base_url": heavy.base_url, "weight": 3},
        ]
        settings = teacher_settings(light, endpoints=both)
        ask_all(settings, tmp_path / "a.ledger.jsonl", 400)
        shares = sum(light.paid.values()), sum(heavy.paid.values())
        assert sum(shares) == 400 and 2 < shares[1] / shares[0] < 4
        settings = teacher_settings(light, endpoints=[both[0], {"base_url": dead.base_url}])
        answers, _ = ask_all(settings, tmp_path / "b.ledger.jsonl", 100)
    assert len(answers) == 100


@pytest.mark.parametrize("say_limit", [True, False])
def test_paced_to_the_limit(tmp_path, say_limit):
    with FakeEndpoint(per_minute=6000, say_limit=say_limit, latency=0.02) as endpoint:
        settings = teacher_settings(
            endpoint, requests_per_minute=None if say_limit else 6000, max_concurrency=100
        )
        started = time.monotonic()
        answers, spend = ask_all(settings, tmp_path / "a.ledger.jsonl", 300)
    assert len(answers) == 300
    assert spend.rate_limited <= 3
    assert time.monotonic() - started < 3.0 / 0.9 + 0.5


def test_finds_an_undeclared_limit_without_losing_requests(tmp_path):
    with FakeEndpoint(per_minute=6000, retry_after="0.1", latency=0.02) as endpoint:
        settings = teacher_settings(endpoint, max_concurrency=100)
        answers, spend = ask_all(settings, tmp_path / "a.ledger.jsonl", 300)
    assert len(answers) == 300 and spend.rate_limited < 3 * 300


def test_limits_are_shared_by_jobs(tmp_path):
    with FakeEndpoint() as endpoint:
        settings = teacher_settings(endpoint, requests_per_minute=6000, jobs=4)
        started = time.monotonic()
        ask_all(settings, tmp_path / "a.ledger.jsonl", 50)
    assert time.monotonic() - started > 50 / 25 * 0.8


@pytest.mark.parametrize(("others", "least", "most"), [(0, 2.5, 4.5), (1, 4.5, 7.0)])
def test_limits_are_shared_by_the_jobs_that_run(tmp_path, monkeypatch, others, least, most):
    """300 requests at 100 per second: a quarter of it for 0.5 s, then a share by running jobs."""
    monkeypatch.setattr(live, "SHARE_SECONDS", 0.5)
    progress = tmp_path / "results/progress"
    now = {"state": "running", "updated": time.time() + 20, "ledger": "another"}
    for number in range(others):
        write_json(progress / f"{number}.json", now)
    write_json(progress / "done.json", now | {"state": "done"})
    write_json(progress / "lost.json", now | {"updated": time.time() - 3600})
    with FakeEndpoint() as endpoint:
        settings = teacher_settings(endpoint, requests_per_minute=6000, jobs=4)
        started = time.monotonic()
        ask_all(settings, tmp_path / "results/pairs/a.ledger.jsonl", 300)
    assert least < time.monotonic() - started < most


def test_tokens_per_minute_are_limited_by_the_used_tokens(tmp_path):
    with FakeEndpoint() as endpoint:  # each answer takes 15 tokens
        settings = teacher_settings(endpoint, tokens_per_minute=60 * 600, max_concurrency=4)
        started = time.monotonic()
        with open_teacher(settings, tmp_path / "a.ledger.jsonl") as teacher:
            list(teacher.ask(prompts(80, max_tokens=20)))
    assert 1.5 < time.monotonic() - started < 5


def test_requests_are_pulled_lazily_and_in_step_with_answers(tmp_path):
    pulled = []

    def lazily():
        for request in prompts(1000):
            pulled.append(request)
            yield request

    with FakeEndpoint() as endpoint:
        settings = teacher_settings(endpoint, max_concurrency=8)
        with open_teacher(settings, tmp_path / "a.ledger.jsonl") as teacher:
            answers = teacher.ask(lazily(), look_ahead=8)
            for number, _ in enumerate(answers, start=1):
                assert len(pulled) == 8 + number - 1
                if number == 40:
                    break
            answers.close()
        assert sum(endpoint.asked.values()) <= 48
        assert endpoint.most_at_once <= 8


def test_equal_requests_are_sent_once_and_samples_apart(tmp_path):
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    wanted = [Request(body), Request(body), Request(body, sample=1)] * 20
    with (
        FakeEndpoint() as endpoint,
        open_teacher(teacher_settings(endpoint), tmp_path / "a.ledger.jsonl") as teacher,
    ):
        answers = list(teacher.ask(wanted))
    assert len(answers) == 60 and endpoint.asked["x"] == 2
    assert Request(body).key == Request(dict(reversed(body.items()))).key != Request(body, 1).key


def test_closing_early_cancels_pending_requests(tmp_path):
    with FakeEndpoint(latency=0.2) as endpoint:
        settings = teacher_settings(endpoint, max_concurrency=4)
        with open_teacher(settings, tmp_path / "a.ledger.jsonl") as teacher:
            for _ in teacher.ask(prompts(100)):
                break
            time.sleep(0.1)
            assert teacher.in_flight == 0
            assert [answer.text for _, answer in teacher.ask(prompts(3))][2] == "answer to 2"


@pytest.mark.parametrize(
    ("budget", "least", "most"),
    [({"budget_dollars": 1.0}, 60, 66), ({"budget_tokens": 1000, "prices": {}}, 60, 66)],
    ids=["dollars", "tokens"],
)
def test_a_spent_budget_stops_the_job_and_a_raised_one_resumes_it(tmp_path, budget, least, most):
    # An answer takes 10 + 5 tokens: $0.015. Three ledgers of one run share the budget.
    price = {"m": {"prompt": 1000.0, "completion": 1000.0}}
    folder = tmp_path / "results" / "pairs"
    name, limit = next(iter(budget.items()))
    with FakeEndpoint() as endpoint:
        settings = teacher_settings(endpoint, **{"prices": price, **budget})

        def ask(ledger: str, count: int, settings: Teacher) -> None:
            with open_teacher(settings, folder / ledger) as teacher:
                list(teacher.ask(prompts(count, max_tokens=5)))

        ask("a.ledger.jsonl", 20, settings)
        with pytest.raises(LaminiError, match=name):
            ask("b.ledger.jsonl", 100, settings)
        assert least < sum(endpoint.paid.values()) <= most
        with pytest.raises(LaminiError, match=name):
            ask("b.ledger.jsonl", 100, settings)
        assert least < sum(endpoint.paid.values()) <= most
        ask("b.ledger.jsonl", 100, settings.model_copy(update={name: 10 * limit}))
        assert sum(endpoint.paid.values()) == 120


def test_an_interrupt_stops_quickly_and_keeps_received_answers(tmp_path):
    # A shell's background job ignores SIGINT; without this it would wait there for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with FakeEndpoint(fault=lambda p, a: "hang" if int(p) >= 20 else None) as endpoint:
        settings = teacher_settings(endpoint)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ask_all(settings, tmp_path / "a.ledger.jsonl", 100)
        assert time.monotonic() - started < 2
    assert len(list(read_ledger(tmp_path / "a.ledger.jsonl"))) == 20


def test_sigterm_keeps_all_answers_that_are_paid(tmp_path, monkeypatch):
    """A cluster sends it before it kills a job: answers in flight arrive, hung ones do not."""
    monkeypatch.setattr(session, "_DRAIN_SECONDS", 3.0)
    with FakeEndpoint(fault=lambda p, a: "hang" if p == "3" else None, latency=0.4) as endpoint:
        settings = teacher_settings(endpoint, max_concurrency=64)
        stopped = []

        def stop_once_answers_arrive() -> None:
            while sum(endpoint.paid.values()) <= 64:
                time.sleep(0.05)
            stopped.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=stop_once_answers_arrive).start()
        with pytest.raises(StopRequested):
            ask_all(settings, tmp_path / "a.ledger.jsonl", 5000)
        assert time.monotonic() - stopped[0] < 8
    kept = len(list(read_ledger(tmp_path / "a.ledger.jsonl")))
    assert kept == sum(endpoint.paid.values()) > 64


def test_status_shows_requests_and_spending(tmp_path):
    with FakeEndpoint(fault=lambda p, a: "429" if a == 1 else None, retry_after="0.01") as endpoint:
        settings = teacher_settings(endpoint, prices={"m": {"prompt": 1000, "completion": 1000}})
        with open_teacher(
            settings, tmp_path / "results" / "x" / "a.ledger.jsonl", job="g a/0"
        ) as t:
            list(t.ask(prompts(10)))
            status = t.status()
    assert "10 times 429" in status and "$0.1500" in status and "in flight of" in status
    progress = (tmp_path / "results" / "progress" / "g_a_0.json").read_text()
    assert '"state": "done"' in progress and '"answered": 10' in progress
