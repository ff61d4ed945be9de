"""Interface of a teacher backend: sends requests and writes the answers to the ledger."""

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence

from lamini.settings.teacher import Teacher
from lamini.teacher.ledger import Ledger
from lamini.teacher.money import Budget
from lamini.teacher.pending import PendingRequest
from lamini.teacher.request import Answer, Spend, better


class Backend(ABC):
    """Sends requests from its own thread and writes their answers to the ledger.

    A session calls the public methods from its thread and waits on `changed`. The attribute
    `answer` of a request is set when the answer is on disk.

    Args:
        settings: endpoints, limits, timeouts and retries.
        ledger: answers are appended here before they are published.
        budget: checked before requests are sent.
        spend: counters of requests, answers and tokens; updated here.

    Raises:
        LaminiError: a requirement of the backend is missing.
    """

    def __init__(self, settings: Teacher, ledger: Ledger, budget: Budget, spend: Spend) -> None:
        self.settings, self.ledger, self.budget, self.spend = settings, ledger, budget, spend
        self.changed = threading.Condition()
        """Notified when answers are on disk or `failure` is set."""
        self.failure: BaseException | None = None
        self.short: deque[tuple[PendingRequest, Answer]] = deque()
        """Requests whose answer lacks room; the session asks them again."""

    @classmethod
    def check(cls, settings: Teacher) -> str:
        """Check the requirements; called before the first job of a run and before any request.

        Returns:
            what was found, for the log.

        Raises:
            LaminiError: a requirement is missing.
        """
        return "ready"

    @staticmethod
    def look_ahead(settings: Teacher) -> int:
        """Maximum number of requests that are read from the caller and not yet yielded."""
        return settings.max_concurrency

    @abstractmethod
    def submit(self, request: PendingRequest) -> None:
        """Send a request as soon as the rate limits allow."""

    def flush(self) -> None:  # noqa: B027 - most backends hold nothing back
        """Send the requests that wait for a full batch; called when the caller needs answers."""

    @abstractmethod
    def cancel(self, requests: Iterable[PendingRequest]) -> None:
        """Cancel requests whose answers are no longer needed."""

    def drain(self, seconds: float) -> None:  # noqa: B027 - batches continue without the job
        """Send no more requests, and wait for the replies to requests in flight.

        Args:
            seconds: time limit.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop without waiting for replies; received answers are then on disk."""

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""

    @property
    def states(self) -> dict[str, int]:
        """Number of batches by state; empty for backends without batches."""
        return {}

    @property
    def status(self) -> list[str]:
        """The backend's parts of the progress line."""
        return [f"{self.in_flight} in flight"]

    def publish(self, answered: Sequence[tuple[PendingRequest, Answer]]) -> None:
        """Set the answers of requests and notify the session; the answers are on disk."""
        with self.changed:
            for request, answer in answered:
                if request.more_room and answer.lacks_room:
                    self.short.append((request, answer))
                else:
                    request.answer = better(request.first, answer) if request.first else answer
            self.changed.notify_all()

    def publish_failure(self, error: BaseException | None) -> None:
        """Set the error that the session raises."""
        with self.changed:
            self.failure = error
            self.changed.notify_all()
