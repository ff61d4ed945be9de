"""One job at a time for one output on a SLURM cluster, also when two runs submitted it.

A Snakemake process that was killed leaves its SLURM jobs at work, and the next run submits the same
jobs again. Two trainings in one folder would spoil each other's checkpoints. So a job first ends
the older jobs of the same user, folder, rule and wildcards; what they had done is on disk, and it
goes on from there.
"""

import contextlib
import logging
import time
from collections.abc import Iterable

from lamini import slurm
from lamini.errors import LaminiError

PATIENCE_SECONDS = 180.0
_STATES = "pending,configuring,running,completing,suspended"


def end_predecessors(logger: logging.Logger) -> None:
    """Cancel older SLURM jobs that make what this one makes, and wait for their end.

    Does nothing outside of a SLURM job that Snakemake submitted.

    Raises:
        LaminiError: when one does not end.
    """
    job = slurm.own_job()
    if job is None:
        return
    older = predecessors(_queue(logger), job)
    if not older:
        return
    logger.warning("ending SLURM job %s of an earlier run, to go on from what it did", older)
    with contextlib.suppress(LaminiError):  # one that has just ended can't be cancelled
        slurm.ask("scancel", *map(str, older))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while older := predecessors(_queue(logger), job):
        if time.monotonic() > deadline:
            raise LaminiError(
                f"SLURM job {older[0]} of an earlier run makes the same output and does not end:"
                f" `scancel {older[0]}`, and run the workflow again"
            )
        time.sleep(1)


def predecessors(queue: Iterable[str], job: int) -> list[int]:
    """Older jobs with the comment and working folder of `job`.

    Args:
        queue: lines `number|comment|folder`.
        job: this one's number.
    """
    rows = [line.strip().split("|", 2) for line in queue]
    facts = {int(number): rest for number, *rest in rows if number.isdigit()}
    own = facts.get(job, [""])
    # Snakemake's executor writes rule and wildcards into the comment; other jobs are none of ours.
    if not own[0].startswith("rule_"):
        return []
    return [number for number, rest in facts.items() if number < job and rest == own]


def _queue(logger: logging.Logger) -> list[str]:
    """This user's unfinished jobs; none, with a warning, when SLURM does not answer."""
    try:
        answer = slurm.ask(
            "squeue", "--me", "--noheader", f"--states={_STATES}", "--format=%i|%k|%Z"
        )
    except LaminiError as error:
        logger.warning("%s; older jobs are not looked for", error)
        return []
    return answer.splitlines()
