"""Stop a run with time to save: stop signals, and the time limit of a SLURM job.

Signals are recorded when they arrive and acted on at the end of the step.

SLURM sends its warning signals only to the process that it started, which is Snakemake. On most
clusters (with control groups) all other processes get only the final SIGKILL. A run therefore asks
SLURM for the remaining time and sends itself a signal before the limit.
"""

import logging
import os
import re
import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from lamini import slurm
from lamini.errors import LaminiError

logger = logging.getLogger("lamini")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""SIGTERM from Snakemake or SLURM, Ctrl-C, and the warning of `stop_before_time_limit`."""
EXIT_STOPPED = 85
"""Exit code of a run that saved its state before its last step."""
_MAX_MARGIN, _SHARE = 300.0, 0.1


class StopSignals:
    """Records the first stop signal that arrives inside the `with` block."""

    def __init__(self) -> None:
        self.received: str | None = None
        """Name of the first signal; None if none arrived."""
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number).name
            logger.warning("%s: saving and stopping after this step", self.received)


def stop_before_time_limit() -> None:
    """Start a timer that sends SIGUSR1 to this process before the SLURM time limit, if any."""
    job = slurm.own_job()
    if job is None:
        return
    try:
        left = read_time_left(slurm.ask("squeue", "--noheader", f"--jobs={job}", "--format=%L"))
    except LaminiError as error:
        logger.warning("%s", error)
        left = None
    if left is None:
        logger.info("no SLURM time limit found; a killed job resumes from its last checkpoint")
        return
    timer = threading.Timer(seconds_until_stop(left), os.kill, (os.getpid(), signal.SIGUSR1))
    timer.daemon = True
    timer.start()


def seconds_until_stop(left: float) -> float:
    """Seconds to train before stopping; the rest is reserved for one step and one checkpoint."""
    return left - min(_MAX_MARGIN, _SHARE * left)


def read_time_left(text: str) -> float | None:
    """Seconds from squeue's `[days-][[hours:]minutes:]seconds`; None for `UNLIMITED` and others."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(?:(\d+):)?(\d+)", text.strip())
    if match is None:
        return None
    days, *parts = match.groups()
    seconds = 0
    for part in filter(None, parts):
        seconds = 60 * seconds + int(part)
    return float(86400 * int(days or 0) + seconds)
