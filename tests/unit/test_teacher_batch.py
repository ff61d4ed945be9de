"""The Batch API against a server with its states and faults: each request is paid for once."""

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import orjson
import pytest
from batch_endpoint import BatchEndpoint

from lamini.errors import LaminiError, StopRequested
from lamini.files import read_json
from lamini.settings.teacher import Sampling, Teacher
from lamini.teacher.ledger import read_ledger
from lamini.teacher.money import ledger_spending
from lamini.teacher.request import chat_request
from lamini.teacher.session import open_teacher

KEY = "sk-secret-of-the-test"
PRICES = {"m": {"prompt": 1000.0, "completion": 1000.0, "batch_share": 0.5}}
DOLLARS = 0.0075
"""Of an answer: 15 tokens at half of the price."""


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def ledger(tmp_path) -> Path:
    return tmp_path / "results" / "pairs" / "some" / "0000.ledger.jsonl"


def prompts(count: int):
    for number in range(count):
        yield chat_request("m", [{"role": "user", "content": str(number)}], Sampling(max_tokens=5))


def ask_all(settings: Teacher, ledger: Path, count: int = 10, job: str = ""):
    with open_teacher(settings, ledger, job=job) as teacher:
        answers = [answer for _, answer in teacher.ask(prompts(count))]
    assert [answer.text for answer in answers] == [f"answer to {n}" for n in range(count)]
    return answers, teacher.spend


def once(fault: str, *operations: str):
    """The fault at the first call of each operation."""
    return lambda operation, number: fault if operation in operations and number == 1 else None


def paid_once(endpoint: BatchEndpoint, count: int = 10) -> bool:
    return endpoint.paid == {str(number): 1 for number in range(count)}


def test_answers_lie_in_the_ledger_as_live_ones_do(tmp_path, ledger):
    with BatchEndpoint() as endpoint:
        settings = endpoint.settings(prices=PRICES)
        answers, spend = ask_all(settings, ledger, job="some/0000")
        live = tmp_path / "live.ledger.jsonl"
        ask_all(settings.model_copy(update={"backend": "external"}), live)
        again, free = ask_all(settings, ledger)
    rows, others = ({row["key"]: row for row in read_ledger(path)} for path in (ledger, live))
    for key, row in rows.items():
        assert row.pop("batch") == "batch_0" and row["request_id"] == f"req-{key}"
        for name in ("request_id", "sent_at"):
            row[name] = others[key][name]
    assert rows == others
    assert paid_once(endpoint) and endpoint.calls["create"] == 1 and endpoint.live == 10
    assert spend.dollars == pytest.approx(10 * DOLLARS) and free.sent == 0
    paid = ledger_spending(ledger, settings.prices, settings.prices["m"])
    assert (paid.answers, paid.dollars) == (10, pytest.approx(10 * DOLLARS))
    assert all(answer.batch == "batch_0" and answer.attempts == 1 for answer in answers + again)
    progress = read_json(ledger.parents[2] / "progress" / "some_0000.json")
    assert (progress["state"], progress["answered"]) == ("done", 10)
    assert progress["ledger_dollars"] == pytest.approx(10 * DOLLARS)


def test_files_keep_to_the_limits_and_go_up_one_after_another(ledger):
    with BatchEndpoint() as endpoint:
        ask_all(endpoint.settings(batch={"requests_per_file": 4}), ledger)
        assert [len(batch["rows"]) for batch in endpoint.batches.values()] == [4, 4, 2]
        sizes = [len(endpoint.files[b["input_file_id"]]) for b in endpoint.batches.values()]
        # A batch is created only when the one before has been accepted.
        created = [n for n, (operation, _) in enumerate(endpoint.history) if operation == "create"]
        for number, place in enumerate(created[1:]):
            assert endpoint.history[:place].count(("look", f"batch_{number}")) >= 2
    with BatchEndpoint() as endpoint:
        settings = endpoint.settings(batch={"megabytes_per_file": sizes[0] / 1e6})
        ask_all(settings, ledger.with_name("1.ledger.jsonl"))
        assert [len(batch["rows"]) for batch in endpoint.batches.values()] == [4, 4, 2]
        tiny = endpoint.settings(batch={"megabytes_per_file": 1e-5})
        with pytest.raises(LaminiError, match="megabytes_per_file"):
            ask_all(tiny, ledger.with_name("2.ledger.jsonl"))


