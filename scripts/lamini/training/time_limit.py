"""A SLURM job's time limit, noticed in time to save.

SLURM sends its signals to the process that it started, which is Snakemake; where processes are kept
in control groups, as on most clusters, no other gets any but the last, SIGKILL. So a run asks how
long its job may take, and tells itself to stop before.
"""

import logging
import os
import re
import signal
import threading

from lamini import slurm
from lamini.errors import LaminiError

logger = logging.getLogger("lamini")
_LONGEST_MARGIN, _SHARE = 300.0, 0.1


def stop_before_time_limit() -> None:
    """Send this process SIGUSR1 some minutes before its job's limit, if it has one."""
    job = slurm.own_job()
    if job is None:
        return
    try:
        left = read_time_left(slurm.ask("squeue", "--noheader", f"--jobs={job}", "--format=%L"))
    except LaminiError as error:
        logger.warning("%s", error)
        left = None
    if left is None:
        logger.info("SLURM tells no time limit: the last checkpoint must do when the job is killed")
        return
    timer = threading.Timer(seconds_until_stop(left), os.kill, (os.getpid(), signal.SIGUSR1))
    timer.daemon = True
    timer.start()


def seconds_until_stop(left: float) -> float:
    """How long to go on, of so many seconds: a step and a checkpoint must fit in what is kept."""
    return left - min(_LONGEST_MARGIN, _SHARE * left)


def read_time_left(text: str) -> float | None:
    """Seconds of squeue's `[days-][[hours:]minutes:]seconds`; none for `UNLIMITED` and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(?:(\d+):)?(\d+)", text.strip())
    if match is None:
        return None
    days, *parts = match.groups()
    seconds = 0
    for part in filter(None, parts):
        seconds = 60 * seconds + int(part)
    return float(86400 * int(days or 0) + seconds)
