"""Group commit: answers are fsync'd together, at most some milliseconds after they came.

An fsync takes milliseconds, so it has a thread of its own; the client goes on meanwhile.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from lamini.teacher.ledger import Ledger

GATHER_SECONDS = 0.005


class Committer(threading.Thread):
    """Writes rows to the ledger and calls back once they are on disk.

    Args:
        ledger: where to.
        committed: called in this thread with the tokens of rows that are now on disk.
        failed: called in this thread, once, when the ledger cannot be written.
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
        self._closing = False

    def put(self, line: bytes, token: object) -> None:
        """Have a row written soon; `token` comes back when it is on disk."""
        with self._lock:
            self._rows.append((line, token))
        self._wake.set()

    def run(self) -> None:
        """Commit until closed and empty."""
        try:
            while True:
                self._wake.wait()
                if not self._closing:
                    time.sleep(GATHER_SECONDS)
                self._wake.clear()
                with self._lock:
                    rows, self._rows = self._rows, []
                if rows:
                    self._ledger.append([line for line, _ in rows])
                    self._committed([token for _, token in rows])
                elif self._closing:
                    return
                if self._closing:
                    self._wake.set()
        except BaseException as error:
            self._failed(error)

    def close(self) -> None:
        """Commit what is waiting and end."""
        self._closing = True
        self._wake.set()
        self.join()
