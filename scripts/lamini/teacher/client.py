"""The client: an event loop in a thread, from requests to answers that are on disk.

The wire format is that of the `openai` package; the transport is aiohttp on uvloop, which takes a
tenth of the time per request.
"""

import asyncio
import logging
import threading
import traceback
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher
from lamini.teacher.commit import Committer
from lamini.teacher.dispatch import Dispatcher, Job
from lamini.teacher.endpoints import Target, external_targets, local_target
from lamini.teacher.ledger import Ledger, row_line
from lamini.teacher.money import Budget
from lamini.teacher.replies import Completion, without_secrets
from lamini.teacher.request import Answer, Spend, body_digest
from lamini.teacher.server import ServerProcess

logger = logging.getLogger("lamini")

_DRAIN_SECONDS = 30.0  # how long paid answers may still come in after an error stops the job


class Client:
    """Sends jobs and has their answers committed.

    Args:
        settings: endpoints, limits, patience.
        ledger: where answers go before anybody sees them.
        budget: asked before each request.
        spend: counted up here.
        server_log: log of the local server, if it comes to one.
    """

    def __init__(
        self, settings: Teacher, ledger: Ledger, budget: Budget, spend: Spend, server_log: Path
    ) -> None:
        self._settings, self._budget, self._spend = settings, budget, spend
        self.changed = threading.Condition()
        """Notified when answers are on disk or `failure` is set."""
        self.failure: BaseException | None = None
        self._stopping: BaseException | None = None
        self._inbox: deque[Job] = deque()
        self._woken = False
        self._targets: list[Target] = []
        self._dispatcher: Dispatcher | None = None
        self._session: aiohttp.ClientSession | None = None
        self._server: ServerProcess | None = None
        if settings.backend == "local" and settings.server:
            self._server = ServerProcess(settings.server, settings.model, server_log)
        self._committer = Committer(ledger, self._committed, self._fail_at_once)
        self._committer.start()
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._loop.set_exception_handler(self._unexpected)
        self._thread = threading.Thread(target=self._run, name="teacher-client", daemon=True)
        self._thread.start()

    # --- Called from the session's thread --------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Send a request as soon as limits allow."""
        self._inbox.append(job)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._take_in)

    def flush(self) -> None:
        """Nothing to do: a request never waits for others."""

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Give up requests that nobody waits for any more."""
        for job in jobs:
            job.cancelled = True
        self._loop.call_soon_threadsafe(self._give_up, list(jobs))

    def close(self) -> None:
        """Stop at once; answers that have arrived are on disk afterwards."""
        if self._server:
            self._server.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._committer.close()

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""
        return self._dispatcher.in_flight if self._dispatcher else 0

    @property
    def states(self) -> dict[str, int]:
        """How many batches are in which state; the live API has none."""
        return {}

    @property
    def concurrency(self) -> int:
        """Requests that may be in flight as things stand."""
        room = sum(int(target.limits.concurrency) for target in self._targets)
        return min(self._settings.max_concurrency, room)

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
            if self._server:
                self._server.stop()

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
        jobs = []
        while self._inbox:
            jobs.append(self._inbox.popleft())
        self._dispatcher.take(jobs)

    def _give_up(self, jobs: list[Job]) -> None:
        if self._dispatcher:
            self._dispatcher.cancel(jobs)

    def _connect(self) -> Dispatcher:
        """Find the endpoints, or start one: the first request must really be sent."""
        if self._server:
            self._server.start()
            self._targets = [local_target(self._settings, self._server)]
        else:
            self._targets = external_targets(self._settings)
        self._session = aiohttp.ClientSession(
            loop=self._loop,
            connector=aiohttp.TCPConnector(limit=0, loop=self._loop),
            cookie_jar=aiohttp.DummyCookieJar(loop=self._loop),
            timeout=aiohttp.ClientTimeout(
                total=self._settings.timeout, sock_connect=min(30.0, self._settings.timeout)
            ),
        )
        return Dispatcher(
            settings=self._settings,
            loop=self._loop,
            targets=self._targets,
            session=self._session,
            budget=self._budget,
            spend=self._spend,
            keep=self._keep,
            fail=self._fail,
            drained=self._publish_failure,
        )

    def _keep(self, job: Job, completion: Completion) -> None:
        """Hand an answer to the committer."""
        self._budget.pay(self._spend, completion.prompt_tokens, completion.completion_tokens)
        row = ledger_row(job.key, body_digest(job.payload), completion, job.attempts, job.sent_at)
        self._committer.put(row_line(row), (job, answer_of_row(row, cached=False)))

    def _committed(self, done: list[tuple[Job, Answer]]) -> None:
        """Called by the committer, in its thread."""
        with self.changed:
            for job, answer in done:
                job.answer = answer
            self._spend.answered += len(done)
            self.changed.notify_all()

    # --- Ends ------------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """Send nothing more; tell the caller once what is in flight has come in."""
        if self._stopping:
            return
        if not isinstance(error, LaminiError):
            self._log_mistake("".join(traceback.format_exception(error)))
            error = LaminiError("the teacher's client failed; the log says where")
        self._stopping = type(error)(self._scrubbed(str(error)))
        if self._dispatcher:
            self._dispatcher.stop_sending()
        self._loop.call_later(_DRAIN_SECONDS, self._publish_failure)
        if not self.in_flight:
            self._publish_failure()

    def _fail_at_once(self, error: BaseException) -> None:
        """Called by the committer: what still comes in could not be kept."""
        self._stopping = error
        self._publish_failure()

    def _publish_failure(self) -> None:
        with self.changed:
            self.failure = self._stopping
            self.changed.notify_all()

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of the event loop raised, which only a mistake in this program does."""
        error = context.get("exception")
        self._fail(error or RuntimeError(str(context.get("message"))))

    def _log_mistake(self, text: str) -> None:
        logger.error("the teacher's client failed: %s", self._scrubbed(text))

    def _scrubbed(self, text: str) -> str:
        for target in self._targets:
            text = text.replace(target.secret, "[key]")
        return without_secrets(text)


def ledger_row(
    key: str, body: str, completion: Completion, attempts: int, sent_at: float
) -> dict[str, Any]:
    """The row that keeps an answer; `body` is the digest of what was sent."""
    return {
        "key": key,
        "body": body,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "finish_reason": completion.finish_reason,
        "model": completion.model,
        "request_id": completion.request_id,
        "attempts": attempts,
        "sent_at": sent_at,
        "text": completion.text,
    }


def answer_of_row(row: dict[str, Any], *, cached: bool) -> Answer:
    """The answer that a ledger's row holds."""
    return Answer(
        key=row["key"],
        text=row["text"],
        finish_reason=row["finish_reason"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        model=row["model"],
        request_id=row["request_id"],
        attempts=row["attempts"],
        cached=cached,
        batch=row.get("batch", ""),
    )
