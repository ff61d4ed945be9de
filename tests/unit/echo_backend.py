"""A backend in one file, for tests: `backend: echo` answers with the last message."""

import json
from collections.abc import Iterable

from lamini.teacher.backend import Backend
from lamini.teacher.backends import BackendKind
from lamini.teacher.completions import Completion
from lamini.teacher.ledger import row_line
from lamini.teacher.pending import PendingRequest
from lamini.teacher.request import body_digest
from lamini.teacher.rows import answer_of_row, ledger_row


class EchoBackend(Backend):
    """Answers at once."""

    @property
    def in_flight(self) -> int:
        """None: each request is answered when it is submitted."""
        return 0

    def submit(self, request: PendingRequest) -> None:
        """Write the answer to the ledger."""
        text = json.loads(request.payload)["messages"][-1]["content"]
        completion = Completion(
            text=text,
            finish_reason="stop",
            prompt_tokens=3,
            completion_tokens=3,
            model="echo",
            request_id="",
        )
        self.budget.pay(self.spend, completion)
        digest = body_digest(request.payload)
        row = ledger_row(request.key, digest, completion, 1, 0.0, asked=self.settings.model)
        self.ledger.append([row_line(row)])
        self.spend.sent += 1
        self.spend.answered += 1
        self.publish([(request, answer_of_row(row, cached=False))])

    def cancel(self, requests: Iterable[PendingRequest]) -> None:
        """Nothing is in flight."""

    def close(self) -> None:
        """Nothing is open."""


BACKEND = BackendKind(EchoBackend, "echo", asks_endpoints=False, threads=lambda teacher: 3)
