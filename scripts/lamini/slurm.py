"""SLURM's commands: this user's jobs, the ID of one's own job, limits of submitted jobs."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from getpass import getuser

from lamini.errors import LaminiError

_UNFINISHED = "pending,configuring,running,completing,suspended"


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """An unfinished SLURM job."""

    number: str
    """SLURM job ID."""
    state: str
    """State in the output of `squeue`, such as `PENDING`."""
    folder: str
    """Working folder."""
    comment: str
    """Snakemake's executor writes rule and wildcards here: `rule_..._wildcards_...`."""
    reason: str
    """Why a pending job waits, such as `Priority`; otherwise the nodes it runs on."""


def is_here() -> bool:
    """Whether jobs can be submitted from this machine."""
    return shutil.which("sbatch") is not None


def own_job() -> int | None:
    """ID of the SLURM job of this process; None outside SLURM or without `squeue`."""
    number = os.environ.get("SLURM_JOB_ID", "")
    return int(number) if number.isdigit() and shutil.which("squeue") else None


def own_queue() -> list[QueuedJob]:
    """This user's unfinished SLURM jobs.

    Raises:
        LaminiError: if `squeue` fails.
    """
    answer = ask(
        "squeue", "--me", "--noheader", f"--states={_UNFINISHED}", "--format=%i|%T|%R|%k|%Z"
    )
    return list(read_queue(answer))


def read_queue(answer: str) -> Iterator[QueuedJob]:
    """Jobs from lines `number|state|(reason) or nodes|comment|folder`; other lines are left out."""
    for line in answer.splitlines():
        fields = line.strip().split("|", 4)
        if len(fields) == 5:
            number, state, reason, comment, folder = fields
            yield QueuedJob(number, state, folder, comment, reason.strip("()"))


def node_of(number: str) -> str:
    """The first node of a SLURM job that has just ended; empty if it had none.

    Raises:
        LaminiError: if SLURM does not know the job any more.
    """
    shown = ask("scontrol", "show", "job", "--oneliner", number)
    match = re.search(r"\bBatchHost=(\S+)", shown)
    return match[1] if match else ""


def submit_limits() -> Iterator[tuple[str, int]]:
    """Limits of submitted jobs, by account and by QOS that the user may have.

    Raises:
        LaminiError: if `sacctmgr` fails.
    """
    table = ("--noheader", "--parsable2", "show")
    mine = f"user={getuser()}"
    own = ask("sacctmgr", *table, "associations", mine, "format=account,maxsubmit,qos")
    allowed: set[str] = set()
    for line in own.splitlines():
        account, limit, qos = line.split("|")
        allowed |= set(filter(None, qos.split(",")))
        if limit:
            yield f"account {account}", int(limit)
    for line in ask("sacctmgr", *table, "qos", "format=name,maxsubmitpu").splitlines():
        name, limit = line.split("|")
        if limit and (name in allowed or not allowed):
            yield f"QOS {name}", int(limit)


def ask(*command: str) -> str:
    """Run a SLURM command and return its output.

    Raises:
        LaminiError: if the command fails; contains its error output.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LaminiError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
