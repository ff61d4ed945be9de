"""Which of the waiting requests make the next batch: the API's limits, and the budget's."""

import logging
from collections import deque
from collections.abc import Sequence

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher
from lamini.teacher.batch.journal import Journal, Record, open_cost
from lamini.teacher.batch.lines import input_line
from lamini.teacher.dispatch import PendingRequest
from lamini.teacher.money import Budget, Cost, results_folder

logger = logging.getLogger("lamini")


class Packer:
    """Packs requests into batches.

    Args:
        settings: limits of a file, and of enqueued tokens.
        budget: asked for every request.
        journal: this shard's; its open batches are reserved money.
    """

    def __init__(self, settings: Teacher, budget: Budget, journal: Journal) -> None:
        self._budget, self._journal = budget, journal
        self._most_requests = settings.batch.requests_per_file
        self._most_bytes = settings.batch.megabytes_per_file * 1e6
        self._jobs = settings.jobs
        self._told = False
        limit = settings.batch.enqueued_tokens
        self._most_tokens = limit / self._jobs if limit else float("inf")

    def limit_tokens(self, account_limit: float) -> None:
        """Learn how many tokens may be enqueued at once."""
        self._most_tokens = min(self._most_tokens, account_limit / self._jobs)

    def take(
        self, queue: deque[PendingRequest], open_records: Sequence[Record]
    ) -> list[PendingRequest]:
        """Take the next batch's requests off the queue.

        Args:
            queue: requests that wait; cancelled ones are dropped.
            open_records: this shard's batches that were created and have not ended.

        Returns:
            the requests, all of one attempt; none: until an open batch has ended, if some wait.

        Raises:
            LaminiError: the budget is used up, or a request is too long for any file.
        """
        elsewhere, more_may_come = self._reserved_elsewhere()
        reserved = elsewhere + Cost.total(record.cost for record in self._journal.open)
        tokens_left = self._most_tokens - sum(record.prompt_tokens for record in open_records)
        chosen: list[PendingRequest] = []
        size, short_of = 0, ""
        while queue and len(chosen) < self._most_requests:
            pending = queue[0]
            if pending.cancelled:
                queue.popleft()
                continue
            length = len(input_line(pending))
            if length > self._most_bytes:
                raise LaminiError(
                    f"request {pending.key} has {length:,} bytes, more than a whole file may have;"
                    " raise teacher.batch.megabytes_per_file"
                )
            if size + length > self._most_bytes or (
                chosen and pending.attempts != chosen[0].attempts
            ):
                break
            if pending.prompt_tokens > tokens_left and (chosen or open_records):
                short_of = "tokens"
                break
            if not self._budget.allows(reserved, pending.most):
                short_of = "budget"
                break
            queue.popleft()
            chosen.append(pending)
            size += length
            tokens_left -= pending.prompt_tokens
            reserved += pending.most
        # An open batch leaves room when it ends, and may turn out cheaper than it might have been.
        if short_of and open_records:
            queue.extendleft(reversed(chosen))
            return []
        if short_of == "budget" and not chosen:
            if not more_may_come:
                raise self._budget.exhausted()
            if not self._told:
                logger.warning("waiting: open batches of other shards may take the whole budget")
            self._told = True
        return chosen

    def _reserved_elsewhere(self) -> tuple[Cost, bool]:
        """What other shards' open batches may cost, and whether they may end soon."""
        if not self._budget.limited:
            return Cost(), False
        return open_cost(results_folder(self._journal.path), self._journal.path)
