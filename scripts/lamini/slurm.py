"""Access to SLURM from inside a job: ID of the SLURM job, and output of SLURM's commands."""

import os
import shutil
import subprocess

from lamini.errors import LaminiError


def own_job() -> int | None:
    """ID of the SLURM job of this process; None outside SLURM or without `squeue`."""
    number = os.environ.get("SLURM_JOB_ID", "")
    return int(number) if number.isdigit() and shutil.which("squeue") else None


def ask(*command: str) -> str:
    """Run a SLURM command and return its output.

    Raises:
        LaminiError: if the command fails; contains its error output.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LaminiError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
