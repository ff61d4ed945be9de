"""Shares the GPUs of a machine without SLURM among the jobs of all runs there.

Each job takes as many free GPUs as it requests, and sees no others. A file lock per GPU marks it as
taken; the lock ends with the process, also after a crash. Under SLURM, which assigns GPUs itself,
and on machines without NVIDIA GPUs nothing happens.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

from lamini.errors import LaminiError

logger = logging.getLogger("lamini")
_WAIT_SECONDS = 1.0
_taken: list[IO[str]] = []
"""Open lock files; they stay open until the process ends."""


def take_gpus(count: int) -> None:
    """Take free GPUs for this process and its children; waits until enough are free.

    Sets CUDA_VISIBLE_DEVICES, so call it before CUDA is used.

    Args:
        count: number of GPUs.

    Raises:
        LaminiError: when the machine has fewer GPUs.
    """
    if count == 0 or "SLURM_JOB_ID" in os.environ or _taken:
        return
    gpus = _visible()
    if not gpus:
        return
    if count > len(gpus):
        raise LaminiError(
            f"this job needs {count} GPUs, and this machine has {len(gpus)}; set `gpus` (training)"
            " or `evaluation_gpus` of the model"
        )
    waiting = False
    while (locked := _lock(gpus, count)) is None:
        if not waiting:
            logger.info("waiting for %d of %d GPUs, which other jobs use", count, len(gpus))
        waiting = True
        time.sleep(_WAIT_SECONDS)
    _taken.extend(locked.values())
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(locked)


def _visible() -> list[str]:
    """Ids of the GPUs that this process may use."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [gpu.strip() for gpu in allowed.split(",") if gpu.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return answer.stdout.split() if answer.returncode == 0 else []


def _lock(gpus: list[str], count: int) -> dict[str, IO[str]] | None:
    """Open lock files of `count` free GPUs; None, with no lock kept, if fewer are free."""
    folder = Path(tempfile.gettempdir()) / f"lamini-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as opened:
        locked: dict[str, IO[str]] = {}
        for gpu in gpus:
            file = opened.enter_context(open(folder / f"{gpu}.lock", "w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            locked[gpu] = file
            if len(locked) == count:
                opened.pop_all()
                return locked
    return None
