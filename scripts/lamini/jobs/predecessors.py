"""Cancel older SLURM jobs that make the same output.

If Snakemake is killed, its SLURM jobs continue, and the next run submits the same jobs again. Two
trainings in one folder would corrupt each other's checkpoints. A job therefore first cancels older
SLURM jobs with the same user, folder, rule and wildcards, and resumes from their state on disk.
"""

import contextlib
import logging
import time
from collections.abc import Iterable

from lamini import slurm
from lamini.errors import LaminiError
from lamini.slurm import QueuedJob

MAX_WAIT_SECONDS = 180.0


def end_predecessors(logger: logging.Logger) -> None:
    """Cancel older SLURM jobs that make the same output, and wait until they have ended.

    Does nothing outside a SLURM job that Snakemake submitted.

    Raises:
        LaminiError: if an older job does not end within `MAX_WAIT_SECONDS`.
    """
    job = slurm.own_job()
    if job is None:
        return
    older = predecessors(_queue(logger), job)
    if not older:
        return
    logger.warning("cancelling SLURM job %s of an earlier run: it makes the same output", older)
    with contextlib.suppress(LaminiError):  # scancel fails if a job has just ended
        slurm.ask("scancel", *map(str, older))
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while older := predecessors(_queue(logger), job):
        if time.monotonic() > deadline:
            raise LaminiError(
                f"SLURM job {older[0]} of an earlier run makes the same output and does not end;"
                f" cancel it (`scancel {older[0]}`), and run the workflow again"
            )
        time.sleep(1)


def predecessors(queue: Iterable[QueuedJob], job: int) -> list[int]:
    """SLURM job IDs of older jobs with the same comment and working folder as `job`.

    Args:
        queue: unfinished jobs of this user.
        job: SLURM job ID of this job.
    """
    jobs = {int(each.number): each for each in queue if each.number.isdigit()}
    own = jobs.get(job)
    # Snakemake's executor writes rule and wildcards into the comment: `rule_...`.
    if own is None or not own.comment.startswith("rule_"):
        return []
    return [
        number
        for number, each in jobs.items()
        if number < job and (each.comment, each.folder) == (own.comment, own.folder)
    ]


def _queue(logger: logging.Logger) -> list[QueuedJob]:
    """This user's unfinished SLURM jobs; empty, with a warning, if SLURM does not answer."""
    try:
        return slurm.own_queue()
    except LaminiError as error:
        logger.warning("%s; cannot search for older SLURM jobs with the same output", error)
        return []
