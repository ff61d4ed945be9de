"""The completion in the body of a reply: text, thoughts, finish reason, tokens.

Endpoints return the same content in many forms: as a text or as a list of parts, with missing or
null fields, as a stream of events. A body with choices or usage was paid for, so all forms are
read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lamini.thoughts import split_thoughts

GOOD_REASONS = frozenset(
    {
        "stop",
        "eos",
        "eos_token",
        "end_turn",
        "end_of_turn",
        "end_of_text",
        "stop_sequence",
        "complete",
        "completed",
        "finish_reason_stop",
    }
)
"""Finish reasons of whole answers, in lower case; every other one is flagged."""
LENGTH_REASONS = frozenset(
    {
        "length",
        "max_tokens",
        "max_output_tokens",
        "max_new_tokens",
        "max_completion_tokens",
        "max_length",
        "model_length",
        "token_limit",
        "incomplete",
        "finish_reason_max_tokens",
        "finish_reason_length",
    }
)
"""Finish reasons of answers that reached the limit of tokens, in lower case."""
BROKEN_REASONS = frozenset(
    {
        "error",
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "timeout",
        "insufficient_system_resource",
        "finish_reason_unspecified",
        "no_choices",
    }
)
"""Finish reasons of answers that the server broke off; such a request is sent once more."""
_MAX_TOKENS = 10_000_000
"""Largest number of tokens of one request that is believed; no model has a longer context."""
NO_CHOICES = "no_choices"
REFUSAL = "refusal"
"""Finish reason of an answer in the field `refusal`."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The fields of a chat completion that are kept."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    model: str
    request_id: str
    thoughts: str = ""
    """Thoughts of a reasoning model, which are no part of the answer."""
    told: bool = True
    """Whether the reply has the numbers of tokens."""
    cached_tokens: int = 0
    """Prompt tokens from the endpoint's cache, part of `prompt_tokens`."""
    refusal: str = ""
    """The endpoint's message, if it refused this prompt."""

    @property
    def broken(self) -> bool:
        """Whether the server broke off the answer."""
        return self.finish_reason.lower() in BROKEN_REASONS


def finished(finish_reason: str) -> bool:
    """Whether a finish reason is that of a whole answer."""
    return finish_reason.lower() in GOOD_REASONS


def lacks_room(text: str, finish_reason: str) -> bool:
    """Whether an answer is truncated by the limit of tokens, or empty without another reason.

    The thoughts of a reasoning model may use up the limit, which leaves an empty answer.
    """
    if finish_reason.lower() in LENGTH_REASONS:
        return True
    return not text.strip() and (not finish_reason or finished(finish_reason))


def parse_body(raw: bytes, charset: str = "utf-8") -> Any:
    """The parsed JSON of a body; None if it is invalid. `clean_text` replaces lone surrogates."""
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(raw.decode(charset), parse_constant=str)
    except (UnicodeDecodeError, LookupError, ValueError, RecursionError):
        return _events(raw)


def is_completion(body: Any) -> bool:
    """Whether a body is that of a completion, which was paid for."""
    return isinstance(body, dict) and bool(body.keys() & {"choices", "usage"})


def read_completion(body: Mapping[str, object], headers: Mapping[str, str]) -> Completion:
    """Read the body of a completion; it may lack any field."""
    choice = _first(body.get("choices"))
    message = _mapping(choice.get("message"))
    text, thoughts = _content(message.get("content", choice.get("text")))
    text, in_text = split_thoughts(text)
    for name in ("reasoning_content", "reasoning"):
        if isinstance(told := message.get(name), str):
            thoughts = thoughts or told
    reason = str(choice.get("finish_reason") or "")
    if not choice:
        reason = NO_CHOICES
    elif choice.get("error"):
        reason = "error"
    elif not text and isinstance(refusal := message.get("refusal"), str) and refusal:
        text, reason = refusal, REFUSAL
    text, thoughts = clean_text(text), clean_text(thoughts or in_text)
    prompt, answer, cached, told = _usage(body.get("usage"))
    return Completion(
        text=text,
        finish_reason=reason,
        prompt_tokens=prompt,
        completion_tokens=answer,
        model=str(body.get("model") or ""),
        request_id=request_id(headers, body),
        thoughts=thoughts,
        told=told and (answer > 0 or not text + thoughts),
        cached_tokens=cached,
    )


def request_id(headers: Mapping[str, str], body: Mapping[str, object]) -> str:
    """The id of a request at the endpoint; "" if it has none."""
    return str(headers.get("x-request-id") or body.get("id") or "")


def clean_text(text: str) -> str:
    """Replace lone surrogates, which cannot be written as UTF-8, by `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _first(choices: Any) -> dict[str, Any]:
    return _mapping(choices[0]) if isinstance(choices, list) and choices else {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _content(content: Any) -> tuple[str, str]:
    """Text and thoughts of a message's content: a text, null, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    texts, thoughts = [], []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, dict) and "thinking" in part:
            inner = part["thinking"]
            thoughts.append(inner if isinstance(inner, str) else _content(inner)[0])
    return "".join(texts), "".join(thoughts)


def _usage(usage: Any) -> tuple[int, int, int, bool]:
    """Prompt, completion and cached prompt tokens (0 if unknown), and whether the first two are
    known.

    Some endpoints count a model's thoughts in `total_tokens` only.
    """
    counts = _mapping(usage)
    prompt, answer, total = (
        _count(counts.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    details = _mapping(counts.get("prompt_tokens_details"))
    cached = _count(details.get("cached_tokens", counts.get("prompt_cache_hit_tokens"))) or 0
    told = bool(prompt) and (answer is not None or total is not None)
    prompt = prompt or 0
    return prompt, max(answer or 0, (total or 0) - prompt), min(cached, prompt), told


def _count(value: Any) -> int | None:
    """A number of tokens; None if the value is none, such as -1, NaN, a text or a billion."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _MAX_TOKENS else None


def _events(raw: bytes) -> Any:
    """The completion in a stream of server-sent events, which some proxies send unasked."""
    lines = [line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:")]
    try:
        events = [orjson.loads(line) for line in lines if line != b"[DONE]"]
    except orjson.JSONDecodeError:
        return None
    if not events or not all(isinstance(event, dict) for event in events):
        return None
    choices = [_first(event.get("choices")) for event in events]
    deltas = [_mapping(choice.get("delta")) for choice in choices]
    text = "".join(_content(delta.get("content"))[0] for delta in deltas)
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    usages = [event["usage"] for event in events if event.get("usage")]
    choice = {"message": {"content": text}, "finish_reason": reasons[-1] if reasons else None}
    return {**events[0], "choices": [choice], "usage": usages[-1] if usages else None}
