"""Runs of clients against the server of `make bench-teacher`; each process has its own core."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
OWN = Path(sys.executable)
PEERS = HERE.parent / ".venv-bench-teacher/bin/python"
CURATOR = HERE.parent / ".venv-bench-curator/bin/python"
"""Curator requires older releases of packages that the others use."""
CLIENTS = {
    "ours": OWN,
    "aiohttp": OWN,
    "aiohttp_tuned": OWN,
    "openai": PEERS,
    "openai_aiohttp": PEERS,
    "curator": CURATOR,
    "distilabel": PEERS,
    "datatrove": PEERS,
    "data_designer": PEERS,
}
BARE = ("aiohttp", "aiohttp_tuned")
"""HTTP clients without retries, ledger or limits: the cost of the requests alone."""
_NUMBER = re.compile(rb"#(\d{7})#")


@dataclass(frozen=True)
class ClientRun:
    """Measurements of one run of a client."""

    asked: int
    rows: int
    cpu: float
    """CPU seconds of the process and its children."""
    seconds: float
    megabytes: float
    disk_bytes: float
    """Bytes per row on disk, without the client's plain answers."""
    hung: bool = False


def find_clients(only: list[str]) -> dict[str, Path]:
    """Clients with the Python of their environment; clients without environment are skipped."""
    pythons = {}
    for client, python in CLIENTS.items():
        if only and client not in (*only, *BARE, "ours"):
            continue
        if python.exists():
            pythons[client] = python
        else:
            print(f"skipped: {client} ({python} is missing)", file=sys.stderr)
    return pythons


def run_job(job: str, arguments: dict[str, Any], python: Path = OWN) -> dict[str, float]:
    """Run a measurement of `teacher_storage.py` and return its numbers."""
    command = [python, HERE / "teacher_storage.py", job, json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {job}: {measured}", file=sys.stderr, flush=True)
    return measured


class Bench:
    """The server, and runs of clients against it.

    Args:
        folder: folder for the clients' files.
        pythons: the interpreter of each client.
    """

    def __init__(self, folder: Path, pythons: dict[str, Path]) -> None:
        self.folder, self._pythons = folder, pythons
        cores = sorted(os.sched_getaffinity(0))
        self._client_core, self._server_core = cores[0], cores[-1]

    def __enter__(self) -> Self:
        port = self.folder / "port"
        self._server = subprocess.Popen([OWN, HERE / "teacher_server.py", port])
        os.sched_setaffinity(self._server.pid, {self._server_core})
        deadline = time.monotonic() + 30
        while not port.exists():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start")
            time.sleep(0.05)
        self._address = f"http://127.0.0.1:{port.read_text()}"
        self.reset()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.kill()
        self._server.wait()

    def reset(self, **settings: Any) -> None:
        """Clear the server's account; `settings` are `latency` and `per_minute`."""
        data = json.dumps(settings).encode()
        urllib.request.urlopen(f"{self._address}/reset", data).close()

    def account(self) -> dict[str, Any]:
        """The server's counts since the last reset."""
        with urllib.request.urlopen(f"{self._address}/account") as reply:
            counts: dict[str, Any] = json.load(reply)
        return counts

    def run(
        self,
        client: str,
        *,
        count: int,
        concurrency: int,
        folder: Path | None = None,
        keep: bool = False,
        limited: bool = False,
        timeout: float = 600.0,
    ) -> ClientRun:
        """Run a client to its end.

        Args:
            client: name of the client.
            count: number of prompts to send.
            concurrency: maximum number of requests in flight.
            folder: the client's folder; default: one per client.
            keep: whether the content of `folder` is kept, to resume from it.
            limited: whether the client must use the limits in the reply headers.
            timeout: seconds after which the client counts as hung.
        """
        folder = folder or self.folder / client
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        process = self._start(client, count, concurrency, folder, limited)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return ClientRun(count, 0, 0.0, timeout, 0.0, 0.0, hung=True)
        lines = output.splitlines()
        if process.returncode or not lines:
            print(f"  {client} failed, see {folder}/stderr.txt:", file=sys.stderr)
            print((folder / "stderr.txt").read_text()[-2000:], file=sys.stderr, flush=True)
            return ClientRun(count, 0, float("nan"), float("nan"), 0.0, 0.0)
        measured = json.loads(lines[-1])
        print(f"  {client}, {concurrency} in flight: {measured}", file=sys.stderr, flush=True)
        size = _kept_bytes(folder) / max(measured["rows"], 1)
        return ClientRun(asked=count, disk_bytes=size, **measured)

    def kill_at(
        self, client: str, paid: int, *, count: int, concurrency: int, folder: Path
    ) -> dict[str, Any]:
        """Kill a client when the server has answered `paid` requests; returns the account then."""
        process = self._start(client, count, concurrency, folder, limited=False)
        while (account := self.account())["paid"] < paid and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        time.sleep(0.2)  # requests in flight are answered, and paid for
        return account

    def written(self, folder: Path) -> tuple[int, int]:
        """Numbers of distinct answers and of rows in a client's output."""
        path = folder / "pairs.jsonl"
        numbers = _NUMBER.findall(path.read_bytes()) if path.exists() else []
        return len(set(numbers)), len(numbers)

    def _start(
        self, client: str, count: int, concurrency: int, folder: Path, limited: bool
    ) -> "subprocess.Popen[str]":
        folder.mkdir(parents=True, exist_ok=True)
        options = {
            "base_url": f"{self._address}/v1",
            "count": count,
            "concurrency": concurrency,
            "folder": str(folder),
            "core": self._client_core,
        }
        environment = os.environ | {"BENCH_LIMITED": "1" if limited else ""}
        with open(folder / "stderr.txt", "a") as errors:
            return subprocess.Popen(
                [self._pythons[client], HERE / "teacher_clients.py", client, json.dumps(options)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                start_new_session=True,
            )


def _kept_bytes(folder: Path) -> int:
    """Bytes of a client's files, without plain answers and logs."""
    aside = {"pairs.jsonl", "stderr.txt", "log.txt"}
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in aside)
    return sum(path.stat().st_size for path in files)
