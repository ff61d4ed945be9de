"""Rate limits of an endpoint: pacing, adaptive concurrency, cool-down after failures."""

import random
from collections.abc import Mapping

from lamini.teacher.replies import RetryableError, parse_duration

_CATCH_UP = 0.1  # seconds of unused rate that may be used after a stall
_DECREASE = 0.7
# Consecutive failures after which an endpoint gets one probe request at a time; fewer if another
# endpoint answers.
_SUSPECT_AFTER = 8
_SUSPECT_AFTER_BESIDE_OTHERS = 2
_LONGEST_PROBE_WAIT = 15.0
_DAY = 86400.0


class Pace:
    """Evenly spaced use of `per_minute` units (requests or tokens).

    Args:
        per_minute: units per minute.
    """

    def __init__(self, per_minute: float) -> None:
        self.per_second = per_minute / 60
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next use is allowed."""
        return self._next - now

    def use(self, amount: float, now: float) -> None:
        """Use `amount` units now and delay the next use accordingly; a negative amount refunds."""
        self._next = max(self._next, now - _CATCH_UP) + amount / self.per_second


class Limits:
    """Rate limits and concurrency of one endpoint.

    Concurrency doubles with each round of answers up to a threshold, then grows by one per round.
    It is multiplied by 0.7 for each round in which the endpoint reported overload.

    Args:
        most: maximum concurrency.
        requests, tokens: this job's share of the configured limits per minute; None: learned from
            the reply headers.
        share: this job's share of the limits in reply headers; `set_share` changes it.
    """

    def __init__(
        self, most: int, requests: float | None, tokens: float | None, share: float
    ) -> None:
        self.most = most
        self.concurrency = (
            1.0  # the first request is a probe: it shows the limits, or a wrong configuration
        )
        self._threshold = float(most)
        self._lowered_at = 0.0
        self._share = share
        self.requests = Pace(requests) if requests else None
        self.tokens = Pace(tokens) if tokens else None
        self._learn_requests, self._learn_tokens = requests is None, tokens is None
        self._learned: dict[str, str] = {}
        self.closed_until = 0.0
        self.failures = 0
        self.failing_since: float | None = None
        self.last_failure = ""

    def set_share(self, share: float) -> None:
        """Change this job's share of all limits."""
        for pace in (self.requests, self.tokens):
            if pace:
                pace.per_second *= share / self._share
        self._share = share

    def wait(self, now: float) -> float:
        """Seconds until the next request may be sent; 0 or less: now."""
        waits = [self.closed_until - now]
        if self.requests:
            waits.append(self.requests.wait(now))
        if self.tokens:
            waits.append(self.tokens.wait(now))
        return max(waits)

    def sending(self, tokens: float, now: float) -> None:
        """Count a request that is sent now; `tokens` is its estimate."""
        if self.requests:
            self.requests.use(1, now)
        if self.tokens:
            self.tokens.use(tokens, now)

    def unused(self, tokens: float, now: float) -> None:
        """Refund tokens of an estimate that were not used."""
        if self.tokens:
            self.tokens.use(-tokens, now)

    def answered(self, unused_tokens: float, now: float) -> None:
        """Count an answer; `unused_tokens` is the estimate minus the tokens used."""
        self.unused(unused_tokens, now)
        self.failures, self.failing_since = 0, None
        if self.concurrency < self.most:
            self.concurrency += 1 if self.concurrency < self._threshold else 1 / self.concurrency
            self.concurrency = min(self.concurrency, self.most)

    def failed(
        self, error: RetryableError, sent_at: float, now: float, *, others_well: bool
    ) -> None:
        """Count a retryable failure, and lower concurrency or start a cool-down.

        Args:
            error: the failure.
            sent_at, now: monotonic times of sending and of now, in seconds.
            others_well: whether another endpoint answers.
        """
        suspect_after = _SUSPECT_AFTER_BESIDE_OTHERS if others_well else _SUSPECT_AFTER
        self.failures += 1
        self.last_failure = str(error)
        if self.failing_since is None:
            self.failing_since = now
        if error.overloaded:
            # One decrease for all requests sent before it: they report the same overload.
            if sent_at >= self._lowered_at:
                self._threshold = self.concurrency = max(1.0, self.concurrency * _DECREASE)
                self._lowered_at = now
            pause = error.retry_after
            if pause is None:
                pause = 0.5 * random.uniform(0.5, 1.5) * min(60, 2 ** min(self.failures - 1, 7))
            self.closed_until = max(self.closed_until, now + pause)
        elif error.retry_after:
            self.closed_until = max(self.closed_until, now + error.retry_after)
        elif self.failures >= suspect_after:
            self.concurrency = 1.0
            pause = min(_LONGEST_PROBE_WAIT, 0.25 * 2 ** min(self.failures - suspect_after, 10))
            self.closed_until = max(self.closed_until, now + pause)

    def down(self, after: float, now: float) -> bool:
        """Whether all attempts of the last `after` seconds failed."""
        return self.failing_since is not None and now - self.failing_since >= after

    def learn(self, headers: Mapping[str, str]) -> None:
        """Set the limits that are not configured from the `x-ratelimit-*` reply headers."""
        if self._learn_requests:
            self.requests = self._learned_pace(headers, "requests", self.requests)
        if self._learn_tokens:
            self.tokens = self._learned_pace(headers, "tokens", self.tokens)

    def _learned_pace(
        self, headers: Mapping[str, str], what: str, pace: Pace | None
    ) -> Pace | None:
        limit = headers.get(f"x-ratelimit-limit-{what}")
        if not limit or limit == self._learned.get(what):
            return pace
        self._learned[what] = limit
        try:
            most = float(limit)
            used = most - float(headers.get(f"x-ratelimit-remaining-{what}", ""))
        except ValueError:
            return pace
        reset = parse_duration(headers.get(f"x-ratelimit-reset-{what}", ""))
        # Some accounts have limits per day: the time until the used part resets shows this.
        daily = used > 0 and reset is not None and abs(reset * most / used / _DAY - 1) < 0.1
        return Pace(most * self._share) if most > 0 and not daily else pace
