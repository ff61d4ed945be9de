"""Start of every job: opens the log, and watches the Snakemake process that started the job.

If Snakemake is killed (SIGKILL, a lost login node), its jobs must stop, because the next run starts
them again. Each job therefore watches the process that started it. A SLURM job outlives the
Snakemake process that submitted it; there, `predecessors` prevents duplicate jobs.
"""

import logging
import os
import signal
import threading
import time
from pathlib import Path

import psutil

from lamini.jobs.predecessors import end_predecessors
from lamini.log import start_logging

WATCH_EVERY_SECONDS = 0.5


def start_job(log_file: str | Path, job: str) -> logging.Logger:
    """Start logging, watch the Snakemake process, and cancel older SLURM jobs for the same output.

    Args:
        log_file: the rule's `log:`.
        job: short name of the job for the terminal, such as "generate_pairs alpaca/0003".
    """
    logger = start_logging(log_file, job)
    workflow = find_workflow(psutil.Process())
    if workflow is not None:
        watch = threading.Thread(
            target=_watch, args=(workflow,), name="watch-workflow", daemon=True
        )
        watch.start()
    end_predecessors(logger)
    return logger


def find_workflow(process: psutil.Process) -> psutil.Process | None:
    """Nearest ancestor process that runs Snakemake; None if the job was started by hand."""
    for ancestor in process.parents():
        try:
            command = ancestor.cmdline()
        except psutil.Error:
            continue
        if any(Path(word).name == "snakemake" for word in command[:3]):
            return ancestor
    return None


def _watch(workflow: psutil.Process) -> None:
    """Wait until the Snakemake process ends, then send SIGTERM to this process."""
    while workflow.is_running() and workflow.status() != psutil.STATUS_ZOMBIE:
        time.sleep(WATCH_EVERY_SECONDS)
    logging.getLogger("lamini").error(
        "the Snakemake process of this job has ended: stopping; run the workflow again"
    )
    os.kill(os.getpid(), signal.SIGTERM)
