"""Logging and progress of jobs.

Each job logs to its own file and to the terminal. In a run with the project's logger plugin (see
`lamini.terminal`), jobs print only warnings. Long loops report through `Progress`: a progress bar
on a terminal of their own, otherwise a plain line every 30 seconds, with throughput and estimated
time left.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tqdm import tqdm

from lamini.errors import LaminiError, disk_full

LINE_EVERY_SECONDS = 30.0
_BRIEF = "LAMINI_BRIEF_TERMINAL"
_NO_CLUSTER = "none"
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def start_logging(log_file: str | Path, job: str) -> logging.Logger:
    """Log to `log_file` and to the terminal, there with the job's name as prefix.

    Args:
        log_file: the rule's `log:`; opened in append mode, so that a retry keeps earlier lines.
        job: short name for the terminal, such as "generate_pairs alpaca/0003".
    """
    if plain_progress():  # must be set before huggingface_hub is imported
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logger = logging.getLogger("lamini")
    logger.setLevel(logging.INFO)
    logger.handlers.clear()
    logger.propagate = False
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setFormatter(logging.Formatter(f"[{job}] %(message)s"))
    if brief_terminal():  # the run shows the errors of failed jobs
        to_terminal.setLevel(logging.WARNING)
        to_terminal.addFilter(lambda record: record.levelno < logging.ERROR)
    logger.addHandler(to_terminal)
    sys.excepthook = _log_uncaught
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    to_file = _LogFile(log_file, encoding="utf-8")
    to_file.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(to_file)
    return logger


class _LogFile(logging.FileHandler):
    """A log file that a full disk does not stop; the terminal gets all lines, too."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave out the line, without the traceback that `logging` prints for each line."""
        if disk_full(sys.exc_info()[1]) is None:
            super().handleError(record)
        elif record.levelno >= logging.ERROR and brief_terminal():  # the run would find no error
            print(record.getMessage(), file=sys.stderr)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Log a `LaminiError` or a full disk as one message, any other exception with its traceback."""
    logger = logging.getLogger("lamini")
    error = disk_full(error) or error
    kind = type(error)
    if issubclass(kind, (LaminiError, KeyboardInterrupt)):
        logger.error("%s", error or kind.__name__)
    else:
        logger.error("unexpected failure", exc_info=(kind, error, trace))


def plain_progress() -> bool:
    """Whether progress must be plain lines: no terminal of its own, or `LAMINI_PLAIN_PROGRESS`."""
    wanted = bool(os.environ.get("LAMINI_PLAIN_PROGRESS")) or brief_terminal()
    return wanted or not sys.stderr.isatty()


def start_brief_terminal() -> None:
    """Make the jobs of this run print only warnings; the run's own process has the rest."""
    os.environ[_BRIEF] = os.environ.get("SLURM_JOB_ID", _NO_CLUSTER)
    os.environ["TQDM_DISABLE"] = "1"  # progress bars of libraries, such as loading weights


def brief_terminal() -> bool:
    """Whether this job shares the terminal of a run with `start_brief_terminal`.

    A job of SLURM inherits the variable, but prints into a log file of its attempt.
    """
    return os.environ.get(_BRIEF) == os.environ.get("SLURM_JOB_ID", _NO_CLUSTER)


class Progress:
    """Progress of a loop over `total` units.

    Args:
        total: total number of units.
        unit: name of the units ("pairs", "requests", "steps").
        done: number of units that an earlier process has finished.
        details: called for each line; returns additional text ("spent $0.12, 3 in flight").
        pace: called for each line; returns the seconds of a unit, from which the time left follows.
            Without it, or if it returns None, the mean since the start is used.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        done: int = 0,
        details: Callable[[], str] | None = None,
        pace: Callable[[], float | None] | None = None,
    ) -> None:
        self.total, self.unit, self.done = total, unit, done
        self._details = details or (lambda: "")
        self._pace = pace or (lambda: None)
        self._first, self._started = done, time.monotonic()
        self._last_line = self._started
        self._logger = logging.getLogger("lamini")
        self._bar = (
            None
            if plain_progress()
            else tqdm(total=total, initial=done, unit=f" {unit}", file=sys.stderr, leave=False)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
        if exception[0] is None:
            self._logger.info("%s", self.line())

    def advance(self, count: int = 1) -> None:
        """Count `count` more units as done; log a line every `LINE_EVERY_SECONDS`."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
            self._bar.set_postfix_str(self._details(), refresh=False)
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY_SECONDS:
            self._last_line = now
            for handler in self._logger.handlers:
                on_screen = self._bar is None and handler.level <= logging.INFO
                if on_screen or isinstance(handler, logging.FileHandler):
                    handler.handle(
                        self._logger.makeRecord(
                            "lamini", logging.INFO, "", 0, self.line(), (), None
                        )
                    )

    def line(self) -> str:
        """Progress as text: units done, throughput, and estimated time left."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = (self.done - self._first) / seconds
        pace = self._pace() or (1 / rate if rate > 0 else float("inf"))
        left = (self.total - self.done) * pace
        eta = "done" if self.done >= self.total else f"ETA {duration(left)}"
        parts = [f"{self.done:,}/{self.total:,} {self.unit}", f"{rate:,.1f}/s", eta]
        return ", ".join(part for part in [*parts, self._details()] if part)


def duration(seconds: float) -> str:
    """A duration in its two largest units, or `unknown` for infinity.

    `12 s`, `3 min 4 s`, `14 min`, `5 h 12 min`, `2 d 3 h`.
    """
    if seconds == float("inf"):
        return "unknown"
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, odd_minutes = divmod(minutes, 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 10:
        return f"{minutes} min {rest} s"
    if hours < 1:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {odd_minutes} min"
    return f"{hours // 24} d {hours % 24} h"
