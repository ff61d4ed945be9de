"""Group commit: answers that arrive within a tenth of a second are synced to disk together.

They are written to the file ten times as often, without a sync, so a killed process loses only the
answers of its last hundredth of a second. An fsync takes milliseconds, so it runs in its own thread
and does not block the client. The fsyncs of many jobs, at most ten per second each, do not overload
a shared file system.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from lamini.teacher.ledger import Ledger

GATHER_SECONDS = 0.1
"""Time between syncs."""
_WRITE_SECONDS = 0.01
"""Time between writes."""


class Committer(threading.Thread):
    """Writes rows to the ledger and calls back when they are on disk.

    Args:
        ledger: the ledger to append to.
        committed: called in this thread with the tokens of the rows that are now on disk.
        failed: called once in this thread, if the ledger cannot be written.
    """

    def __init__(
        self,
        ledger: Ledger,
        committed: Callable[[list[Any]], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="teacher-commit", daemon=True)
        self._ledger, self._committed, self._failed = ledger, committed, failed
        self._rows: list[tuple[bytes, Any]] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()

    def put(self, line: bytes, token: object) -> None:
        """Queue a row; `committed` gets `token` when the row is on disk."""
        with self._lock:
            self._rows.append((line, token))
        self._wake.set()

    def run(self) -> None:
        """Commit rows until the committer is closed and its queue is empty."""
        try:
            written: list[Any] = []
            synced = -math.inf
            while True:
                self._wake.wait()
                closing = self._closing.wait(_WRITE_SECONDS)
                self._wake.clear()
                with self._lock:
                    rows, self._rows = self._rows, []
                if rows:
                    self._ledger.write([line for line, _ in rows])
                    written += [token for _, token in rows]
                elif closing and not written:
                    return
                if written and (closing or time.monotonic() - synced >= GATHER_SECONDS):
                    self._ledger.sync()
                    self._committed(written)
                    written, synced = [], time.monotonic()
                if closing or written:
                    self._wake.set()
        except BaseException as error:
            self._failed(error)

    def close(self) -> None:
        """Commit the queued rows and end the thread."""
        self._closing.set()
        self._wake.set()
        self.join()
