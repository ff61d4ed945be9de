"""A local teacher that is a command: it starts, answers, and leaves no process behind."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lamini.errors import LaminiError
from lamini.settings.teacher import Sampling, Teacher
from lamini.teacher.ledger import read_ledger
from lamini.teacher.request import Request, chat_request
from lamini.teacher.server import check_local
from lamini.teacher.session import open_teacher

HERE = Path(__file__).parent
STAND_IN = str(HERE / "stand_in_server.py")
MARK = "LAMINI_STARTED_BY_TEST"


def settings(*more: str, **server: object) -> Teacher:
    """A teacher whose server is the stand-in; `more` are arguments after the port."""
    command = [sys.executable, STAND_IN, "{name}", "{port}", *(more or ("0",))]
    fields = {
        "model_path": "some/m",
        "revision": "0" * 40,
        "command": command,
        "key_variable": "STAND_IN_KEY",
    }
    return Teacher.model_validate(
        {
            "model": "m",
            "backend": "local",
            "server": fields | server,
            "max_concurrency": 8,
            "responses": {"system_message": ""},
        }
    )


def questions(count: int) -> list[Request]:
    return [
        chat_request("m", [{"role": "user", "content": str(n)}], Sampling()) for n in range(count)
    ]


def processes() -> list[psutil.Process]:
    """What this test started and still runs: the stand-in, its own process, and their watcher.

    Other test processes of the machine start the same programs at the same time.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == os.environ[MARK]:
                found.append(process)
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(MARK, uuid.uuid4().hex)
    yield
    assert wait_until(lambda: not processes()), processes()


def test_a_command_is_started_when_needed_and_ended_with_all_its_processes(tmp_path: Path) -> None:
    ledger = tmp_path / "a.ledger.jsonl"
    teacher = settings("0.5", environment={"STAND_IN_GREETING": "hello "})
    with open_teacher(teacher, ledger) as session:
        assert not processes()
        answers = [answer for _, answer in session.ask(questions(20))]
        running = processes()
        assert len(running) == 3
        assert not any("key" in " ".join(process.cmdline()).lower() for process in running)
    assert [answer.text for answer in answers] == [f"hello {n}" for n in range(20)]
    assert {answer.model for answer in answers} == {"m"}
    with open_teacher(teacher, ledger) as session:
        assert [answer.cached for _, answer in session.ask(questions(20))] == [True] * 20
        assert not processes()


@pytest.mark.parametrize(
    ("command", "seconds", "said"),
    [
        (["no-such-program"], 60, "no-such-program: no such program"),
        ([sys.executable, "-c", "raise SystemExit('out of memory')"], 60, "out of memory"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], 2, "not ready after 2 s"),
    ],
)
def test_a_command_that_does_not_serve_is_an_error(
    tmp_path: Path, command: list[str], seconds: int, said: str
) -> None:
    with (
        pytest.raises(LaminiError, match=said),
        open_teacher(
            settings(command=command, start_timeout=seconds), tmp_path / "a.ledger.jsonl"
        ) as s,
    ):
        list(s.ask(questions(1)))


@pytest.mark.parametrize(
    ("path", "revision"),
    [
        ("some/weights", None),
        ("some/weights", "main"),
        ("some/weights", "0123abc"),
        ("name-of-the-command", None),
    ],
)
def test_weights_from_elsewhere_are_pinned(path: str, revision: str | None) -> None:
    server = settings(model_path=path, revision=revision).server
    assert server is not None
    with pytest.raises(LaminiError, match=rf"{path}: no such file or folder; .*revision"):
        check_local(server)


def test_weights_may_be_a_commit_a_label_or_a_folder(tmp_path: Path) -> None:
    for path, revision in (
        ("some/m", "0123456789" * 4),
        ("name-of-the-command", "v2"),
        (str(tmp_path), None),
    ):
        server = settings(model_path=path, revision=revision).server
        assert server is not None
        assert str(check_local(server)) == path


def test_a_server_that_dies_ends_the_job_which_a_rerun_completes(tmp_path: Path) -> None:
    ledger = tmp_path / "a.ledger.jsonl"
    with (
        pytest.raises(LaminiError, match="the local teacher ended with status"),
        open_teacher(settings("0", "0.05"), ledger) as session,
    ):
        for number, _ in enumerate(session.ask(questions(400))):
            if number == 20:
                next(p for p in processes() if STAND_IN in p.cmdline()).kill()
    before = len(list(read_ledger(ledger)))
    assert 20 < before < 400
    with open_teacher(settings(), ledger) as session:
        answers = [answer for _, answer in session.ask(questions(400))]
    assert sum(answer.cached for answer in answers) == before
    assert [answer.text for answer in answers] == [str(n) for n in range(400)]


JOB = """
import sys
sys.path.insert(0, sys.argv[1])
from test_teacher_command import questions, settings
from lamini.teacher.session import open_teacher
from pathlib import Path
with open_teacher(settings("0.2", "0.02"), Path(sys.argv[2])) as session:
    print(sum(1 for _ in session.ask(questions(300))))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_job_leaves_no_server_and_loses_no_answer(
    tmp_path: Path, number: signal.Signals
) -> None:
    ledger, chance = tmp_path / "a.ledger.jsonl", random.Random(3)
    command = [sys.executable, "-c", JOB, str(HERE), str(ledger)]
    kept = 0
    for _ in range(5):
        job = subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.3, 3.5))
        job.send_signal(number)
        job.wait(40)
        assert wait_until(lambda: not processes()), processes()
        rows = [row["key"] for row in read_ledger(ledger)] if ledger.exists() else []
        assert len(rows) == len(set(rows)) >= kept
        kept = len(rows)
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "300"
    rows = [row["key"] for row in read_ledger(ledger)]
    assert sorted(rows) == sorted({request.key for request in questions(300)})
