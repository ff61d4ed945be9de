"""Stop signals: recorded when they arrive, acted on at the end of the step."""

import logging
import signal
from types import FrameType, TracebackType
from typing import Self

logger = logging.getLogger("lamini")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""SIGTERM from Snakemake or SLURM, Ctrl-C, and the warning of `time_limit`."""
EXIT_STOPPED = 85
"""Exit code of a run that saved its state before its last step."""


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
