"""The live backend: an event loop in a thread that sends each request on its own.

The wire format is that of the `openai` package. The transport is aiohttp on uvloop, which needs a
tenth of the package's time per request.
"""

import asyncio
import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Mapping

import aiohttp
import uvloop

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher
from lamini.teacher.backend import Backend
from lamini.teacher.batch.journal import refuse_open_batches
from lamini.teacher.commit import Committer
from lamini.teacher.completions import Completion
from lamini.teacher.connections import OneReplyConnector
from lamini.teacher.dispatch import Dispatcher
from lamini.teacher.endpoints import SHORTEST_SECRET, Target, external_targets
from lamini.teacher.ledger import Ledger, row_line
from lamini.teacher.money import Budget, running_jobs
from lamini.teacher.pending import PendingRequest
from lamini.teacher.replies import without_secrets
from lamini.teacher.request import Answer, Spend, body_digest
from lamini.teacher.rows import answer_of_row, ledger_row
from lamini.teacher.verdicts import Verdicts

logger = logging.getLogger("lamini")

_DRAIN_SECONDS = 30.0  # time limit for answers in flight (they are paid) after an error
SHARE_SECONDS = 30.0
"""Interval in seconds at which the rate limits are shared again by the jobs that run."""
_LOOK_AHEAD = 4096
"""Requests that are read ahead of the oldest unanswered one, so that a slow answer delays no other
request; a shard has 10,000."""


