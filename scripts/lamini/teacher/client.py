"""The asynchronous client: sends requests as fast as the endpoints take them, and no faster.

It runs in a thread of its own. The wire format is that of the `openai` package; the transport is
aiohttp, which takes a tenth of the time per request.
"""

import asyncio
import hashlib
import logging
import random
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher
from lamini.teacher.commit import Committer
from lamini.teacher.endpoints import Target, external_targets, local_target
from lamini.teacher.ledger import Ledger, row_line
from lamini.teacher.money import Budget, dollars
from lamini.teacher.replies import Completion, RetryableError, read_reply, without_secrets
from lamini.teacher.request import Answer, Spend
from lamini.teacher.server import ServerProcess

logger = logging.getLogger("lamini")

_DRAIN_SECONDS = 30.0  # how long paid answers may still come in after an error stops the job
_LONGEST_BACKOFF = 60.0


@dataclass(eq=False, slots=True)
class Job:
    """One request on its way."""

    key: str
    payload: bytes
    prompt_tokens: float
    """The most that the prompt is likely to have; `answer_tokens`: the same of the answer."""
    answer_tokens: float
    dollars: float
    attempts: int = 0
    failures: int = 0
    sent_at: float = 0.0
    """Wall-clock time of the latest attempt, for the ledger."""
    task: asyncio.Task | None = None
    answer: Answer | None = None
    """Set once it is on disk."""
    cancelled: bool = False


