"""SLURM as a job sees it: its own number, and what SLURM's commands answer."""

import os
import shutil
import subprocess

from lamini.errors import LaminiError


def own_job() -> int | None:
    """The number of the SLURM job around this process; none without one, or without `squeue`."""
    number = os.environ.get("SLURM_JOB_ID", "")
    return int(number) if number.isdigit() and shutil.which("squeue") else None


def ask(*command: str) -> str:
    """What one of SLURM's commands prints.

    Raises:
        LaminiError: when it fails, with what it says.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LaminiError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
