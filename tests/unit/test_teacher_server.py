"""The local teacher: a real llama.cpp server with the demo's model, and its end with the job's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from lamini.errors import LaminiError
from lamini.settings.teacher import Sampling, Teacher
from lamini.teacher.request import chat_request
from lamini.teacher.session import open_teacher

pytest.importorskip("xllamacpp")

ROOT = Path(__file__).parents[2]


def local_settings(**server) -> Teacher:
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())["teacher"]
    demo["server"] |= {"slots": 2, "context_tokens": 512} | server
    demo["responses"]["system_message"] = "Be brief."
    return Teacher.model_validate(demo)


def question(number: int, tokens: int = 8):
    messages = [{"role": "user", "content": f"What is {number} + 1?"}]
    return chat_request("SmolLM2-135M-Instruct", messages, Sampling(max_tokens=tokens), seed=2**62)


def servers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if is_server(child)]


def is_server(process: psutil.Process) -> bool:
    try:
        return "lamini.teacher.serve" in process.cmdline()
    except psutil.Error:
        return False


def test_starts_when_needed_answers_and_is_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ledger = tmp_path / "a.ledger.jsonl"
    with open_teacher(local_settings(), ledger) as teacher:
        assert not servers()
        answers = [answer for _, answer in teacher.ask([question(1), question(2)])]
        (server,) = servers()
        assert "key" not in " ".join(server.cmdline()).lower()
    assert not server.is_running()
    assert all(answer.text and answer.model == "SmolLM2-135M-Instruct" for answer in answers)
    assert all(0 < answer.completion_tokens <= 8 for answer in answers)
    assert (tmp_path / "a.server.log").stat().st_size > 0
    with open_teacher(local_settings(), ledger) as teacher:
        assert [a.text for _, a in teacher.ask([question(1)])] == [answers[0].text]
        assert not servers(), "no request was sent"


def test_prompt_beyond_the_context_is_marked(tmp_path):
    long = chat_request("m", [{"role": "user", "content": "word " * 2000}], Sampling(max_tokens=4))
    with open_teacher(local_settings(), tmp_path / "a.ledger.jsonl") as teacher:
        ((_, answer),) = teacher.ask([long])
    assert answer.finish_reason == "context_length" and answer.text == ""


def test_server_that_dies_ends_the_job_with_its_log(tmp_path):
    with open_teacher(local_settings(), tmp_path / "a.ledger.jsonl") as teacher:
        answers = teacher.ask(question(number, 40) for number in range(50))
        next(answers)
        servers()[0].kill()
        with pytest.raises(LaminiError, match=r"ended with status -9; see .*server\.log"):
            list(answers)


def test_missing_model_is_named_before_anything_starts(tmp_path):
    ledger = tmp_path / "a.ledger.jsonl"
    settings = local_settings(model_path="no_such.gguf")
    with pytest.raises(LaminiError, match=r"no_such\.gguf"), open_teacher(settings, ledger):
        pass


def test_broken_model_ends_the_job_with_the_servers_log(tmp_path):
    broken, ledger = tmp_path / "broken.gguf", tmp_path / "a.ledger.jsonl"
    broken.write_bytes(b"not a model")
    settings = local_settings(model_path=str(broken))
    with (
        open_teacher(settings, ledger) as teacher,
        pytest.raises(LaminiError, match="local teacher ended"),
    ):
        list(teacher.ask([question(1)]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_with_the_job(tmp_path, number):
    script = """
import sys
from pathlib import Path
from test_teacher_server import local_settings, open_teacher, question
with open_teacher(local_settings(), Path(sys.argv[1])) as teacher:
    for _ in teacher.ask(question(number, 40) for number in range(100)):
        print("answered", flush=True)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "a.ledger.jsonl")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parent
    ) as job:
        assert job.stdout.readline() == b"answered\n"
        (server,) = [child for child in psutil.Process(job.pid).children() if is_server(child)]
        os.kill(job.pid, number)
        said = job.communicate()[1]
    assert (b"run the same command to resume" in said) == (number == signal.SIGTERM)
    deadline = time.monotonic() + 5
    while server.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not server.is_running()
