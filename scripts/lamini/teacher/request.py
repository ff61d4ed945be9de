"""Requests, answers and counters of their cost."""

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lamini.files import stable_hash
from lamini.settings.teacher import TOKEN_LIMITS, MoreRoom, Sampling
from lamini.teacher.completions import lacks_room


@dataclass(frozen=True)
class Request:
    """A chat completion request, identified by its body and its sample number."""

    body: dict[str, Any]
    """The JSON body exactly as sent: model, messages, parameters."""
    sample: int = 0
    """Number of the request among requests with equal bodies, for several answers to one prompt."""
    more_room: "Request | None" = None
    """The request to send if the answer lacks room (`Answer.lacks_room`); None: no second one."""

    @functools.cached_property
    def key(self) -> str:
        """Request key: 32 hex digits, the key of the answer in the ledgers."""
        return stable_hash(self.body, self.sample)


@dataclass(frozen=True, slots=True)
class Answer:
    """The teacher's answer to one request."""

    key: str
    text: str
    """Empty if the endpoint sent no content."""
    finish_reason: str
    """The endpoint's finish reason (`stop`, `length`, ...). `content_filter` or `context_length`,
    with an empty text, if the endpoint refused this prompt."""
    prompt_tokens: int
    completion_tokens: int
    model: str
    """The model name in the endpoint's reply."""
    request_id: str
    attempts: int
    """How many times the request was sent, the successful attempt included."""
    cached: bool
    """Whether the answer came from a ledger and cost nothing in this run."""
    batch: str = ""
    """Id of the batch, for an answer at the Batch API's price; empty for a live answer."""
    cached_tokens: int = 0
    """Prompt tokens from the endpoint's cache, part of `prompt_tokens`."""
    discarded_tokens: tuple[int, int] = (0, 0)
    """Prompt and completion tokens of replies to this request that were paid for and discarded."""
    unused: "Answer | None" = None
    """The other answer to the same prompt, if there are two (setting `more_room`)."""
    thoughts: str = ""
    """Thoughts of a reasoning model, which are no part of the text."""

    @property
    def lacks_room(self) -> bool:
        """Whether the answer is truncated by the limit of tokens, or empty."""
        return lacks_room(self.text, self.finish_reason)


def better(first: Answer, second: Answer) -> Answer:
    """The second answer to a prompt, which had more room; the first one if the second is empty."""
    used, unused = (second, first) if second.text.strip() else (first, second)
    return replace(used, unused=unused)


def body_digest(payload: bytes) -> str:
    """BLAKE2b digest (32 hex digits) of a request's body: the field `body` of ledger rows."""
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


def names_model(name: str, model: str) -> bool:
    """Whether an endpoint's name is a model's, also with a date, such as `gpt-4-0613`."""
    return name == model or name.startswith(f"{model}-")


TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens")
"""The counts of tokens that are paid for; cached ones are part of the prompt's."""


def add_paid_tokens(counts: Counter[str], answer: Answer) -> None:
    """Add all tokens that were paid for an answer: its own, its discarded replies' and its unused
    answer's; tokens of batches also as `batch_{name}`, because they cost less."""
    for paid in (answer, answer.unused) if answer.unused else (answer,):
        for name, discarded in zip(TOKENS, (*paid.discarded_tokens, 0), strict=True):
            tokens = getattr(paid, name) + discarded
            counts[name] += tokens
            counts[f"batch_{name}"] += tokens if paid.batch else 0


def counted_tokens(counts: Counter[str]) -> dict[str, int]:
    """The token counts of a shard's report; `lamini.teacher.money.report_spending` reads them.

    Cached tokens are omitted if there are none.
    """
    kinds = [kind for kind in TOKENS if kind != "cached_tokens" or counts[kind]]
    return {name: counts[name] for kind in kinds for name in (kind, f"batch_{kind}")}


@dataclass(slots=True)
class Spend:
    """Counters of one session; answers from ledgers cost nothing."""

    sent: int = 0
    """Requests sent, retries included."""
    answered: int = 0
    """Answers received and on disk."""
    from_ledger: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float = 0.0
    rate_limited: int = 0
    """Replies of status 429."""
    retries: int = 0
    """Requests sent again, for any reason."""
    with_more_room: int = 0
    """Second requests because an answer was truncated or empty."""


def chat_request(
    model: str,
    messages: Sequence[Mapping[str, str]],
    sampling: Sampling,
    seed: int | None = None,
    *,
    sample: int = 0,
    more_room: MoreRoom | None = None,
) -> Request:
    """Build a request with the body that the `openai` package would send.

    Args:
        model: the model's name at the endpoint.
        messages: `{"role": ..., "content": ...}` in order.
        sampling: sampling parameters; null ones are omitted, `extra_body` is merged into the body
            last.
        seed: sent if not None (`teacher.seed_requests`: whether requests have seeds).
        sample: number of this request among requests with equal bodies.
        more_room: limits of the second request for a truncated or empty answer; None: no second.
    """
    body: dict[str, Any] = {"model": model, "messages": [dict(message) for message in messages]}
    body |= {
        name: value
        for name in ("temperature", "top_p", "max_tokens")
        if (value := getattr(sampling, name)) is not None
    }
    if seed is not None:
        body["seed"] = seed
    body |= sampling.extra_body
    again = Request(body | _raised(body, more_room), sample) if more_room else None
    return Request(body, sample, again)


def _raised(body: Mapping[str, object], room: MoreRoom) -> dict[str, int]:
    """The limits in a request's body that become higher, with their second values."""
    most = math.inf if room.most is None else room.most
    limits = {n: limit for n in TOKEN_LIMITS if isinstance(limit := body.get(n), int)}
    higher = {name: int(min(limit * room.factor, most)) for name, limit in limits.items()}
    return {name: limit for name, limit in higher.items() if limit > limits[name]}