def test_only_failed_requests_of_a_batch_are_sent_again(ledger):
    faults = {"1": "429", "3": "500", "5": "none", "6": "absent", "8": "0"}

    def line(prompt: str, attempt: int) -> str | None:
        return faults.get(prompt) if attempt == 1 else None

    with BatchEndpoint(line=line) as endpoint:
        answers, spend = ask_all(endpoint.settings(), ledger)
    assert paid_once(endpoint) and spend.retries == len(faults)
    assert [len(batch["rows"]) for batch in endpoint.batches.values()] == [10, 5]
    assert [a.attempts for a in answers] == [2 if str(n) in faults else 1 for n in range(10)]


def test_expired_batch_is_paid_for_what_it_answered_and_the_rest_sent_again(ledger):
    fates = ("expired", "expired", "completed")
    with BatchEndpoint(fate=lambda number: fates[number]) as endpoint:
        ask_all(endpoint.settings(), ledger)
    assert paid_once(endpoint)
    assert [len(batch["rows"]) for batch in endpoint.batches.values()] == [10, 5, 3]


def test_request_that_keeps_failing_is_given_up_and_the_others_kept(ledger):
    with (
        BatchEndpoint(line=lambda p, attempt: "500" if p == "3" else None) as endpoint,
        pytest.raises(LaminiError, match=r"in 2 batches .*own words on 500.*max_attempts"),
    ):
        ask_all(endpoint.settings(batch={"max_attempts": 2}), ledger)
    assert len(list(read_ledger(ledger))) == 9 and endpoint.calls["create"] == 2


def test_refused_prompts_are_marked_and_wrong_requests_end_the_job(ledger):
    def too_long(prompt: str, attempt: int) -> str | None:
        return "400 context_length_exceeded" if prompt == "3" else None

    with (
        BatchEndpoint(line=too_long) as endpoint,
        open_teacher(endpoint.settings(), ledger) as teacher,
    ):
        reasons = [answer.finish_reason for _, answer in teacher.ask(prompts(6))]
    assert reasons == ["stop"] * 3 + ["context_length"] + ["stop"] * 2
    other = ledger.with_name("1.ledger.jsonl")
    with (
        BatchEndpoint(line=lambda p, attempt: "400" if int(p) > 34 else None) as endpoint,
        pytest.raises(LaminiError, match=r"15 of 50 requests .* words on 400.*max_refused_share"),
    ):
        ask_all(endpoint.settings(), other, 50)
    assert len(list(read_ledger(other))) == 35 and endpoint.calls["create"] == 1
    wrong = ledger.with_name("3.ledger.jsonl")
    with (
        BatchEndpoint(line=lambda p, attempt: "400") as endpoint,
        pytest.raises(LaminiError, match="10 of 10 requests"),
    ):
        ask_all(endpoint.settings(), wrong)
    assert not list(read_ledger(wrong))
    few = ledger.with_name("2.ledger.jsonl")
    with BatchEndpoint(line=lambda p, attempt: "400" if p == "6" else None) as endpoint:
        settings = endpoint.settings()
        with open_teacher(settings, few) as teacher:
            reasons = [answer.finish_reason for _, answer in teacher.ask(prompts(10))]
    assert reasons == ["stop"] * 6 + ["refused"] + ["stop"] * 3
    assert endpoint.calls["create"] == 1


