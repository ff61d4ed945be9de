"""A sweep on a real cluster: it leaves room for other jobs, and trains nothing twice."""

import json
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from runs import STUDENT, Run, copy_demo, wait_until

from checkouts import Checkout

MANIFEST = "results/checkpoints/{}/final/manifest.json"


def sweep(seeds: list[int]) -> dict[str, Any]:
    """An overlay: the demo's smallest student on a third of the pairs with some seeds."""
    return {"sweeps": {"s": {"students": [STUDENT], "samples": [0.3], "seeds": seeds}}}


def swept(seeds: list[int]) -> list[str]:
    return [f"{STUDENT}.samples0.3.seed{seed}" for seed in seeds]


def train(demo: Checkout, seeds: list[int], *others: str) -> Run:
    """Train the sweep, two at a time, and other students."""
    targets = [MANIFEST.format(model) for model in (*swept(seeds), *others)]
    return Run(demo, *targets, options=("--resources", "sweep=2"), overlay=sweep(seeds))


def facts(cluster: Cluster, number: str) -> dict[str, str]:
    """What `scontrol` says of a job."""
    return dict(re.findall(r"(\w+)=(\S+)", cluster.run("scontrol", "show", "job", number)))


@pytest.fixture
def demo(finished_demo: Checkout, tmp_path: Path) -> Checkout:
    return copy_demo(finished_demo, tmp_path / "demo", "checkpoints", "answers", "evals")


def test_a_killed_and_extended_sweep_trains_nothing_twice(cluster: Cluster, demo: Checkout) -> None:
    done = [demo.folder / MANIFEST.format(model) for model in swept([1, 2, 3, 4])]
    first = train(demo, [1, 2, 3], STUDENT)
    wait_until(lambda: len(first.jobs) == 3, 200, f"three jobs:\n{first.text}")
    names = {job["id"]: job["name"].split("_")[-1] for job in cluster.jobs()}
    shown = {names[number]: facts(cluster, number) for number in first.jobs}
    alone = shown.pop(STUDENT)
    assert len(shown) == 2 and set(shown) < {*swept([1, 2, 3])}
    assert (alone["Nice"], {job["Nice"] for job in shown.values()}) == ("0", {"10000"})
    priorities = [int(job["Priority"]) for job in shown.values()]
    assert max(priorities) < int(alone["Priority"]) - 5000, "whichever was submitted first"
    wait_until(lambda: any(path.exists() for path in done), 200, f"a training:\n{first.text}")
    assert len(first.jobs) <= 4, "two of the sweep at a time"
    first.kill(signal.SIGKILL)
    wait_until(lambda: not running(cluster, first.jobs), 200, "the end of the jobs that are left")
    kept = {path: path.stat().st_mtime_ns for path in done if path.exists()}
    assert kept

    demo.snakemake("--profile", "slurm", "--unlock")
    second = train(demo, [1, 2, 3, 4], STUDENT)
    second.wait(300)
    assert all(path.exists() for path in done)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    ended = Counter(job["name"] for job in cluster.jobs() if job["id"] in first.jobs + second.jobs)
    expected = [f"rule_train_model_wildcards_{m}" for m in (STUDENT, *swept([1, 2, 3, 4]))]
    assert ended == Counter(expected), "each training was one job"
    assert json.loads(done[3].read_text())["pairs_used"] == 67
    third = train(demo, [4, 2], STUDENT)
    assert "Nothing to be done" in third.wait() and not third.jobs


def running(cluster: Cluster, numbers: list[str]) -> set[str]:
    """Jobs among some that have not ended."""
    states = {job["id"]: job["state"] for job in cluster.jobs()}
    return {number for number in numbers if states[number] in ("PENDING", "RUNNING", "COMPLETING")}
