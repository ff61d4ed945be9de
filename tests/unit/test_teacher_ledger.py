"""The ledger: what is on disk stays found, whatever happens to the file and to the job."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import pytest
from fake_endpoint import FakeEndpoint

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher
from lamini.teacher.commit import Committer
from lamini.teacher.index import KeyIndex
from lamini.teacher.ledger import Ledger, LedgerReader, packed_path, read_ledger, row_line
from lamini.teacher.packing import pack_ledger
from lamini.teacher.storage import LedgerFile, PackedFile

from test_teacher_client import ask_all, prompts, teacher_settings  # isort: skip
from lamini.teacher.session import open_teacher  # isort: skip


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")


def keys_of(count: int) -> list[str]:
    generator = random.Random(count)
    return [f"{generator.getrandbits(128):032x}" for _ in range(count)]


def fill(path: Path, keys: list[str], text: str = 'line\nbreak } \u2028 " {') -> None:
    ledger = Ledger(path)
    for start in range(0, len(keys), 1000):
        ledger.append(
            [row_line({"key": key, "text": f"{text} {key}"}) for key in keys[start : start + 1000]]
        )
    ledger.close()


def test_rows_are_found_again_plain_packed_and_mixed(tmp_path):
    path, keys = tmp_path / "a.ledger.jsonl", keys_of(5000)
    fill(path, keys[:4000], text="é" * 400)
    plain = path.stat().st_size
    assert pack_ledger(path) == packed_path(path) and not path.exists()
    assert packed_path(path).stat().st_size < plain / 4
    fill(path, keys[4000:])
    for ledger in (LedgerReader([tmp_path / "none.ledger.jsonl", path]), Ledger(path)):
        assert len(ledger) == 5000
        assert all(ledger.get(key)["text"].endswith(key) for key in keys)
        assert ledger.get("0" * 32) is None
        ledger.close()
    assert pack_ledger(path) == packed_path(path)
    assert [row["key"] for row in read_ledger(path)] == keys
    done = subprocess.run(["zstd", "-dc", packed_path(path)], capture_output=True, check=False)
    if done.returncode == 0:
        assert done.stdout.count(b"\n") == 5000


@pytest.mark.parametrize("packed", [False, True])
def test_threads_read_the_rows_that_they_ask_for(tmp_path, packed):
    """Also while another one scans the file."""
    path = tmp_path / "a.ledger.jsonl"
    fill(path, keys_of(3000))
    file = PackedFile(pack_ledger(path)) if packed else LedgerFile(path)
    rows = list(file.scan())
    wrong, start = [], threading.Barrier(4)

    def read(seed: int) -> None:
        start.wait()
        for offset, line in random.Random(seed).choices(rows, k=3000):
            if file.line_at(offset) != line:
                wrong.append(offset)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    start.wait()
    assert list(file.scan()) == rows
    for thread in threads:
        thread.join()
    assert not wrong
    file.close()


def test_index_finds_all_of_many_keys_and_of_equal_prefixes():
    index, generator = KeyIndex(), random.Random(1)
    prefixes = [generator.getrandbits(64) for _ in range(200_000)]
    for place, prefix in enumerate(prefixes):
        index.add(prefix, place % 3, place)
    index.add(prefixes[5], 7, 123)
    for place in range(0, 200_000, 1777):
        assert (place % 3, place) in index.find(f"{prefixes[place]:016x}{'0' * 16}")
    assert {(2, 5), (7, 123)} <= set(index.find(f"{prefixes[5]:016x}{'0' * 16}"))


@pytest.mark.parametrize(
    "torn", [b'{"key":"', b'{"key":"' + b"a" * 32 + b'","text":"hal', b"\0" * 99]
)
def test_torn_tail_is_cut_off_and_the_rest_kept(tmp_path, torn):
    path, keys = tmp_path / "a.ledger.jsonl", keys_of(10)
    fill(path, keys)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert LedgerReader([path]).get(keys[9]) is not None
    assert path.read_bytes() == whole + torn, "reading does not change the file"
    fill(path, ["f" * 32])
    assert path.read_bytes().startswith(whole)
    assert [row["key"] for row in read_ledger(path)] == [*keys, "f" * 32]


def test_last_line_without_line_end_is_kept(tmp_path):
    path, keys = tmp_path / "a.ledger.jsonl", keys_of(3)
    fill(path, keys)
    path.write_bytes(path.read_bytes()[:-1])
    fill(path, ["f" * 32])
    assert [row["key"] for row in read_ledger(path)] == [*keys, "f" * 32]


def test_damaged_line_in_the_middle_costs_only_itself(tmp_path, caplog):
    path, keys = tmp_path / "a.ledger.jsonl", keys_of(3)
    fill(path, keys)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 40 + lines[1][40:] + lines[2])
    ledger = Ledger(path)
    assert [ledger.get(key) is not None for key in keys] == [True, False, True]
    assert "1 damaged" in caplog.text
    ledger.close()


def test_a_second_writer_is_refused_with_the_name_of_the_first(tmp_path):
    path = tmp_path / "a.ledger.jsonl"
    ledger = Ledger(path)
    with pytest.raises(LaminiError, match=rf"another job \(process {os.getpid()} on .*twice"):
        Ledger(path)
    with FakeEndpoint() as endpoint, pytest.raises(LaminiError, match="another job"):
        ask_all(teacher_settings(endpoint), path, 1)
    ledger.close()
    fill(path, keys_of(2))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.ledger.jsonl"]


def test_full_disk_stops_the_job_and_the_ledger_stays_whole(tmp_path):
    script = """
