"""Submission to SLURM: waiting for the limit of submitted jobs, and nodes that are avoided."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from lamini.errors import LaminiError
from lamini.workflow.broken_nodes import AVOIDED, BrokenNodes

WAITING = Path(__file__).parents[2] / "scripts/slurm/sbatch"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with SLURM's programs: `sbatch` refuses with `refusal` while `refusals` is not 0."""
    programs = {
        "sbatch": """\
import pathlib, sys
left = pathlib.Path("refusals")
number = int(left.read_text())
pathlib.Path("calls").open("a").write(" ".join(sys.argv[1:]) + "|" + sys.stdin.read() + chr(10))
if number:
    left.write_text(str(number - 1))
    sys.exit(pathlib.Path("refusal").read_text())
print(41)
""",
        "squeue": """\
import pathlib
print(pathlib.Path("queue").read_text())
""",
    }
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{WAITING.parent}:{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("LAMINI_SUBMIT_SECONDS", "0.01")
    Path("queue").write_text("40 RUNNING")
    return tmp_path


def submit(refusals: int, reason: str, *options: str) -> "subprocess.CompletedProcess[str]":
    Path("refusals").write_text(str(refusals))
    Path("refusal").write_text(f"sbatch: error: {reason}")
    return subprocess.run(
        ["sbatch", *options, "--parsable", "/dev/stdin"],
        input="script",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "reason",
    [
        "QOSMaxSubmitJobPerUserLimit",
        "AssocMaxSubmitJobLimit",
        "AssocGrpSubmitJobsLimit",
        "QOSGrpSubmitJobsLimit",
        "QOSMaxSubmitJobPerAccountLimit",
    ],
)
def test_a_limit_of_submitted_jobs_is_waited_for(site: Path, reason: str) -> None:
    done = submit(3, reason)
    assert (done.returncode, done.stdout, done.stderr) == (0, "41\n", "")
    assert Path("calls").read_text().splitlines() == ["--parsable /dev/stdin|script"] * 4


@pytest.mark.parametrize(
    "reason", ["Invalid account", "QOSMaxWallDurationPerJobLimit", "Requested node configuration"]
)
def test_other_refusals_are_passed_on(site: Path, reason: str) -> None:
    done = submit(1, reason)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == f"sbatch: error: {reason}"


def test_a_limit_that_no_own_job_fills_is_a_refusal(site: Path) -> None:
    Path("queue").write_text("")
    done = submit(1, "AssocMaxSubmitJobLimit")
    assert done.returncode == 1 and "AssocMaxSubmitJobLimit" in done.stderr


@pytest.mark.parametrize(
    ("own", "avoided", "submitted"),
    [
        ([], "", "--parsable"),
        ([], "c2,c4", "--exclude=c2,c4 --parsable"),
        (["--exclude=c1"], "", "--exclude=c1 --parsable"),
        (["--exclude=c1"], "c2", "--exclude=c1,c2 --parsable"),
    ],
)
def test_broken_nodes_get_no_job(
    site: Path, monkeypatch: pytest.MonkeyPatch, own: list[str], avoided: str, submitted: str
) -> None:
    monkeypatch.setenv("LAMINI_AVOIDED_NODES", avoided)
    submit(0, "", *own)
    assert Path("calls").read_text() == f"{submitted} /dev/stdin|script\n"


def test_a_job_that_only_broken_nodes_can_run_goes_there(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMINI_AVOIDED_NODES", "c2")
    assert submit(1, "Requested node configuration is not available").stdout == "41\n"
    calls = [line.partition("|")[0] for line in Path("calls").read_text().splitlines()]
    assert calls == ["--exclude=c2 --parsable /dev/stdin", "--parsable /dev/stdin"]


def failure(number: str | None, log: str) -> logging.LogRecord:
    """Snakemake's record of a failed job."""
    record = logging.makeLogRecord({"event": LogEvent.JOB_ERROR, "log": ["missing.log", log]})
    record.aux = {} if number is None else {"external_jobid": number}
    return record


def test_a_node_is_avoided_after_two_jobs_that_did_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(AVOIDED, "")
    nodes = {"1": "c1", "2": "c2", "3": "c2", "4": "c1", "5": "c1", "7": "c2"}
    told: list[str] = []

    def node_of(number: str) -> str:
        if number not in nodes:
            raise LaminiError("Invalid job id specified")
        return nodes[number]

    watch = BrokenNodes(told.append, node_of)
    begun, not_begun = tmp_path / "begun.log", tmp_path / "other.log"
    begun.write_text("a line of the site\nhost: c1\nBuilding DAG of jobs...\n")
    not_begun.write_text("/bin/sh: 1: /shared/.venv/bin/python: not found\n")
    watch.handle(failure("1", str(begun)))
    watch.handle(failure("2", str(not_begun)))
    watch.handle(failure("6", str(not_begun)))  # SLURM has forgotten it
    watch.handle(failure(None, str(not_begun)))  # a local job
    watch.handle(failure("4", str(not_begun)))
    watch.handle(logging.makeLogRecord({"msg": "Error in rule x"}))
    assert told == [] and os.environ[AVOIDED] == ""
    watch.handle(failure("3", str(tmp_path / "none.log")))
    assert os.environ[AVOIDED] == "c2"
    watch.handle(failure("7", str(not_begun)))
    watch.handle(failure("5", str(not_begun)))
    assert os.environ[AVOIDED] == "c2,c1"
    assert [line.partition(":")[0] for line in told] == [
        "Node c2 gets no more jobs of this run",
        "Node c1 gets no more jobs of this run",
    ]


def test_without_slurm_it_says_so(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "bin/sbatch").unlink()
    (site / "bin/python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{WAITING.parent}:{site}/bin")
    done = submit(0, "")
    assert (done.returncode, done.stderr.strip()) == (1, "sbatch: no such program")
