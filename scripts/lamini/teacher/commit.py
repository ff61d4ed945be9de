"""Group commit: answers that arrive within a tenth of a second are written with one fsync.

An fsync takes milliseconds, so it runs in its own thread and does not block the client. The fsyncs
of many jobs, at most ten per second each, do not overload a shared file system.
"""

import threading
from collections.abc import Callable
from typing import Any

from lamini.teacher.ledger import Ledger

GATHER_SECONDS = 0.1


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
            while True:
                self._wake.wait()
                self._closing.wait(GATHER_SECONDS)
                self._wake.clear()
                with self._lock:
                    rows, self._rows = self._rows, []
                if rows:
                    self._ledger.append([line for line, _ in rows])
                    self._committed([token for _, token in rows])
                elif self._closing.is_set():
                    return
                if self._closing.is_set():
                    self._wake.set()
        except BaseException as error:
            self._failed(error)

    def close(self) -> None:
        """Commit the queued rows and end the thread."""
        self._closing.set()
        self._wake.set()
        self.join()
