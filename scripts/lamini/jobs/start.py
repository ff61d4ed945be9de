"""The start of every job: its log, and its tie to the workflow that started it.

A job whose Snakemake process was killed (SIGKILL, a lost login node) must not run on unseen: the
next run would start it a second time. So each job watches the process that started it. On SLURM, a
job outlives the Snakemake that submitted it; there, `predecessors` keeps two from doing the same.
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
    """Start logging to the rule's log; be the only job at this output, as long as Snakemake lives.

    Args:
        log_file: the rule's `log:`.
        job: short name for the terminal, such as "generate_pairs alpaca/0003".
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
    """The nearest ancestor that runs Snakemake; none when a job is run by hand."""
    for ancestor in process.parents():
        try:
            command = ancestor.cmdline()
        except psutil.Error:
            continue
        if any(Path(word).name == "snakemake" for word in command[:3]):
            return ancestor
    return None


def _watch(workflow: psutil.Process) -> None:
    """Wait for the end of the workflow's process, then ask this one to stop."""
    while workflow.is_running() and workflow.status() != psutil.STATUS_ZOMBIE:
        time.sleep(WATCH_EVERY_SECONDS)
    logging.getLogger("lamini").error(
        "the Snakemake process that started this job is gone: stopping; run the workflow again"
    )
    os.kill(os.getpid(), signal.SIGTERM)
