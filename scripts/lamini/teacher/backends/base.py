"""The interface of a backend: from requests to answers that are in the ledger."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from lamini.settings.teacher import Teacher
from lamini.teacher.dispatch import PendingRequest
from lamini.teacher.ledger import Ledger
from lamini.teacher.money import Budget
from lamini.teacher.request import Answer, Spend


class Backend(ABC):
    """Sends requests in a thread of its own, and has their answers kept.

    A session calls the public methods from its own thread, and waits on `changed`. A request has
    its answer when that is on disk.

    Args:
        settings: where the teacher is, its limits, patience.
        ledger: where answers go before anybody sees them.
        budget: asked before anything is sent.
        spend: counted up here.

    Raises:
        LaminiError: what the backend needs is missing.
    """

    def __init__(self, settings: Teacher, ledger: Ledger, budget: Budget, spend: Spend) -> None:
        self.settings, self.ledger, self.budget, self.spend = settings, ledger, budget, spend
        self.changed = threading.Condition()
        """Notified when answers are on disk or `failure` is set."""
        self.failure: BaseException | None = None

    @classmethod  # noqa: B027 - most backends need nothing
    def check(cls, settings: Teacher) -> None:
        """Raise a `LaminiError` when what the backend needs is missing, before any request."""

    @staticmethod
    def look_ahead(settings: Teacher) -> int:
        """Most requests that are pulled from the caller and not yet answered."""
        return settings.max_concurrency

    @abstractmethod
    def submit(self, request: PendingRequest) -> None:
        """Send a request as soon as limits allow."""

    def flush(self) -> None:  # noqa: B027 - most backends hold nothing back
        """Send what still waits for others: the caller waits for answers now."""

    @abstractmethod
    def cancel(self, requests: Iterable[PendingRequest]) -> None:
        """Give up requests that nobody waits for any more."""

    @abstractmethod
    def close(self) -> None:
        """Stop at once; answers that have arrived are on disk afterwards."""

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""

    @property
    def states(self) -> dict[str, int]:
        """How many batches are in which state; most backends have none."""
        return {}

    @property
    def status(self) -> list[str]:
        """Its part of the progress line."""
        return [f"{self.in_flight} in flight"]

    def publish(self, answered: Sequence[tuple[PendingRequest, Answer]]) -> None:
        """Give requests their answers, which are on disk."""
        with self.changed:
            for request, answer in answered:
                request.answer = answer
            self.changed.notify_all()

    def publish_failure(self, error: BaseException | None) -> None:
        """Have the caller end with an error."""
        with self.changed:
            self.failure = error
            self.changed.notify_all()
