"""Signals that ask for a stop: noticed at once, obeyed at the end of the step."""

import logging
import signal
from types import FrameType, TracebackType
from typing import Self

logger = logging.getLogger("lamini")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""Snakemake's and SLURM's way to end a job, Ctrl-C, and `time_limit`'s warning."""
EXIT_STOPPED = 85
"""Exit code of a run that saved its state and has not finished; never that of a finished one."""


class StopSignals:
    """Remembers that a stop was asked for, while the `with` block lasts."""

    def __init__(self) -> None:
        self.received: str | None = None
        """Name of the first signal that came."""
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
