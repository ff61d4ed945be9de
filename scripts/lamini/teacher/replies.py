"""Reading of an endpoint's reply: a completion, a retryable error or a permanent error."""

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lamini.errors import LaminiError

_SECRET = re.compile(r"sk-[\w*-]{6,}|(?<=Bearer )\S+", re.ASCII)
# Error codes or types that refuse one prompt, and the finish reason of its row; the job continues.
_PROMPT_REFUSED = {
    "context_length_exceeded": "context_length",
    "exceed_context_size_error": "context_length",
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
}
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
    """

    def __init__(
        self,
        message: str,
        retry_after: float | None = None,
        overloaded: bool = False,
        rate_limited: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.overloaded = overloaded
        self.rate_limited = rate_limited


@dataclass(frozen=True, slots=True)
class Completion:
    """The fields of a chat completion that are kept."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    model: str
    request_id: str


def read_reply(url: str, status: int, headers: Mapping[str, str], raw: bytes) -> Completion:
    """Read the reply to a chat completion.

    Raises:
        RetryableError: status 408, 409, 429 or 5xx, a malformed body, no choices, or an error in a
            reply of status 200.
        LaminiError: any other status, with the endpoint's message and a remedy.
    """
    body = parse_json(raw)
    if status == 200 and isinstance(body, dict) and "error" not in body:
        return _completion(body, headers)
    error = body.get("error") if isinstance(body, dict) else None
    details: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    if status == 200:
        if body is None or not error:
            raise RetryableError(f"malformed reply: {_excerpt(raw)}")
        code = details.get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
    message = without_secrets(str(details.get("message") or _excerpt(raw) or "no message"))
    names = {str(details.get("code")), str(details.get("type"))}
    if status < 429 and (verdicts := names & _PROMPT_REFUSED.keys()):
        return Completion("", _PROMPT_REFUSED[verdicts.pop()], 0, 0, "", _request_id(headers, {}))
    if "insufficient_quota" in names:
        raise LaminiError(f"{url}: {message}; add credit, then run the same command again")
    if status in (408, 409, 429) or status >= 500:
        raise RetryableError(
            f"status {status}: {message}",
            retry_after=_retry_after(headers),
            overloaded=status in (429, 503, 529),
            rate_limited=status == 429,
        )
    remedy = _REMEDIES.get(status, "see the endpoint's documentation")
    raise LaminiError(f"{url} answered {status}: {message} ({remedy})")


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


def parse_json(raw: bytes) -> Any:
    """The parsed JSON of a body; None if it is invalid. `_text` replaces lone surrogates by `?`."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=str)
    except (UnicodeDecodeError, ValueError, RecursionError):
        return None


def _completion(body: dict[str, Any], headers: Mapping[str, str]) -> Completion:
    try:
        choice = body["choices"][0]
        content = choice["message"]["content"]
        usage = body.get("usage") or {}
        return Completion(
            text=_text(content),
            finish_reason=str(choice.get("finish_reason") or ""),
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            completion_tokens=int(usage.get("completion_tokens") or 0),
            model=str(body.get("model") or ""),
            request_id=_request_id(headers, body),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise RetryableError(f"reply without an answer ({type(error).__name__}: {error})") from None


def _text(content: Any) -> str:
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(f"content is a {type(content).__name__}")
    if content.isascii():
        return content
    return content.encode("utf-8", "replace").decode("utf-8")


def _request_id(headers: Mapping[str, str], body: Mapping[str, Any]) -> str:
    return str(headers.get("x-request-id") or body.get("id") or "")


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
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds)
