"""The demo on a real cluster: each stage is a SLURM job, and results equal a local run's."""

import filecmp
import os
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from runs import CHAIN, CHAIN_TARGETS, REPLAY, STUDENT, Run

from checkouts import Checkout

GPU_RULES = ("train_model", "evaluate_suite", "generate_answers", "embed_instructions")
SMALL_HERD: dict[str, Any] = {
    **REPLAY,
    "students": [STUDENT, "lamini-demo-gpt2"],
    "references": ["demo-t5", "demo-gpt2"],
    "evaluated_tasks": ["openbookqa", "rte"],
    "human_evaluation": {"studies": {"models": {"models": [STUDENT, "lamini-demo-gpt2"]}}},
    "report": {"selected": ["demo-t5", STUDENT, "demo-gpt2"], "reference_lines": []},
}


def differing(ours: Path, theirs: Path, name: str) -> list[str]:
    """Files of a result (a file or folder) that differ between two runs."""
    files = [p for p in (ours / name).rglob("*") if p.is_file()] or [ours / name]
    paths = [path.relative_to(ours) for path in files]
    return [
        str(path)
        for path in paths
        if ".ledger" not in path.name
        and not ((theirs / path).is_file() and filecmp.cmp(ours / path, theirs / path, False))
    ]


def check_jobs(cluster: Cluster, run: Run) -> dict[str, dict[str, str]]:
    """What SLURM says of a run's jobs, by comment; all ended well, and where they should."""
    jobs = {job["name"]: job for job in cluster.jobs() if job["id"] in run.jobs}
    for name, job in jobs.items():
        gpu = any(name.startswith(f"rule_{rule}") for rule in GPU_RULES)
        assert job["state"] == "COMPLETED", job
        assert job["partition"] == ("gpu" if gpu else "cpu"), job
        assert ("gres/gpu=1" in job["gpus"]) == gpu, job
    return jobs


def test_one_way_through_every_stage(cluster: Cluster, chain: Run, finished_demo: Checkout) -> None:
    """The run started before the tests of failures, and runs in parallel with them."""
    chain.wait(900)
    jobs = check_jobs(cluster, chain)
    assert len(jobs) == len(chain.jobs) == len(CHAIN), sorted(jobs)
    trained = jobs[f"rule_train_model_wildcards_{STUDENT}"]
    assert (trained["memory"], trained["minutes"]) == ("3023M", "1:00:00")

    ours, theirs = chain.folder / "results", finished_demo.folder / "results"
    assert [name for stage in CHAIN for name in differing(ours, theirs, stage)] == []
    logs = ours / f"logs/slurm/rule_train_model/{STUDENT}"
    assert [path.stem for path in logs.glob("*.log")] == [trained["id"]]
    done = Checkout(chain.folder).snakemake(
        "--profile", "slurm", *CHAIN_TARGETS, "--configfile", "config/demo.yaml", "overlay.yaml"
    )
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.timeout(2700)
@pytest.mark.skipif(
    "LAMINI_SLOW_TESTS" not in os.environ,
    reason="the whole demo on SLURM takes ten minutes and more: set LAMINI_SLOW_TESTS=1",
)
def test_the_whole_demo_of_a_small_herd(
    cluster: Cluster, replaying: Checkout, finished_demo: Checkout
) -> None:
    run = Run(replaying, overlay=SMALL_HERD)
    run.wait(2400)
    jobs = check_jobs(cluster, run)
    assert len(jobs) == len(run.jobs) > 80
    ours, theirs = replaying.folder / "results", finished_demo.folder / "results"
    same = (
        "topics",
        "prompts",
        "instructions",
        "queries",
        "pairs",
        "dataset",
        "tokenizers/demo-t5",
        "tokenizers/demo-gpt2",
        "tokenized/d_all/demo-t5",
        "tokenized/d_all/demo-gpt2",
        *(f"pretrained/{model}" for model in ("demo-t5", "demo-gpt2")),
        *(f"checkpoints/{model}/final" for model in (STUDENT, "lamini-demo-gpt2")),
        *(f"answers/{model}.jsonl" for model in (STUDENT, "lamini-demo-gpt2")),
        "analysis/d_all/statistics.csv",
        "analysis/d_all/diversity.csv",
        "human_eval/dataset/items.jsonl",
        "human_eval/dataset/verdicts.jsonl",
    )
    assert [name for stage in same for name in differing(ours, theirs, stage)] == []
    assert (ours / "report/index.html").stat().st_size > 100_000
