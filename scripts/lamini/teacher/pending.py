"""Requests that wait for their answers."""

import asyncio
import math
from dataclasses import dataclass

from lamini.teacher.completions import Completion
from lamini.teacher.money import Cost
from lamini.teacher.request import Answer, Request


@dataclass(eq=False, slots=True)
class PendingRequest:
    """A request without an answer yet."""

    key: str
    payload: bytes
    prompt_tokens: float
    """Estimated upper limit of the prompt's tokens."""
    most: Cost
    """Estimated upper limit of the cost of prompt and answer."""
    more_room: Request | None = None
    """The request to send if the answer is truncated or empty."""
    first: Answer | None = None
    """The truncated or empty answer, while this is the request with more room."""
    attempts: int = 0
    failures: int = 0
    broken: int = 0
    """Number of answers that the server broke off, or of refusals that a proxy may have sent."""
    discarded: tuple[int, int] = (0, 0)
    """Estimated prompt and completion tokens of answers that were paid for and discarded."""
    sent_at: float = 0.0
    """Wall-clock time of the latest attempt, in seconds since the epoch, for the ledger."""
    task: asyncio.Task | None = None
    answer: Answer | None = None
    """Set when the answer is on disk."""
    cancelled: bool = False
    timed_out: bool = False
    """Whether the latest attempt was cancelled because its time was over."""

    def become(self, again: "PendingRequest", first: Answer) -> None:
        """Change from a request whose answer is `first` to the request with more room."""
        self.key, self.payload = again.key, again.payload
        self.prompt_tokens, self.most = again.prompt_tokens, again.most
        self.more_room, self.first = None, first
        self.attempts, self.failures, self.broken = 0, 0, 0
        self.discarded = (0, 0)

    def unread(self) -> Completion:
        """A reply that was paid for and could not be read, with its largest possible tokens."""
        prompt = math.ceil(self.prompt_tokens)
        answer = math.ceil(self.most.tokens - self.prompt_tokens)
        return Completion("", "", prompt, answer, "", "")