@dataclass(slots=True)
class _State:
    """What belongs to the client's thread."""

    queue: deque[Job] = field(default_factory=deque)
    targets: list[Target] = field(default_factory=list)
    in_flight: int = 0
    reserved: float = 0.0
    """Dollars that the requests in flight may cost."""
    waiting: int = 0
    """Requests that wait for their next attempt."""


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
        self._settings, self._budget, self.spend = settings, budget, spend
        self._price = settings.prices.get(settings.model)
        self._state = _State()
        self.changed = threading.Condition()
        """Notified when answers are on disk or `failure` is set."""
        self.failure: BaseException | None = None
        self._stopping: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._unexpected)
        self._session: aiohttp.ClientSession | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._inbox: deque[Job] = deque()
        self._woken = False
        self._committer = Committer(ledger, self._committed, self._fail_from_thread)
        self._server = (
            ServerProcess(settings.server, server_log)
            if settings.backend == "local" and settings.server
            else None
        )
        self._thread = threading.Thread(target=self._run, name="teacher-client", daemon=True)
        self._thread.start()
        self._committer.start()

    # --- Called from the session's thread --------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Send a request as soon as limits allow."""
        self._inbox.append(job)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._take_in)

    def cancel(self, jobs: list[Job]) -> None:
        """Give up requests that nobody waits for any more."""
        for job in jobs:
            job.cancelled = True
        self._loop.call_soon_threadsafe(self._cancel, jobs)

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
        return self._state.in_flight

    @property
    def concurrency(self) -> int:
        """Requests that may be in flight as things stand."""
        return min(
            self._settings.max_concurrency,
            sum(int(target.limits.concurrency) for target in self._state.targets),
        )

    # --- The client's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            if self._session:
                self._loop.run_until_complete(self._session.close())
            self._loop.close()
            if self._server:
                self._server.stop()

    def _take_in(self) -> None:
        self._woken = False
        while self._inbox:
            self._state.queue.append(self._inbox.popleft())
        try:
            if not self._state.targets and not self._stopping:
                self._connect()
        except LaminiError as error:
            self._fail(error)
        self._pump()

    def _connect(self) -> None:
        """Find the endpoints, or start one, when the first request must really be sent."""
        if self._server:
            self._server.start()
            target = local_target(self._settings, self._server.address, self._server.secret)
            self._state.targets = [target]
        else:
            self._state.targets = external_targets(self._settings)
        self._session = aiohttp.ClientSession(
            loop=self._loop,
            connector=aiohttp.TCPConnector(limit=0, loop=self._loop),
            cookie_jar=aiohttp.DummyCookieJar(loop=self._loop),
            timeout=aiohttp.ClientTimeout(
                total=self._settings.timeout, sock_connect=min(30.0, self._settings.timeout)
            ),
        )

    def _pump(self) -> None:
        """Send what may be sent now, and come back when more may be."""
        state = self._state
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while state.queue and not self._stopping:
            if state.queue[0].cancelled:
                state.queue.popleft()
                continue
            if state.in_flight >= self._settings.max_concurrency:
                return
            now = time.monotonic()
            target, wait = self._choose(now)
            if target is None:
                if wait is not None:
                    self._timer = self._loop.call_later(wait, self._pump)
                return
            job = state.queue[0]
            if not self._budget.allows(state.reserved, job.dollars):
                if not state.in_flight:
                    self._fail(self._budget.exhausted())
                return  # those in flight may turn out cheaper than they might have been
            self._send(state.queue.popleft(), target, now)

    def _choose(self, now: float) -> tuple[Target | None, float | None]:
        """The endpoint with most room, or how long until one may be asked (None: until a reply)."""
        best, load, wait = None, float("inf"), None
        for target in self._state.targets:
            if target.in_flight >= int(target.limits.concurrency):
                continue
            until = target.limits.wait(now)
            if until > 0:
                wait = until if wait is None else min(wait, until)
            elif (target.in_flight + 1) / target.weight < load:
                best, load = target, (target.in_flight + 1) / target.weight
        return best, wait

    def _send(self, job: Job, target: Target, now: float) -> None:
        job.attempts += 1
        job.sent_at = round(time.time(), 3)
        target.in_flight += 1
        self._state.in_flight += 1
        self._state.reserved += job.dollars
        self.spend.sent += 1
        self.spend.retries += job.attempts > 1
        target.limits.sending(job.prompt_tokens + job.answer_tokens, now)
        job.task = self._loop.create_task(self._exchange(job, target, now))

    async def _exchange(self, job: Job, target: Target, sent_at: float) -> None:
        """One attempt at one request."""
        try:
            outcome: Completion | BaseException = await self._post(job, target)
        except (asyncio.CancelledError, Exception) as error:
            outcome = error
        self._state.in_flight -= 1
        target.in_flight -= 1
        self._state.reserved = self._state.reserved - job.dollars if self._state.in_flight else 0.0
        job.task = None
        if isinstance(outcome, Completion):
            self._keep(job, outcome, target)
        elif isinstance(outcome, RetryableError):
            self._retry(job, outcome, target, sent_at)
        elif isinstance(outcome, LaminiError):
            self._fail(LaminiError(self._scrubbed(str(outcome), target)))
        elif isinstance(outcome, asyncio.CancelledError):
            if not job.cancelled:  # the loop is being closed
                return
        else:
            self._unexpected(self._loop, {"exception": outcome})
        self._pump()
        if self._stopping and not self._state.in_flight:
            self._publish_failure()

    async def _post(self, job: Job, target: Target) -> Completion:
        assert self._session is not None
        try:
            async with self._session.post(
                target.url, data=job.payload, headers=target.headers, proxy=target.proxy
            ) as response:
                raw = await response.read()
                target.limits.learn(response.headers)
                return read_reply(target.url, response.status, response.headers, raw)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise LaminiError(f"{target.url}: no URL; correct teacher.endpoints") from None
        except TimeoutError:
            raise RetryableError(f"no reply within {self._settings.timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise RetryableError(f"{type(error).__name__}: {without_secrets(str(error))}") from None

    def _keep(self, job: Job, completion: Completion, target: Target) -> None:
        """Hand an answer to the committer."""
        used = completion.prompt_tokens + completion.completion_tokens
        target.limits.answered(job.prompt_tokens + job.answer_tokens - used, time.monotonic())
        cost = dollars(self._price, completion.prompt_tokens, completion.completion_tokens)
        self.spend.prompt_tokens += completion.prompt_tokens
        self.spend.completion_tokens += completion.completion_tokens
        self.spend.dollars += cost
        self._budget.spent += cost
        answer = Answer(
            job.key,
            completion.text,
            completion.finish_reason,
            completion.prompt_tokens,
            completion.completion_tokens,
            completion.model,
            completion.request_id,
            job.attempts,
            cached=False,
        )
        self._committer.put(row_line(_row(job, answer)), (job, answer))

    def _retry(self, job: Job, error: RetryableError, target: Target, sent_at: float) -> None:
        now = time.monotonic()
        limits = target.limits
        limits.failed(error, sent_at, now)
        self.spend.rate_limited += error.rate_limited
        if self._server and not self._server.running:
            self._fail(self._server.ended())
        elif all(each.limits.down(self._settings.down_after, now) for each in self._state.targets):
            self._fail(
                LaminiError(
                    f"{target.url}: no good answer for {self._settings.down_after:g} s (last:"
                    f" {self._scrubbed(limits.last_failure, target)}); run the same command again"
                    " when it is back (answers so far are kept)"
                )
            )
        elif error.overloaded:
            self._state.queue.appendleft(job)  # the endpoint's cool-down holds it back
        else:
            job.failures += 1
            # With a sick endpoint it is not this request's fault; then only `down` ends it.
            if job.failures >= self._settings.max_attempts and limits.failures < job.failures:
                self._fail(
                    LaminiError(
                        f"{target.url}: request {job.key} failed {job.failures} times (last:"
                        f" {self._scrubbed(str(error), target)}); raise teacher.max_attempts or"
                        " teacher.timeout"
                    )
                )
                return
            backoff = min(_LONGEST_BACKOFF, 0.25 * 2 ** min(job.failures, 10))
            self._state.waiting += 1
            self._loop.call_later(backoff * random.uniform(0.5, 1.5), self._again, job)

    def _again(self, job: Job) -> None:
        self._state.waiting -= 1
        self._state.queue.appendleft(job)
        self._pump()

    def _cancel(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job.task:
                job.task.cancel()
        self._pump()

    # --- Ends ------------------------------------------------------------------------------------

    def _committed(self, done: list[tuple[Job, Answer]]) -> None:
        with self.changed:
            for job, answer in done:
                job.answer = answer
            self.spend.answered += len(done)
            self.changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        """Send nothing more; tell the caller once what is in flight has come in."""
        if self._stopping:
            return
        self._stopping = error
        if self._state.in_flight:
            self._loop.call_later(_DRAIN_SECONDS, self._publish_failure)
        else:
            self._publish_failure()

    def _fail_from_thread(self, error: BaseException) -> None:
        """The ledger cannot be written: what comes in now would be lost, so wait for nothing."""
        self._stopping = error
        self._publish_failure()

    def _publish_failure(self) -> None:
        with self.changed:
            self.failure = self._stopping
            self.changed.notify_all()

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A mistake in this program: ends the job, and no key stands in its traceback."""
        error = context.get("exception")
        text = "".join(traceback.format_exception(error)) if error else str(context.get("message"))
        for target in self._state.targets:
            text = self._scrubbed(text, target)
        logger.error("the teacher's client failed: %s", text)
        self._fail(LaminiError("the teacher's client failed; its log says where"))

    def _scrubbed(self, text: str, target: Target) -> str:
        return without_secrets(text.replace(target.secret, "[key]"))


def _row(job: Job, answer: Answer) -> dict[str, Any]:
    return {
        "key": job.key,
        "body": hashlib.blake2b(job.payload, digest_size=16).hexdigest(),
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "finish_reason": answer.finish_reason,
        "model": answer.model,
        "request_id": answer.request_id,
        "attempts": answer.attempts,
        "sent_at": job.sent_at,
        "text": answer.text,
    }