def test_batch_that_is_turned_down_ends_the_job_with_the_apis_words(ledger, caplog):
    caplog.set_level(logging.DEBUG)
    with BatchEndpoint(fate=lambda number: "model_not_found") as endpoint:
        with pytest.raises(LaminiError, match=r"line 1: the API's own.*model_not") as caught:
            ask_all(endpoint.settings(), ledger)
        assert endpoint.calls["create"] == 1
        endpoint.fate = lambda number: "completed"
        ask_all(endpoint.settings(), ledger)
    assert KEY not in str(caught.value) + caplog.text
    assert KEY not in ledger.with_name("0000.batches.json").read_text()


@pytest.mark.parametrize("status", ["400", "401", "403"])
def test_permanent_errors_of_the_calls_are_reported_at_once(ledger, status):
    with (
        BatchEndpoint(call=lambda operation, number: status) as endpoint,
        pytest.raises(LaminiError, match=f"endpoint's own words on {status}") as caught,
    ):
        ask_all(endpoint.settings(), ledger)
    assert sum(endpoint.calls.values()) == 1 and KEY not in str(caught.value)


def test_full_queue_is_waited_for(ledger):
    with BatchEndpoint(enqueued=110, looks=9) as endpoint:  # a second batch of four does not fit
        ask_all(endpoint.settings(batch={"requests_per_file": 4}), ledger)
    refused = [b for b in endpoint.batches.values() if b["status"] == "failed"]
    assert paid_once(endpoint) and refused
    uploads = {batch["input_file_id"] for batch in endpoint.batches.values()}
    assert len(uploads) == 3  # a file that was refused is used again


@pytest.mark.parametrize("say_limit", [True, False])
def test_batch_that_never_fits_is_made_smaller(ledger, say_limit):
    with BatchEndpoint(enqueued=130, say_limit=say_limit) as endpoint:
        ask_all(endpoint.settings(), ledger, 20)
    assert paid_once(endpoint, 20)


def test_known_token_limit_is_kept_to_without_a_refusal(ledger):
    with BatchEndpoint(enqueued=110, looks=9) as endpoint:
        ask_all(endpoint.settings(batch={"enqueued_tokens": 110}), ledger)
    assert all(batch["status"] == "completed" for batch in endpoint.batches.values())


@pytest.mark.parametrize("fault", ["500", "429", "reset", "malformed"])
def test_temporary_faults_of_every_call_lose_no_answer(ledger, fault):
    def twice(operation: str, number: int) -> str | None:
        return fault if number <= 2 else None

    with BatchEndpoint(call=twice) as endpoint:
        ask_all(endpoint.settings(batch={"poll_seconds": 0.05}), ledger)
    assert paid_once(endpoint)


@pytest.mark.parametrize("operation", ["upload", "create", "look", "content"])
def test_a_lost_reply_is_not_paid_twice(ledger, operation):
    with BatchEndpoint(call=once("lost", operation)) as endpoint:
        ask_all(endpoint.settings(), ledger)
    assert paid_once(endpoint) and endpoint.calls["create"] == 1


@pytest.mark.parametrize("fault", ["cut", "short"])
def test_torn_download_is_fetched_again(ledger, fault):
    with BatchEndpoint(call=once(fault, "content")) as endpoint:
        ask_all(endpoint.settings(), ledger)
    assert paid_once(endpoint) and endpoint.calls["content"] == 2


def test_dead_endpoint_ends_the_job_and_its_batch_is_found_again(ledger):
    with BatchEndpoint(call=lambda op, n: "reset" if op == "look" else None) as endpoint:
        with pytest.raises(LaminiError, match=r"every request failed for .* open batches continue"):
            ask_all(endpoint.settings(down_after=1.0), ledger)
        endpoint.call = lambda operation, number: None
        ask_all(endpoint.settings(), ledger)
    assert paid_once(endpoint) and endpoint.calls["create"] == 1


CLIENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from lamini.settings.teacher import Teacher
from test_teacher_batch import ask_all
ask_all(Teacher.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
"""


def run_client(endpoint: BatchEndpoint, settings: Teacher, ledger: Path) -> int:
    """Ask in a process that the endpoint may kill."""
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, settings.model_dump_json(), str(ledger), here]
    )
    endpoint.victim = process.pid
    return process.wait(60)


@pytest.mark.parametrize(
    ("operation", "number", "fault"),
    [
        ("upload", 1, "kill"),  # nothing has gone up
        ("upload", 1, "kill_after"),  # a file whose id nobody knows
        ("create", 1, "kill"),  # a file, and no batch
        ("create", 1, "kill_after"),  # a batch whose id nobody knows
        ("look", 1, "kill"),  # between creation and acceptance
        ("create", 2, "kill_after"),  # one batch at work, another of unknown id
        ("look", 4, "kill_after"),
        ("content", 1, "kill"),  # the answers are paid, and not here
        ("content", 2, "kill_after"),  # the first batch is in the ledger
    ],
)
def test_a_killed_job_resumes_its_batches(ledger, operation, number, fault):
    killed = []

    def call(name: str, count: int) -> str | None:
        if (name, count) != (operation, number) or killed:
            return None
        killed.append(name)
        return fault

    with BatchEndpoint(call=call) as endpoint:
        settings = endpoint.settings(batch={"requests_per_file": 5})
        assert run_client(endpoint, settings, ledger) == -signal.SIGKILL and killed
        ask_all(settings, ledger)
    assert paid_once(endpoint), endpoint.paid
    assert len(endpoint.batches) == 2
    assert len({row["key"] for row in read_ledger(ledger)}) == len(list(read_ledger(ledger))) == 10
    assert not ledger.with_name("0000.batches").exists()


def test_job_killed_between_the_rows_of_a_batch_keeps_each_once(ledger):
    """As if the kill came after the first rows were on disk, and before the batch was closed."""
    with BatchEndpoint(call=once("404", "content")) as endpoint:
        with pytest.raises(LaminiError, match="404"):
            ask_all(endpoint.settings(), ledger)
        endpoint.call = lambda operation, number: None
        other = ledger.with_name("1.ledger.jsonl")
        ask_all(endpoint.settings(backend="external"), other)
        lines = other.read_bytes().splitlines(keepends=True)
        ledger.write_bytes(b"".join(lines[:4]) + lines[4][:50])
        ask_all(endpoint.settings(), ledger)
    assert paid_once(endpoint) and len(list(read_ledger(ledger))) == 10
    assert endpoint.calls["create"] == 1


def test_input_file_that_was_lost_is_fetched_from_the_endpoint(ledger):
    with BatchEndpoint(call=once("404", "content")) as endpoint:
        with pytest.raises(LaminiError, match="404"):
            ask_all(endpoint.settings(), ledger)
        for path in ledger.with_name("0000.batches").iterdir():
            path.unlink()
        ask_all(endpoint.settings(), ledger)
    assert paid_once(endpoint) and endpoint.calls["create"] == 1


def test_batch_of_other_requests_is_kept_and_not_waited_for_twice(ledger):
    with BatchEndpoint(call=once("404", "content")) as endpoint:
        with pytest.raises(LaminiError):
            ask_all(endpoint.settings(), ledger, 6)
        ask_all(endpoint.settings(), ledger, 10)  # four are new
    assert paid_once(endpoint)
    assert [len(batch["rows"]) for batch in endpoint.batches.values()] == [6, 4]


def test_open_batches_are_not_asked_live(ledger):
    with BatchEndpoint(call=once("404", "content")) as endpoint:
        with pytest.raises(LaminiError):
            ask_all(endpoint.settings(), ledger)
        with pytest.raises(LaminiError, match=r"10 requests .* in 1 open batches; set"):
            ask_all(endpoint.settings(backend="external"), ledger)
        assert endpoint.live == 0
        ask_all(endpoint.settings(), ledger)
        ask_all(endpoint.settings(backend="external"), ledger, 12)
        assert endpoint.live == 2 and paid_once(endpoint)


def test_signal_stops_quickly_and_the_batch_is_found_again(ledger):
    with BatchEndpoint(call=lambda op, n: "503" if op == "content" else None) as endpoint:
        settings = endpoint.settings()
        threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(StopRequested):
            ask_all(settings, ledger)
        endpoint.call = lambda operation, number: None
        ask_all(settings, ledger)
    assert paid_once(endpoint) and endpoint.calls["create"] == 1


def test_budget_counts_batch_prices_and_open_batches_of_other_shards(ledger):
    # The most that a request may cost: some 33 + 5 tokens at half of the price, $0.019.
    with BatchEndpoint() as endpoint:
        settings = endpoint.settings(prices=PRICES, budget_dollars=0.21)
        ask_all(settings, ledger)  # $0.075
        other = ledger.with_name("1.ledger.jsonl")
        with pytest.raises(LaminiError, match="budget_dollars"):
            ask_all(settings, other, 40)
        spent = DOLLARS * endpoint.paid.total()
        assert 0.18 < spent <= 0.21
        ask_all(settings.model_copy(update={"budget_dollars": 10.0}), other, 40)
        assert endpoint.paid.total() == 50 and endpoint.live == 0


@pytest.mark.parametrize("budget", [{"budget_dollars": 5.0}, {"budget_tokens": 10**5}])
def test_a_spent_budget_cancels_open_batches_and_keeps_answers(ledger, monkeypatch, budget):
    """Others spend the rest meanwhile, as their progress files say."""
    monkeypatch.setattr("lamini.teacher.money._REFRESH_SECONDS", 0.0)

    def call(operation: str, number: int) -> str | None:
        if (operation, number) == ("look", 2):
            folder = ledger.parents[2] / "progress"
            folder.mkdir(exist_ok=True)
            told = {"ledger": "elsewhere", "ledger_dollars": 100.0, "ledger_tokens": 10**6}
            (folder / "other.json").write_bytes(orjson.dumps(told))
        return None

    with BatchEndpoint(call=call, looks=50) as endpoint:
        settings = endpoint.settings(prices=PRICES, **budget)
        with pytest.raises(LaminiError, match=f"the budget is used up.*{next(iter(budget))}"):
            ask_all(settings, ledger)
    assert [batch["status"] for batch in endpoint.batches.values()] == ["cancelled"]
    assert endpoint.calls["cancel"] == 1 and endpoint.paid.total() == 5
    assert len(list(read_ledger(ledger))) == 5


def test_progress_shows_states_and_time_left(ledger, caplog):
    caplog.set_level(logging.INFO, logger="lamini")
    seen = []

    def call(operation: str, number: int) -> str | None:
        seen.append(teacher.status())
        return None

    with (
        BatchEndpoint(call=call) as endpoint,
        open_teacher(endpoint.settings(prices=PRICES), ledger) as teacher,
    ):
        list(teacher.ask(prompts(10)))
    assert any("10 in flight" in text and "batches 1 in_progress" in text for text in seen)
    assert "batch batch_0: in_progress, 0 of 10 requests done" in caplog.text
    assert "ETA unknown" in caplog.text and "elapsed" in caplog.text
    assert "batch batch_0: completed, 10 of 10 requests done" in caplog.text


def test_wrong_settings_are_named():
    with BatchEndpoint() as endpoint:
        two = [{"base_url": endpoint.base_url}, {"base_url": endpoint.base_url}]
        for changes, message in (
            ({"endpoints": two}, "needs a single endpoint"),
            ({"batch": {"requests_per_file": 50_001}}, "less than or equal to 50000"),
            ({"batch": {"megabytes_per_file": 201}}, "less than or equal to 200"),
            ({"batch": {"poll_seconds": 0}}, "greater than 0"),
        ):
            with pytest.raises(ValueError, match=message):
                endpoint.settings(**changes)
