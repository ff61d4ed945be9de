"""A batch on its way, and how it is told to people."""

import logging
import time

from openai.types import Batch

from lamini.log import LINE_EVERY_SECONDS, format_seconds
from lamini.settings.teacher import Price
from lamini.teacher.batch.journal import Record
from lamini.teacher.money import Cost, Spending

logger = logging.getLogger("lamini")


class OpenBatch:
    """A batch that was planned and whose answers are not in the ledger.

    Args:
        record: its place in the journal.
        bodies: digest of each request's body, by its key.
    """

    def __init__(self, record: Record, bodies: dict[str, str]) -> None:
        self.record, self.bodies = record, bodies
        self.status = ""
        """As the API says; empty until it was asked."""
        self.cost = Cost()
        """What it has cost so far, where the API tells."""
        self.unsure = record.state == "uploaded"
        """Whether it may have been created although nobody was told."""
        self.downloads = 0
        self._told: tuple[str, int, int] = ("", 0, 0)
        self._told_at = 0.0

    @property
    def accepted(self) -> bool:
        """Whether the API has read it and let it into its queue."""
        return self.status not in ("", "validating")

    def learn(self, batch: Batch, price: Price | None) -> None:
        """Take over what the API says of it, and log a line when that is news."""
        counts, usage = batch.request_counts, batch.usage
        completed = counts.completed or 0 if counts else 0
        failed = counts.failed or 0 if counts else 0
        if usage:
            spending = Spending()
            spending.add(usage.input_tokens or 0, usage.output_tokens or 0, price, batch=True)
            self.cost = spending.cost
        self.status = batch.status
        news = (batch.status, completed, failed)
        now = time.monotonic()
        if news[0] != self._told[0] or (
            news != self._told and now - self._told_at >= LINE_EVERY_SECONDS
        ):
            self._told, self._told_at = news, now
            logger.info("%s", self._line(batch, completed, failed))

    def _line(self, batch: Batch, completed: int, failed: int) -> str:
        now, done = time.time(), completed + failed
        parts = [
            f"batch {batch.id}: {batch.status}",
            f"{done:,} of {self.record.requests:,} requests done",
            *([f"{failed:,} failed"] if failed else []),
            f"{format_seconds(max(0.0, now - batch.created_at))} elapsed",
        ]
        if batch.status == "in_progress":
            working = now - (batch.in_progress_at or batch.created_at)
            left = working / done * (self.record.requests - done) if done else float("inf")
            parts.append(f"ETA {format_seconds(max(0.0, left))}")
        return ", ".join(parts)
