"""What is asked, what comes back, and what it cost."""

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lamini.files import stable_hash
from lamini.settings.teacher import Sampling


@dataclass(frozen=True)
class Request:
    """One chat completion, identified by what is sent and nothing else."""

    body: dict[str, Any]
    """The JSON body exactly as sent: model, messages, parameters."""
    sample: int = 0
    """Tells repeated requests with equal bodies apart, when several answers are wanted."""

    @functools.cached_property
    def key(self) -> str:
        """32 hex digits under which the answer lies in the ledgers."""
        return stable_hash(self.body, self.sample)


@dataclass(frozen=True, slots=True)
class Answer:
    """The teacher's answer to one request."""

    key: str
    text: str
    """Empty when the endpoint sent no content."""
    finish_reason: str
    """As the endpoint said (`stop`, `length`, ...); `content_filter` or `context_length` also when
    it turned this one prompt down, with an empty text."""
    prompt_tokens: int
    completion_tokens: int
    model: str
    """The model that answered, as the endpoint names it."""
    request_id: str
    attempts: int
    """How often it was sent, the successful time among them."""
    cached: bool
    """Whether it came from a ledger, and so cost nothing now."""
    batch: str = ""
    """Id of the batch that it came in, at the Batch API's price; empty for a live answer."""


def body_digest(payload: bytes) -> str:
    """Digest of a request's body, as a ledger's rows have it."""
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


TOKENS = ("prompt_tokens", "completion_tokens")
"""What is paid for."""


def count_tokens(counts: Counter[str], answer: Answer) -> None:
    """Add an answer's tokens; those of batches once more, as `batch_{name}`: they cost less."""
    for name in TOKENS:
        counts[name] += getattr(answer, name)
        counts[f"batch_{name}"] += getattr(answer, name) if answer.batch else 0


def counted_tokens(counts: Counter[str]) -> dict[str, int]:
    """The counts that a shard's report has, as `lamini.teacher.money.report_spending` reads it."""
    return {name: counts[name] for kind in TOKENS for name in (kind, f"batch_{kind}")}


@dataclass(slots=True)
class Spend:
    """What one session has sent and paid so far; answers from ledgers cost nothing."""

    sent: int = 0
    """Requests sent, retries among them."""
    answered: int = 0
    """Answers received and on disk."""
    from_ledger: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float = 0.0
    rate_limited: int = 0
    """Replies of status 429."""
    retries: int = 0
    """Requests that had to be sent again, for whatever reason."""


def chat_request(
    model: str,
    messages: Sequence[Mapping[str, str]],
    sampling: Sampling,
    seed: int | None = None,
    sample: int = 0,
) -> Request:
    """Build a request as the `openai` package would send it.

    Args:
        model: the model's name at the endpoint.
        messages: `{"role": ..., "content": ...}` in order.
        sampling: null parameters are left out; `extra_body` is merged into the body last.
        seed: sent when not None (`teacher.request_seeds` says whether the settings want it).
        sample: number of this answer among answers to equal requests.
    """
    body: dict[str, Any] = {"model": model, "messages": [dict(message) for message in messages]}
    body |= {
        name: value
        for name in ("temperature", "top_p", "max_tokens")
        if (value := getattr(sampling, name)) is not None
    }
    if seed is not None:
        body["seed"] = seed
    return Request(body | sampling.extra_body, sample)
