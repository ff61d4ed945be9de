"""Dispatcher of live requests: choice of the endpoint, sending, retries.

All code here runs in the client's thread, in its event loop.
"""

import asyncio
import functools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable

import aiohttp

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher
from lamini.teacher.completions import Completion
from lamini.teacher.endpoints import UNKNOWN_HOST, Target, is_unknown_host
from lamini.teacher.failures import FailureLog, in_words
from lamini.teacher.money import Budget, Cost
from lamini.teacher.pending import PendingRequest
from lamini.teacher.replies import PromptRefused, RetryableError, read_reply
from lamini.teacher.request import Spend
from lamini.teacher.verdicts import Verdicts

_LONGEST_BACKOFF = 60.0
_LONGEST_PAUSE = 600.0
"""Longest time in seconds that a job waits because the endpoint asks for it."""


class Dispatcher:
    """Sends requests to endpoints within their rate limits, with retries.

    Args:
        settings: concurrency, timeouts and retries.
        loop: the client's event loop.
        targets: the endpoints.
        session: open HTTP session, with its timeouts.
        budget: checked before each request.
        verdicts: decides about refusals.
        spend: counters of sent requests, retries and 429 replies; updated here.
        keep: called with each request's completion.
        fail: called with the error that stops the client.
        drained: called after `stop_sending`, when no request is in flight.
    """

    def __init__(
        self,
        *,
        settings: Teacher,
        loop: asyncio.AbstractEventLoop,
        targets: list[Target],
        session: aiohttp.ClientSession,
        budget: Budget,
        verdicts: Verdicts,
        spend: Spend,
        keep: Callable[[PendingRequest, Completion], None],
        fail: Callable[[BaseException], None],
        drained: Callable[[], None],
    ) -> None:
        self._settings, self._session = settings, session
        self._budget, self._spend, self._verdicts = budget, spend, verdicts
        self._undecided: list[tuple[PendingRequest, PromptRefused]] = []
        self._delayed = 0  # requests that wait before their next attempt
        self._failures = FailureLog(settings.down_after)
        self._keep, self._fail, self._drained = keep, fail, drained
        self._loop = loop
        self._queue: deque[PendingRequest] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._deadlines: dict[PendingRequest, float] = {}  # in the order of sending
        self._deadline_timer: asyncio.TimerHandle | None = None
        self._reserved = Cost()  # upper limit of the cost of the requests in flight
        self._closed = False
        self.targets = targets
        self.in_flight = 0

    def take(self, requests: Iterable[PendingRequest]) -> None:
        """Append requests to the queue."""
        self._queue.extend(requests)
        self._pump()

    def cancel(self, requests: Iterable[PendingRequest]) -> None:
        """Cancel requests, queued or in flight."""
        for pending in requests:
            pending.cancelled = True
            if pending.task:
                pending.task.cancel()
        self._pump()

    def stop_sending(self) -> None:
        """Send no more requests; replies to requests in flight are still read."""
        self._closed = True

    def _pump(self) -> None:
        """Send the requests that limits and budget allow now, and set a timer for the next one."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._queue and not self._closed:
            pending = self._queue[0]
            if pending.cancelled:
                self._queue.popleft()
                continue
            if self.in_flight >= self._settings.max_concurrency:
                return
            now = time.monotonic()
            target, wait = self._choose(now)
            if target is None:
                if wait is not None:
                    self._timer = self._loop.call_later(wait, self._pump)
                return
            if not self._budget.allows(self._reserved, pending.most):
                if not self.in_flight:
                    self._fail(self._budget.exhausted())
                return  # the requests in flight may cost less than their upper limit
            self._queue.popleft()
            self._send(pending, target, now)

    def _choose(self, now: float) -> tuple[Target | None, float | None]:
        """Choose among the free endpoints the one with the fewest requests per weight.

        Returns:
            the endpoint or None, and the seconds until an endpoint is free (None: after a reply).
        """
        best, wait = None, None
        for target in self.targets:
            if target.in_flight >= int(target.limits.concurrency):
                continue
            until = target.limits.wait(now)
            if until > 0:
                wait = until if wait is None else min(wait, until)
            elif best is None or target.sent / target.weight < best.sent / best.weight:
                best = target
        return best, wait

    def _send(self, pending: PendingRequest, target: Target, now: float) -> None:
        pending.attempts += 1
        pending.sent_at = round(time.time(), 3)
        target.in_flight += 1
        target.sent += 1
        self.in_flight += 1
        self._reserved += pending.most
        self._spend.sent += 1
        self._spend.retries += pending.attempts > 1
        target.limits.sending(pending.most.tokens, now)
        pending.timed_out = False
        if self._deadline_timer is None:
            seconds = self._settings.timeout
            self._deadline_timer = self._loop.call_later(seconds, self._end_late_requests)
        self._deadlines[pending] = now + self._settings.timeout
        pending.task = self._loop.create_task(self._post(pending, target))
        pending.task.add_done_callback(functools.partial(self._finished, pending, target, now))

    def _end_late_requests(self) -> None:
        """Cancel the requests whose time is over, and set a timer for the next one.

        All requests have the same timeout, so one timer is enough; one for each request, as aiohttp
        sets it, costs a twentieth of a request's CPU time.
        """
        now, self._deadline_timer = time.monotonic(), None
        while self._deadlines:
            pending, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                again = self._loop.call_later(deadline - now, self._end_late_requests)
                self._deadline_timer = again
                return
            del self._deadlines[pending]
            assert pending.task is not None
            pending.timed_out = pending.task.cancel()  # False: its reply has just been read

    async def _post(self, pending: PendingRequest, target: Target) -> Completion:
        """Send a request once and read the reply."""
        status = 0
        try:
            async with self._session.post(
                target.url,
                data=aiohttp.BytesPayload(pending.payload, content_type="application/json"),
                headers=target.headers,
                proxy=target.proxy,
            ) as response:
                status = response.status
                raw = await response.read()
                target.limits.learn(response.headers)
                return read_reply(target.url, response.status, response.headers, raw)
        except aiohttp.InvalidURL:
            raise LaminiError(f"{target.url}: not a valid URL; correct teacher.endpoints") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise LaminiError(
                f"{target.url}: its certificate is not trusted ({error}); set SSL_CERT_FILE to the"
                " file of its certificate authority"
            ) from None
        except aiohttp.ConnectionTimeoutError:
            raise self._late(paid=False) from None
        except (aiohttp.ClientError, OSError) as error:
            if is_unknown_host(error):
                raise LaminiError(f"{target.url}: {UNKNOWN_HOST}") from None
            paid = 200 <= status < 300  # a reply that broke off after its first bytes
            raise RetryableError(in_words(error), paid=paid) from None

    def _late(self, *, paid: bool) -> RetryableError:
        return RetryableError(f"no reply within {self._settings.timeout:g} s", paid=paid)

    def _finished(
        self, pending: PendingRequest, target: Target, sent_at: float, task: asyncio.Task
    ) -> None:
        """Handle the end of an attempt: an answer, an error or a cancellation."""
        self.in_flight -= 1
        target.in_flight -= 1
        self._reserved = self._reserved - pending.most if self.in_flight else Cost()
        pending.task = None
        self._deadlines.pop(pending, None)
        if pending.timed_out or not task.cancelled():
            now = time.monotonic()
            # The endpoint has probably answered a late request, and charges for it.
            error = self._late(paid=True) if pending.timed_out else task.exception()
            if error is None:
                completion = task.result()
                used = completion.prompt_tokens + completion.completion_tokens
                target.limits.answered(pending.most.tokens - used, now)
                self._take_completion(pending, completion)
            elif isinstance(error, PromptRefused):
                target.limits.unused(pending.most.tokens, now)
                self._take_refusal(pending, error)
            elif isinstance(error, RetryableError):
                others_well = any(
                    each is not target and each.limits.failing_since is None
                    for each in self.targets
                )
                target.limits.failed(error, sent_at, now, others_well=others_well)
                self._spend.rate_limited += error.rate_limited
                if error.paid:
                    self._discard(pending, pending.unread())
                self._failures.failed(target, error, now)
                self._failures.paused(target, now)
                self._retry(pending, error, target, now, others_well)
            else:
                self._fail(error)
        if self._undecided and not (self.in_flight or self._queue or self._delayed):
            self._fail(self._undecided[0][1].error)  # no other prompt can show whose fault it is
        if self._closed and not self.in_flight:
            self._drained()
        self._pump()

    def _take_completion(self, pending: PendingRequest, completion: Completion) -> None:
        """Keep an answer, or send the request once more if the server broke the answer off."""
        if completion.broken and not pending.broken:
            pending.broken += 1
            self._discard(pending, completion)
            self._queue.append(pending)
            return
        if not completion.broken:
            self._verdicts.good()
        self._keep(pending, completion)
        undecided, self._undecided = self._undecided, []
        for waiting, refusal in undecided:
            self._take_refusal(waiting, refusal)
        try:
            self._verdicts.judge()
        except LaminiError as error:
            self._fail(error)

    def _take_refusal(self, pending: PendingRequest, refusal: PromptRefused) -> None:
        """Keep a refused prompt's row, send it once more, or stop the client."""
        if refusal.passing and self._verdicts.answered and not pending.broken:
            pending.broken += 1
            self._queue.append(pending)
            return
        try:
            known = self._verdicts.concerns_prompt(refusal)
        except LaminiError as error:
            self._fail(error)
            return
        if not known:
            self._undecided.append((pending, refusal))
        else:
            self._keep(pending, refusal.completion())

    def _discard(self, pending: PendingRequest, completion: Completion) -> None:
        """Count an answer that was paid for and is not kept."""
        paid = self._budget.counted(completion, pending.prompt_tokens)
        self._budget.pay(self._spend, paid)
        pending.discarded = (
            pending.discarded[0] + paid.prompt_tokens,
            pending.discarded[1] + paid.completion_tokens,
        )

    def _retry(
        self,
        pending: PendingRequest,
        error: RetryableError,
        target: Target,
        now: float,
        others_well: bool,
    ) -> None:
        """Queue a failed request again, or stop the client; the limits have counted the failure."""
        outage = target.ended() or (None if pending.cancelled else self._outage(error, target, now))
        if outage:
            self._fail(outage)
        elif pending.cancelled:
            return
        elif error.overloaded:
            self._queue.appendleft(pending)  # waits for the end of the endpoint's cool-down
        else:
            pending.failures += 1
            # If the endpoint fails for all requests, only `down` stops the client.
            if (
                pending.failures >= self._settings.max_attempts
                and target.limits.failures < pending.failures
            ):
                self._fail(
                    LaminiError(
                        f"{target.url}: request {pending.key} failed {pending.failures} times"
                        f" (last: {error}); raise teacher.max_attempts or teacher.timeout"
                    )
                )
                return
            doublings = 0 if others_well else min(pending.failures, 10)
            backoff = min(_LONGEST_BACKOFF, 0.25 * 2**doublings)
            self._delayed += 1
            self._loop.call_later(backoff * random.uniform(0.5, 1.5), self._again, pending)

    def _outage(self, error: RetryableError, target: Target, now: float) -> LaminiError | None:
        """The error if no endpoint can be expected to answer soon, else None."""
        pauses = [each.limits.closed_until - now for each in self.targets]
        if all(pause > _LONGEST_PAUSE for pause in pauses):
            return LaminiError(
                f"{target.url} asks to wait {min(pauses) / 3600:.1f} hours ({error}); run the same"
                " command again then"
            )
        if all(each.limits.down(self._settings.down_after, now) for each in self.targets):
            return LaminiError(
                f"{target.url}: no good answer for {self._settings.down_after:g} s (last:"
                f" {error}); run the same command again when it is back"
            )
        return None

    def _again(self, pending: PendingRequest) -> None:
        self._delayed -= 1
        self._queue.appendleft(pending)
        self._pump()
