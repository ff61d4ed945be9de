"""State of an open batch, and its log lines."""

import logging
import time

from openai.types import Batch

from lamini.log import LINE_EVERY_SECONDS, duration
from lamini.settings.teacher import Price
from lamini.teacher.batch.journal import BatchRecord
from lamini.teacher.money import Cost, Spending

logger = logging.getLogger("lamini")


class OpenBatch:
    """A planned or created batch whose answers are not in the ledger yet.

    Args:
        record: its record in the journal.
        bodies: digest of each request's body, by request key.
    """

    def __init__(self, record: BatchRecord, bodies: dict[str, str]) -> None:
        self.record, self.bodies = record, bodies
        self.status = ""
        """Status in the API's latest reply; empty before the first one."""
        self.cost = Cost()
        """Cost so far, if the API reports usage."""
        self.unsure = record.state == "uploaded"
        """Whether the batch may exist although its creation got no reply."""
        self.downloads = 0
        self._logged: tuple[str, int, int] = ("", 0, 0)
        self._logged_at = 0.0

    @property
    def accepted(self) -> bool:
        """Whether the API has validated the batch and queued it."""
        return self.status not in ("", "validating")

    def learn(self, batch: Batch, price: Price | None) -> None:
        """Update status and cost from the API's reply, and log a line if they changed."""
        counts, usage = batch.request_counts, batch.usage
        completed = counts.completed or 0 if counts else 0
        failed = counts.failed or 0 if counts else 0
        if usage:
            spending = Spending()
            details = usage.input_tokens_details
            cached = details.cached_tokens or 0 if details else 0
            tokens = usage.input_tokens or 0, usage.output_tokens or 0
            spending.add(*tokens, price, cached=cached, batch=True)
            self.cost = spending.cost
        self.status = batch.status
        state = (batch.status, completed, failed)
        now = time.monotonic()
        if state[0] != self._logged[0] or (
            state != self._logged and now - self._logged_at >= LINE_EVERY_SECONDS
        ):
            self._logged, self._logged_at = state, now
            logger.info("%s", self._line(batch, completed, failed))

    def _line(self, batch: Batch, completed: int, failed: int) -> str:
        now, done = time.time(), completed + failed
        parts = [
            f"batch {batch.id}: {batch.status}",
            f"{done:,} of {self.record.requests:,} requests done",
            *([f"{failed:,} failed"] if failed else []),
            f"{duration(now - batch.created_at)} elapsed",
        ]
        if batch.status == "in_progress":
            working = now - (batch.in_progress_at or batch.created_at)
            left = working / done * (self.record.requests - done) if done else float("inf")
            parts.append(f"ETA {duration(left)}")
        return ", ".join(parts)
