"""Reading of an endpoint's reply: a completion, or an error with its scope.

An error concerns this attempt (`RetryableError`), this prompt (`PromptRefused`), or all requests of
the job (`LaminiError`).
"""

import email.utils
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from lamini.errors import LaminiError
from lamini.teacher.completions import Completion, is_completion, parse_body, read_completion

_SECRET = re.compile(r"sk-[\w*-]{6,}|(?<=Bearer )\S+", re.ASCII)
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|too (long|large)|longer than|max_new_tokens|reduce the length"
    r"|above_max_length|exceed\w* .*(tokens|length|limit)|maximum .*(tokens|length)",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content.?(filter|policy|exists risk)|invalid_prompt|inspection|moderation|flagged|safety"
    r"|usage polic",
    re.IGNORECASE,
)
_JOB_CODES = re.compile(r"model.?not.?(found|available)|invalid.?(api.?)?key|billing|unsupported_")
"""Codes of errors that concern all requests, although their status may concern a prompt."""
_PROMPT_STATUSES = (400, 403, 404, 413, 422)
_PASSING_STATUSES = (408, 409, 424, 425, 429, 499)
_REMEDIES = {
    400: "correct teacher.model and the sampling settings",
    401: "set the key in the environment variable that teacher.endpoints names",
    403: "the key may not use this model or endpoint; change teacher.model or the key",
    404: "correct teacher.model and base_url in teacher.endpoints",
}


class RetryableError(Exception):
    """A temporary failure; the request may succeed when it is sent again.

    Args:
        message: the endpoint's error message, without secrets.
        retry_after: seconds to wait, from the reply headers; None if they have none.
        overloaded: whether the status is 429, 503 or 529 (too many requests).
        rate_limited: whether the status is 429.
        paid: whether the endpoint has probably charged for this attempt.
    """

    def __init__(
        self,
        message: str,
        retry_after: float | None = None,
        overloaded: bool = False,
        rate_limited: bool = False,
        paid: bool = False,
    ) -> None:
        super().__init__(message)
        self.paid = paid
        self.retry_after = retry_after
        self.overloaded = overloaded
        self.rate_limited = rate_limited


class PromptRefused(Exception):
    """The endpoint refuses this prompt, or, if it refuses all prompts, this job.

    Args:
        error: the error to raise if all prompts are refused.
        finish_reason: `context_length`, `content_filter`, or `refused` if the reason is unknown.
        certain: whether the endpoint says that the reason is the prompt.
        passing: whether a proxy may have answered instead of the endpoint.
        message: the endpoint's message, without secrets.
    """

    def __init__(
        self, error: LaminiError, finish_reason: str, *, certain: bool, passing: bool, message: str
    ) -> None:
        super().__init__(message)
        self.error, self.finish_reason = error, finish_reason
        self.certain, self.passing = certain, passing

    def completion(self) -> Completion:
        """The row that is kept for this prompt."""
        return Completion("", self.finish_reason, 0, 0, "", "", refusal=str(self)[:500])


def read_reply(url: str, status: int, headers: Mapping[str, str], raw: bytes) -> Completion:
    """Read the reply to a chat completion.

    Raises:
        RetryableError: status 408, 409, 424, 425, 429, 499 or 5xx, a malformed body, or an error in
            a reply of status 200.
        PromptRefused: status 400, 403, 404, 413 or 422.
        LaminiError: any other status, with the endpoint's message and a remedy.
    """
    body = parse_body(raw, _charset(headers))
    if status < 300 and is_completion(body) and not body.get("error"):
        return read_completion(body, headers)
    if isinstance(body, list) and body:  # Gemini wraps its error in a list
        body = body[0]
    whole: dict[str, Any] = body if isinstance(body, dict) else {}
    error = whole.get("error") or (whole if "message" in whole else None)
    details: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    if status < 300:
        if not error:
            raise RetryableError(f"malformed reply: {_excerpt(raw)}", paid=status in (200, 201))
        code = details.get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
    message = without_secrets(str(details.get("message") or _excerpt(raw) or "no message"))
    codes = " ".join(str(part.get(k)) for part in (details, whole) for k in ("code", "type"))
    if "insufficient_quota" in codes:
        raise LaminiError(f"{url}: {message}; add credit, then run the same command again")
    if status in _PASSING_STATUSES or status >= 500:
        raise RetryableError(
            f"status {status}: {message}",
            retry_after=_retry_after(headers),
            overloaded=status in (429, 503, 529),
            rate_limited=status == 429,
        )
    remedy = _REMEDIES.get(status, "see the endpoint's documentation")
    failure = LaminiError(f"{url} answered {status}: {message} ({remedy})")
    if status not in _PROMPT_STATUSES or _JOB_CODES.search(codes):
        raise failure
    reason, certain = _refusal(f"{codes} {message}", status)
    raise PromptRefused(
        failure,
        reason,
        certain=certain,
        passing=not certain and status in (403, 404),
        message=message,
    )


def _refusal(text: str, status: int) -> tuple[str, bool]:
    """Finish reason of a refused prompt, and whether the endpoint says that it is the prompt."""
    if _FILTERED.search(text):
        return "content_filter", True
    if status == 413 or _TOO_LONG.search(text):
        return "context_length", True
    return "refused", False


def without_secrets(text: str) -> str:
    """Replace all strings that look like an API key by `[key]`."""
    return _SECRET.sub("[key]", text)


def parse_duration(text: str) -> float | None:
    """Seconds of `20ms`, `1.5s`, `6m0s`, `1h2m` or a plain number of seconds; None if invalid."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    parts = re.findall(r"([\d.]+)(ms|[smhd])", text)
    try:
        if parts:
            return sum(float(number) * units[unit] for number, unit in parts)
        return float(text)
    except ValueError:
        return None


def _excerpt(raw: bytes) -> str:
    return without_secrets(raw[:200].decode("utf-8", "replace"))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `Retry-After-Ms` or `Retry-After` (a number or a date); None if absent."""
    if milliseconds := headers.get("retry-after-ms"):
        try:
            return max(0.0, float(milliseconds) / 1000)
        except ValueError:
            pass
    text = headers.get("retry-after")
    if not text:
        return None
    seconds = parse_duration(text)
    if seconds is None:
        try:
            # The date is one of the endpoint's clock, which this machine's may differ from.
            seconds = _timestamp(text) - _timestamp(headers.get("date", ""), time.time())
        except ValueError:
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)


def _timestamp(date: str, otherwise: float | None = None) -> float:
    """Seconds since the epoch of an HTTP date; if it is invalid, `otherwise` or a ValueError."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        if otherwise is None:
            raise
        return otherwise


def _charset(headers: Mapping[str, str]) -> str:
    match = re.search(r"charset=\"?([\w-]+)", headers.get("content-type", ""))
    return match[1] if match else "utf-8"