class LiveBackend(Backend):
    """Sends requests to the endpoints, as many concurrently as their limits allow."""

    def __init__(self, settings: Teacher, ledger: Ledger, budget: Budget, spend: Spend) -> None:
        super().__init__(settings, ledger, budget, spend)
        self._stopping: BaseException | None = None
        self._inbox: deque[PendingRequest] = deque()
        self._woken = False
        self._targets: list[Target] = []
        self._dispatcher: Dispatcher | None = None
        self._session: aiohttp.ClientSession | None = None
        self._committer = Committer(ledger, self._committed, self._fail_at_once)
        self._committer.start()
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._loop.set_exception_handler(self._unexpected)
        self._thread = threading.Thread(target=self._run, name="teacher-client", daemon=True)
        self._thread.start()

    # --- Called from the session's thread --------------------------------------------------------

    @staticmethod
    def look_ahead(settings: Teacher) -> int:
        """Maximum number of requests that are read from the caller and not yet yielded."""
        return max(_LOOK_AHEAD, settings.max_concurrency)

    def submit(self, pending: PendingRequest) -> None:
        """Send a request as soon as the rate limits allow."""
        self._inbox.append(pending)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._take_in)

    def cancel(self, requests: Iterable[PendingRequest]) -> None:
        """Cancel requests whose answers are no longer needed."""
        for pending in requests:
            pending.cancelled = True
        self._loop.call_soon_threadsafe(self._give_up, list(requests))

    def drain(self, seconds: float) -> None:
        """Send no more requests, and wait for the replies to requests in flight."""
        self._loop.call_soon_threadsafe(self._stop_sending)
        until = time.monotonic() + seconds
        while self.in_flight and time.monotonic() < until:
            time.sleep(0.05)

    def close(self) -> None:
        """Stop without waiting for replies; received answers are then on disk."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._committer.close()

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""
        return self._dispatcher.in_flight if self._dispatcher else 0

    @property
    def status(self) -> list[str]:
        """Part of the progress line: requests in flight, and the current concurrency limit."""
        room = sum(int(target.limits.concurrency) for target in self._targets)
        return [f"{self.in_flight} in flight of {min(self.settings.max_concurrency, room)}"]

    def find_targets(self) -> list[Target]:
        """The endpoints; called in the backend's thread before the first request is sent.

        Raises:
            LaminiError: an API key is missing, or this shard has open batches.
        """
        refuse_open_batches(self.ledger.path)
        return external_targets(self.settings)

    def end_targets(self) -> None:
        """Release the endpoints; called at the end of the backend's thread."""

    # --- The client's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            if self._dispatcher:
                self._dispatcher.stop_sending()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            if self._session:
                self._loop.run_until_complete(self._session.close())
        finally:
            self._loop.close()
            self.end_targets()

    def _take_in(self) -> None:
        self._woken = False
        if self._stopping:
            return
        if self._dispatcher is None:
            try:
                self._dispatcher = self._connect()
            except LaminiError as error:
                self._fail(error)
                return
        requests = []
        while self._inbox:
            requests.append(self._inbox.popleft())
        self._dispatcher.take(requests)

    def _stop_sending(self) -> None:
        if self._dispatcher:
            self._dispatcher.stop_sending()

    def _give_up(self, requests: list[PendingRequest]) -> None:
        if self._dispatcher:
            self._dispatcher.cancel(requests)

    def _connect(self) -> Dispatcher:
        """Create the dispatcher; called when the first request is not in a ledger."""
        self._targets = self.find_targets()
        self._session = aiohttp.ClientSession(
            loop=self._loop,
            connector=OneReplyConnector(self._loop),
            cookie_jar=aiohttp.DummyCookieJar(loop=self._loop),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=min(30.0, self.settings.timeout)
            ),  # the dispatcher ends late requests
        )
        self._loop.call_later(SHARE_SECONDS, self._count_jobs)
        return Dispatcher(
            settings=self.settings,
            loop=self._loop,
            targets=self._targets,
            session=self._session,
            budget=self.budget,
            verdicts=Verdicts(self.settings.max_refused_share, min(1, len(self.ledger))),
            spend=self.spend,
            keep=self._keep,
            fail=self._fail,
            drained=self._publish_failure,
        )

    def _count_jobs(self) -> None:
        """Count the running jobs in another thread: a shared file system may be slow."""
        counted = self._loop.run_in_executor(None, running_jobs, self.ledger.path)
        counted.add_done_callback(self._share_limits)

    def _share_limits(self, counted: asyncio.Future[int]) -> None:
        if not counted.cancelled():
            for target in self._targets:
                target.limits.set_share(1 / counted.result())
            self._loop.call_later(SHARE_SECONDS, self._count_jobs)

    def _keep(self, pending: PendingRequest, completion: Completion) -> None:
        """Count an answer and queue its row for the ledger."""
        completion = self.budget.counted(completion, pending.prompt_tokens)
        self.budget.pay(self.spend, completion)
        row = ledger_row(
            pending.key,
            body_digest(pending.payload),
            completion,
            pending.attempts,
            pending.sent_at,
            asked=self.settings.model,
            discarded=pending.discarded,
        )
        self._committer.put(row_line(row), (pending, answer_of_row(row, cached=False)))

    def _committed(self, done: list[tuple[PendingRequest, Answer]]) -> None:
        """Publish answers that are on disk; called in the committer's thread."""
        self.spend.answered += len(done)
        self.publish(done)

    # --- Ends ------------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """Send no more requests; publish the error when no request is in flight."""
        if self._stopping:
            return
        if not isinstance(error, LaminiError):
            self._log_bug("".join(traceback.format_exception(error)))
            error = LaminiError("the teacher's client failed; see the log")
        self._stopping = type(error)(self._scrubbed(str(error)))
        if self._dispatcher:
            self._dispatcher.stop_sending()
        self._loop.call_later(_DRAIN_SECONDS, self._publish_failure)
        if not self.in_flight:
            self._publish_failure()

    def _fail_at_once(self, error: BaseException) -> None:
        """Publish an error of the ledger at once: further answers could not be written."""
        self._stopping = error
        self._publish_failure()

    def _publish_failure(self) -> None:
        self.publish_failure(self._stopping)

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
        """Handle an exception in a callback of the event loop, which is always a bug."""
        error = context.get("exception")
        message = str(context.get("message"))
        self._fail(error if isinstance(error, BaseException) else RuntimeError(message))

    def _log_bug(self, text: str) -> None:
        logger.error("the teacher's client failed: %s", self._scrubbed(text))

    def _scrubbed(self, text: str) -> str:
        for target in self._targets:
            for secret in (target.secret, *target.more_headers.values()):
                if len(secret) >= SHORTEST_SECRET:
                    text = text.replace(secret, "[key]")
        return without_secrets(text)
