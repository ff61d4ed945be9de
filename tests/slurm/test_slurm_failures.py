"""Failures of a cluster, caused in real jobs: each run ends with the correct artifacts.

Training shows most of it, as it has a state to go on from. Its weights must be those of the demo,
to which nothing happened.
"""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from runs import REPLAY, Run, copy_demo, newest_step, wait_until

from checkouts import Checkout

MODEL = "lamini-demo-gpt2"
FOLDER = f"results/checkpoints/{MODEL}"
TARGET = f"{FOLDER}/final/manifest.json"
NAME = f"rule_train_model_wildcards_{MODEL}"
OFTEN = {"recipes": {"decoder_only": {"save_minutes": 0.005}}}
pytestmark = pytest.mark.usefixtures("chain")
slow = pytest.mark.skipif(
    "LAMINI_SLOW_TESTS" not in os.environ,
    reason="this failure takes over a minute on a cluster: set LAMINI_SLOW_TESTS=1",
)


@pytest.fixture
def demo(before_training: Checkout) -> Checkout:
    return before_training


def weights(checkout: Checkout) -> str:
    manifest = json.loads((checkout.folder / TARGET).read_text())
    return str(manifest["files"]["model.safetensors"]["sha256"])


def train(demo: Checkout, *options: str, overlay: dict[str, Any] = OFTEN) -> Run:
    return Run(demo, TARGET, options=options, overlay=overlay)


def in_the_middle(demo: Checkout, run: Run) -> str:
    """Wait until training has some checkpoints; returns its SLURM job."""
    wait_until(lambda: newest_step(demo.folder / FOLDER) >= 5, 400, f"a checkpoint:\n{run.text}")
    return run.jobs[-1]


def training_log(demo: Checkout) -> str:
    """Log texts of all attempts, from the SLURM log of each job."""
    logs = demo.folder / f"results/logs/slurm/rule_train_model/{MODEL}"
    return "\n".join(path.read_text() for path in sorted(logs.glob("*.log")))


def assert_every_step_once(demo: Checkout) -> None:
    """The loss curve has no gap and no step twice."""
    rows = (demo.folder / FOLDER / "final/metrics.jsonl").read_text().splitlines()
    steps = [json.loads(row)["step"] for row in rows]
    assert steps == list(range(len(steps)))


def job(cluster: Cluster, number: str) -> dict[str, str]:
    return next(job for job in cluster.jobs() if job["id"] == number)


def test_over_its_memory(cluster: Cluster, demo: Checkout, finished_demo: Checkout) -> None:
    limit = "train_model:mem_mb=600 if attempt == 1 else 3000"
    run = train(demo, "--set-resources", limit)
    run.wait()
    states = [job(cluster, number)["state"] for number in run.jobs]
    assert states[0] in ("OUT_OF_MEMORY", "FAILED") and states[1:] == ["COMPLETED"]
    assert [job(cluster, number)["memory"] for number in run.jobs] == ["600M", "3000M"]
    assert weights(demo) == weights(finished_demo)


def test_the_driver_is_killed_and_started_again(cluster: Cluster, demo: Checkout) -> None:
    """The first run's SLURM job survives Snakemake; the second run's job cancels it."""
    long = {"recipes": {"decoder_only": {"epochs": 20, "save_minutes": 0.005}}}
    first = train(demo, overlay=long)
    left = in_the_middle(demo, first)
    first.kill(signal.SIGKILL)
    assert job(cluster, left)["state"] == "RUNNING"
    demo.snakemake("--profile", "slurm", "--unlock")
    train(demo, overlay=long).wait(900)
    assert job(cluster, left)["state"] == "CANCELLED"
    log = training_log(demo)
    assert f"cancelling SLURM job [{left}] of an earlier run" in log and "resuming from" in log
    assert_every_step_once(demo)


def test_the_job_ends_well_while_nobody_watches(
    cluster: Cluster, demo: Checkout, finished_demo: Checkout
) -> None:
    """The job itself records its end for Snakemake: the next run has nothing to do."""
    first = train(demo)
    left = in_the_middle(demo, first)
    first.kill(signal.SIGKILL)
    wait_until(lambda: job(cluster, left)["state"] == "COMPLETED", 480, "the job's end")
    demo.snakemake("--profile", "slurm", "--unlock")
    again = train(demo)
    assert "Nothing to be done" in again.wait()
    assert not again.jobs
    assert weights(demo) == weights(finished_demo)