import resource, signal, sys
from pathlib import Path
from lamini.errors import LaminiError
from test_teacher_client import FakeEndpoint, ask_all, teacher_settings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
with FakeEndpoint() as endpoint:
    try:
        ask_all(teacher_settings(endpoint), Path(sys.argv[1]), 500)
    except LaminiError as error:
        print(error)
"""
    path = tmp_path / "a.ledger.jsonl"
    done = run_python(script, path)
    assert "cannot be written" in done.stdout and "free disk space" in done.stdout
    data = path.read_bytes()
    assert data.endswith(b"}\n") and 0 < len(data) <= 20000
    with FakeEndpoint() as endpoint:
        answers, spend = ask_all(teacher_settings(endpoint), path, 500)
    assert len(answers) == 500 and spend.from_ledger == data.count(b"\n")


def run_python(script: str, *arguments: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        timeout=60,
        check=False,
        **options,
    )


def test_rows_hold_provenance_in_little_space(tmp_path):
    path = tmp_path / "a.ledger.jsonl"
    with FakeEndpoint() as endpoint:
        ask_all(teacher_settings(endpoint), path, 3)
    row = next(read_ledger(path))
    assert row["request_id"] == f"req-{row['text'].split()[-1]}"
    assert (row["prompt_tokens"], row["completion_tokens"]) == (10, 5)
    assert (row["model"], row["finish_reason"], row["attempts"]) == ("m-answering", "stop", 1)
    assert abs(row["sent_at"] - time.time()) < 60 and len(row["body"]) == 32
    assert len(orjson.dumps(row)) - len(row["text"]) < 2000


def test_replay_answers_from_all_ledgers_and_refuses_the_network(tmp_path):
    own, other = tmp_path / "a.ledger.jsonl", tmp_path / "b.ledger.jsonl"
    with FakeEndpoint() as endpoint:
        settings = teacher_settings(endpoint)
        first, _ = ask_all(settings, other, 10)
        sent = sum(endpoint.asked.values())
        with open_teacher(settings, own, [other, own]) as teacher:
            list(teacher.ask(prompts(15)))
            assert (teacher.spend.from_ledger, teacher.spend.sent) == (10, 5)
        pack_ledger(other)
        replay = settings.model_copy(update={"mode": "replay"})
        before = own.read_bytes()
        with open_teacher(replay, own, [other]) as teacher:
            again = [answer for _, answer in teacher.ask(prompts(15))]
            assert [answer.text for answer in again] == [f"answer to {n}" for n in range(15)]
            assert all(answer.cached for answer in again) and teacher.spend.sent == 0
        assert own.read_bytes() == before
        with (
            open_teacher(replay, own, [other]) as teacher,
            pytest.raises(LaminiError, match=r"7 answers are missing.*live"),
        ):
            list(teacher.ask(prompts(22)))
        assert sum(endpoint.asked.values()) == sent + 5
    assert first[0].key == again[0].key


CLIENT = """
import sys
from pathlib import Path
from lamini.settings.teacher import Teacher
from lamini.teacher.session import open_teacher
from test_teacher_client import prompts
settings = Teacher(model="m", endpoints=[{"base_url": sys.argv[1]}], max_concurrency=32, jobs=1,
                   responses={"system_message": "x"})
with open_teacher(settings, Path(sys.argv[2])) as teacher:
    for _, answer in teacher.ask(prompts(int(sys.argv[3])), look_ahead=64):
        print(answer.text, flush=True)
"""


def test_kill_at_random_moments_pays_again_only_what_was_in_flight(tmp_path):
    path, count, kills = tmp_path / "a.ledger.jsonl", 1500, 10
    generator = random.Random(5)
    seen: set[str] = set()
    with FakeEndpoint(latency=0.03) as endpoint:
        command = [sys.executable, "-c", CLIENT, endpoint.base_url, str(path), str(count)]
        for _ in range(kills):
            before = sum(endpoint.paid.values())
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
            ) as client:
                while sum(endpoint.paid.values()) == before and client.poll() is None:
                    time.sleep(0.005)
                time.sleep(generator.uniform(0.0, 0.15))
                client.send_signal(signal.SIGKILL)
                seen |= {line.strip() for line in client.stdout if line.endswith("\n")}
            kept = {row["text"] for row in read_ledger(path)}
            assert seen <= kept, "an answer was used before it was on disk"
        answers, _ = ask_all(teacher_settings(endpoint), path, count)
    assert [answer.text for answer in answers] == [f"answer to {n}" for n in range(count)]
    paid_again = sum(endpoint.paid.values()) - count
    assert paid_again <= kills * (32 + 0.01 * count / kills)
    rows = [row["key"] for row in read_ledger(path)]
    assert len(rows) == len(set(rows)) == count


def test_an_answer_is_written_before_the_next_sync(tmp_path, monkeypatch):
    """A killed process then need not pay for it again; it is published only after the sync."""
    monkeypatch.setattr("lamini.teacher.commit.GATHER_SECONDS", 3600.0)
    ledger, published = Ledger(tmp_path / "a.ledger.jsonl"), []
    committer = Committer(ledger, published.extend, pytest.fail)
    committer.start()
    lines = [row_line({"key": f"{number:032x}", "text": "x"}) for number in range(2)]
    try:
        for number, line in enumerate(lines):
            committer.put(line, number)
            deadline = time.monotonic() + 30
            while ledger.path.read_bytes() != b"".join(lines[: number + 1]):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert published == [0], "the first answer is synced at once"
    finally:
        committer.close()
        ledger.close()
    assert published == [0, 1]


def test_a_session_restores_the_collection_of_garbage(tmp_path):
    before = gc.get_threshold()
    settings = Teacher.model_validate(
        {"model": "m", "responses": {"system_message": ""}, "mode": "replay"}
    )
    with open_teacher(settings, tmp_path / "a.ledger.jsonl"):
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before
