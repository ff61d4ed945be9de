"""A server per job on a cluster: whatever is killed, no answer is lost and no server is left."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from cluster import Cluster
from runs import Run

from checkouts import check_out
from lamini.teacher.ledger import read_ledger

STAND_IN = str(Path(__file__).parents[1] / "unit/stand_in_server.py")
PAIRS = "results/pairs/alpaca/0000.jsonl"
KILLS = 20


def servers() -> list[psutil.Process]:
    """The stand-in, and the process that it starts."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if STAND_IN in (line := " ".join(process.info["cmdline"] or [])) or "engine-of-" in line
    ]


def kill_servers_and_jobs(cluster: Cluster, run: Run) -> None:
    """Every second kill hits the server alone, the others the whole SLURM job."""
    chance, kills = random.Random(7), 0
    deadline = time.monotonic() + 3300
    while kills < KILLS and time.monotonic() < deadline:
        running = [process for process in servers() if STAND_IN in process.cmdline()]
        if not running:
            time.sleep(0.1)
            continue
        time.sleep(chance.uniform(0, 2))
        if kills % 2:
            cluster.run("scancel", "--full", "--signal=KILL", run.jobs[-1])
        else:
            for process in running:
                if process.is_running():
                    process.send_signal(signal.SIGKILL)
        psutil.wait_procs(running, 30)
        kills += 1
    assert kills == KILLS, run.text[-3000:]


@pytest.mark.skipif(
    "LAMINI_SLOW_TESTS" not in os.environ,
    reason="twenty kills on a cluster take three quarters of an hour: set LAMINI_SLOW_TESTS=1",
)
@pytest.mark.timeout(4500)
def test_servers_and_jobs_killed_at_random_moments(cluster: Cluster, tmp_path: Path) -> None:
    project = check_out(tmp_path / "project")
    server = {
        "model_path": "stand-in",
        "revision": "1",
        "command": [sys.executable, STAND_IN, "{name}", "{port}", "0.2", "1"],
        "key_variable": "STAND_IN_KEY",
    }
    teacher = {"server": server, "max_concurrency": 1, "seed_requests": False}
    run = Run(project, PAIRS, options=("--retries", "60"), overlay={"teacher": teacher})
    try:
        kill_servers_and_jobs(cluster, run)
        run.wait(600)
    finally:
        run.end()
    pairs = (project.folder / PAIRS).read_text().splitlines()
    ledger = read_ledger(project.folder / "results/pairs/alpaca/0000.ledger.jsonl")
    keys = [row["key"] for row in ledger]
    assert len(pairs) == len(keys) == len(set(keys)) == 36
    assert not servers()
    print(f"{KILLS} kills in {len(run.jobs)} SLURM jobs: {len(keys)} answers, each once")