def test_one_failed_shard_among_many(
    cluster: Cluster, finished_demo: Checkout, tmp_path: Path
) -> None:
    """Other jobs continue; the rerun makes only the missing results."""
    demo = copy_demo(finished_demo, tmp_path / "demo")
    folder = demo.folder / "results/pairs/original_flan"
    pairs = [folder / f"{shard}.jsonl" for shard in ("0000", "0001")]
    expected = [path.read_bytes() for path in pairs]
    for path in pairs:
        path.unlink()
    lost = list(folder.glob("0001.ledger*"))
    for path in lost:
        path.rename(tmp_path / path.name)

    targets = [str(path.relative_to(demo.folder)) for path in pairs]
    failed = Run(demo, *targets, options=("--retries", "0"), overlay=REPLAY)
    text = failed.wait_for_failure()
    assert pairs[0].read_bytes() == expected[0] and not pairs[1].exists()
    assert "0001.ledger" in text and "replay" in text, text

    for path in lost:
        shutil.move(tmp_path / path.name, path)
    again = Run(demo, *targets, overlay=REPLAY)
    again.wait()
    assert [path.read_bytes() for path in pairs] == expected
    assert [job(cluster, n)["name"] for n in again.jobs] == [
        "rule_generate_pairs_wildcards_original_flan_0001"
    ]


@slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("quiet")
def test_over_its_time(cluster: Cluster, demo: Checkout) -> None:
    """Training saves and stops before SLURM kills it, and resumes in the retry."""
    long = {"recipes": {"decoder_only": {"epochs": 80, "save_minutes": 30}}}
    limit = "train_model:runtime=1 if attempt == 1 else 30"
    run = train(demo, "--set-resources", limit, overlay=long)
    run.wait(900)
    assert [job(cluster, n)["state"] for n in run.jobs] == ["FAILED", "COMPLETED"]
    assert [job(cluster, n)["minutes"] for n in run.jobs] == ["1:00", "30:00"]
    log = training_log(demo)
    assert "SIGUSR1: saving and stopping after this step" in log and "resuming from" in log
    assert_every_step_once(demo)


@slow
@pytest.mark.usefixtures("quiet")
def test_cancelled_by_hand(cluster: Cluster, demo: Checkout, finished_demo: Checkout) -> None:
    run = train(demo)
    cluster.run("scancel", in_the_middle(demo, run))
    run.wait()
    assert [job(cluster, n)["state"] for n in run.jobs] == ["CANCELLED", "COMPLETED"]
    assert "resuming from" in training_log(demo)
    assert weights(demo) == weights(finished_demo)


@slow
@pytest.mark.usefixtures("quiet")
def test_its_node_dies(cluster: Cluster, demo: Checkout, finished_demo: Checkout) -> None:
    run = train(demo)
    number = in_the_middle(demo, run)
    node = job(cluster, number)["node"]
    cluster.kill_node(node)
    try:
        run.wait(400)
    finally:
        cluster.start_node(node)
        cluster.wait_for_idle_nodes()
    ended = job(cluster, number)
    assert run.jobs == [number] and ended["restarts"] == "1" and ended["node"] != node
    assert "resuming from" in training_log(demo)
    assert weights(demo) == weights(finished_demo)


@slow
@pytest.mark.usefixtures("quiet")
def test_slurmctld_is_away_for_a_while(
    cluster: Cluster, demo: Checkout, finished_demo: Checkout
) -> None:
    run = train(demo)
    number = in_the_middle(demo, run)
    cluster.stop_controller()
    time.sleep(25)
    cluster.start_controller()
    run.wait()
    assert run.jobs == [number] and job(cluster, number)["restarts"] == "0"
    assert weights(demo) == weights(finished_demo)


@slow
@pytest.mark.usefixtures("quiet")
def test_preempted(cluster: Cluster, demo: Checkout, finished_demo: Checkout) -> None:
    run = train(demo)
    number = in_the_middle(demo, run)
    cluster.run(
        "sbatch",
        "--partition=urgent",
        "--nodes=2",
        "--exclusive",
        "--mem=30000",
        f"--output={demo.folder}/urgent.log",
        "--wrap=sleep 5",
    )
    run.wait(400)
    ended = job(cluster, number)
    assert run.jobs == [number] and ended["restarts"] == "1"
    assert "resuming from" in training_log(demo)
    assert weights(demo) == weights(finished_demo)


@slow
@pytest.mark.usefixtures("quiet")
def test_an_output_appears_late(cluster: Cluster, checkout: Checkout) -> None:
    """A node whose writes become visible to others with a delay, as on a shared file system."""
    place = checkout.folder / "results/topics"
    written = checkout.folder / "written"
    for folder in (place, written):
        folder.mkdir(parents=True)
    cluster.stop_node("c2")
    cluster.start_node("c2", hides=place, shows=written)
    try:
        cluster.wait_for_idle_nodes()
        on_it = ("--set-resources", "select_topics:slurm_extra='--nodelist=c2'")
        run = Run(checkout, "results/topics/topics.jsonl", options=on_it)
        wait_until((written / "topics.jsonl").exists, 120, "the output on its node")
        wait_until(lambda: "Waiting at most" in run.text, 120, "Snakemake's wait for it")
        assert not (place / "topics.jsonl").exists()
        for path in written.iterdir():
            shutil.copy2(path, place)
        run.wait()
        assert (place / "topics.jsonl").stat().st_size > 0
    finally:
        cluster.stop_node("c2")
        cluster.start_node("c2")
        cluster.wait_for_idle_nodes()
