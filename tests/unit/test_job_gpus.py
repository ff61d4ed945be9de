"""Jobs of one machine share its GPUs, which a fake `nvidia-smi` lists."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOB = """
import os, sys
from lamini.jobs.gpus import take_gpus
take_gpus(int(sys.argv[1]))
print(os.environ.get("CUDA_VISIBLE_DEVICES", "unset"), flush=True)
sys.stdin.read()
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a job that prints its GPUs and keeps them until its standard input closes."""
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\nprintf 'GPU-a\\nGPU-b\\n'\n")
    driver.chmod(0o755)
    common = {name: value for name, value in os.environ.items() if "SLURM" not in name}
    common.pop("CUDA_VISIBLE_DEVICES", None)
    common |= {"PATH": f"{driver.parent}:{common['PATH']}", "TMPDIR": str(tmp_path)}
    common["PYTHONPATH"] = str(ROOT / "scripts")

    def started(count: int, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", JOB, str(count)],
            env=common | environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return started


def _gpus(job: subprocess.Popen[str]) -> str:
    assert job.stdout is not None
    return job.stdout.readline().strip()


def test_jobs_take_different_gpus_and_wait_for_a_free_one(start: Start) -> None:
    first, second = start(1), start(1)
    assert {_gpus(first), _gpus(second)} == {"GPU-a", "GPU-b"}
    third = start(1)
    with pytest.raises(subprocess.TimeoutExpired):
        third.wait(2)
    freed = _end(first)
    assert _gpus(third) == freed
    for job in (second, third):
        _end(job)


def _end(job: subprocess.Popen[str]) -> str:
    """Kill a job, as a crash would; returns its GPUs."""
    taken = Path(f"/proc/{job.pid}/fd")
    names = {Path(os.readlink(entry)).stem for entry in taken.iterdir() if entry.exists()}
    job.kill()
    job.communicate()
    return ",".join(sorted(name for name in names if name.startswith("GPU-")))


def test_a_job_with_several_gpus_waits_without_keeping_some(start: Start) -> None:
    one = start(1)
    assert _gpus(one) == "GPU-a"
    both = start(2)
    with pytest.raises(subprocess.TimeoutExpired):
        both.wait(2)
    other = start(1)
    assert _gpus(other) == "GPU-b"
    _end(one)
    _end(other)
    assert _gpus(both) == "GPU-a,GPU-b"
    _end(both)


def test_gpus_that_the_user_chose_are_shared_out(start: Start) -> None:
    job = start(1, CUDA_VISIBLE_DEVICES="3,5")
    assert _gpus(job) == "3"
    _end(job)


@pytest.mark.parametrize(
    ("count", "environment"), [(0, {}), (1, {"SLURM_JOB_ID": "7"}), (1, {"PATH": "/nowhere"})]
)
def test_no_gpu_is_taken_unless_requested(
    count: int, environment: dict[str, str], start: Start
) -> None:
    """No GPU requested; SLURM assigns them; no driver."""
    job = start(count, **environment)
    assert _gpus(job) == "unset"
    _end(job)


def test_too_many_gpus_are_an_error(start: Start) -> None:
    _, errors = start(3).communicate()
    assert "this job needs 3 GPUs, and this machine has 2; set `gpus` (training)" in errors
