"""The batch backend: an event loop in a thread that sends requests through the Batch API.

Requests are collected until a file is full or the session waits for an answer, then uploaded. The
state of the batches is polled every `poll_seconds`.
"""

import asyncio
import contextlib
import logging
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from lamini.errors import LaminiError
from lamini.log import duration
from lamini.settings.teacher import Teacher
from lamini.teacher.backend import Backend
from lamini.teacher.batch.dispatch import BatchDispatcher
from lamini.teacher.batch.journal import Journal
from lamini.teacher.batch.service import BatchService
from lamini.teacher.ledger import Ledger
from lamini.teacher.money import Budget
from lamini.teacher.pending import PendingRequest
from lamini.teacher.replies import RetryableError
from lamini.teacher.request import Spend

logger = logging.getLogger("lamini")

_MIN_POLLS = 10  # polls that must fail before the endpoint counts as down


class BatchBackend(Backend):
    """Sends requests in batches and writes their answers to the ledger.

    Args:
        settings: the endpoint, the Batch API's limits, timeouts and retries.
        ledger: answers are appended here before they are published; the journal is beside it.
        budget: checked before each batch.
        spend: counters of requests, answers and tokens; updated here.

    Raises:
        LaminiError: the API key is not in the environment, or the journal cannot be read.
    """

    def __init__(self, settings: Teacher, ledger: Ledger, budget: Budget, spend: Spend) -> None:
        super().__init__(settings, ledger, budget, spend)
        self._service = BatchService(settings)
        self._dispatcher = BatchDispatcher(
            settings=settings,
            service=self._service,
            ledger=ledger,
            journal=Journal(ledger.path),
            budget=budget,
            spend=spend,
            publish=self.publish,
        )
        self._submitted: list[PendingRequest] = []
        self._inbox: list[PendingRequest] = []
        self._failures, self._failing_since = 0, 0.0
        self._wake = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._work())
        self._thread = threading.Thread(target=self._run, name="teacher-batches", daemon=True)
        self._thread.start()

    @staticmethod
    def look_ahead(settings: Teacher) -> int:
        """No limit: a batch holds thousands of requests."""
        return sys.maxsize

    # --- Called from the session's thread --------------------------------------------------------

    def submit(self, pending: PendingRequest) -> None:
        """Add a request to the next batch."""
        self._submitted.append(pending)
        if len(self._submitted) >= self.settings.batch.requests_per_file:
            self.flush()

    def flush(self) -> None:
        """Send the submitted requests; called when the caller needs answers."""
        requests, self._submitted = self._submitted, []
        if requests:
            self._call(self._arrived, requests)

    def cancel(self, requests: Iterable[PendingRequest]) -> None:
        """Cancel requests that are in no batch yet; answers in open batches are paid and kept."""
        for pending in requests:
            pending.cancelled = True

    def close(self) -> None:
        """Stop without waiting: open batches are in the journal, received answers on disk."""
        self._call(self._task.cancel)
        self._thread.join()

    @property
    def in_flight(self) -> int:
        """Requests in batches that have not ended."""
        return sum(len(batch.bodies) for batch in list(self._dispatcher.open.values()))

    @property
    def states(self) -> dict[str, int]:
        """Number of open batches by state, as reported by the API."""
        batches = list(self._dispatcher.open.values())
        return dict(Counter(batch.status or "created" for batch in batches))

    @property
    def status(self) -> list[str]:
        """Parts of the progress line: requests in flight, and batches by state."""
        states = ", ".join(f"{count} {state}" for state, count in self.states.items())
        return [*super().status, *([f"batches {states}"] if states else [])]

    def _call(self, function: Callable[..., object], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended; `failure` holds the reason
            self._loop.call_soon_threadsafe(function, *arguments)

    # --- The client's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
        finally:
            self._loop.close()

    async def _work(self) -> None:
        try:
            while True:
                pause = await self._step_with_retry()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
                self._wake.clear()
        except LaminiError as error:
            self._fail(error)
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            logger.error("the batch backend failed: %s", self._service.scrubbed(text))
            self._fail(LaminiError("the teacher's batch backend failed; see the log"))
        finally:
            await self._service.close()

    async def _step_with_retry(self) -> float | None:
        """Run one step of the dispatcher; retryable failures are logged.

        Returns:
            the seconds until the next step; None: until requests arrive.

        Raises:
            LaminiError: a permanent error, or the endpoint was down for too long.
        """
        poll = self.settings.batch.poll_seconds
        try:
            await self._dispatcher.resume()
            requests, self._inbox = self._inbox, []
            self._dispatcher.take(requests)
            await self._dispatcher.step()
        except RetryableError as error:
            now = time.monotonic()
            if not self._failures:
                self._failing_since = now
            self._failures += 1
            most = max(self.settings.down_after, _MIN_POLLS * poll)
            address = self._service.address
            if now - self._failing_since >= most:
                raise LaminiError(
                    f"{address}: every request failed for {duration(most)} (last: {error});"
                    " run the same command again when the endpoint answers; open batches continue"
                ) from None
            logger.warning("%s: %s; retrying", address, self._service.scrubbed(str(error)))
            wait = 0.5 * random.uniform(0.5, 1.5) * 2 ** min(self._failures, 10)
            return error.retry_after or min(poll, wait)
        self._failures = 0
        return poll if self._dispatcher.busy else None

    def _arrived(self, requests: list[PendingRequest]) -> None:
        self._inbox += requests
        self._wake.set()

    def _fail(self, error: LaminiError) -> None:
        """Publish the error; open batches are not cancelled, and the next run resumes them."""
        self.publish_failure(type(error)(self._service.scrubbed(str(error))))
