"""Selection of queued requests for the next batch, within the API's limits and the budget."""

import logging
from collections import deque
from collections.abc import Sequence

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher
from lamini.teacher.batch.journal import BatchRecord, Journal, open_cost
from lamini.teacher.batch.lines import input_line
from lamini.teacher.money import Budget, Cost, results_folder
from lamini.teacher.pending import PendingRequest

logger = logging.getLogger("lamini")


class Packer:
    """Packs requests into batches.

    Args:
        settings: limits of an input file and of enqueued tokens.
        budget: checked for each request.
        journal: this shard's journal; the cost of its open batches is reserved.
    """

    def __init__(self, settings: Teacher, budget: Budget, journal: Journal) -> None:
        self._budget, self._journal = budget, journal
        self._most_requests = settings.batch.requests_per_file
        self._most_bytes = settings.batch.megabytes_per_file * 1e6
        self._jobs = settings.jobs
        self._warned = False
        limit = settings.batch.enqueued_tokens
        self._most_tokens = limit / self._jobs if limit else float("inf")

    def limit_tokens(self, account_limit: float) -> None:
        """Set the account's limit of enqueued tokens; this job uses its share."""
        self._most_tokens = min(self._most_tokens, account_limit / self._jobs)

    def take(
        self, queue: deque[PendingRequest], open_records: Sequence[BatchRecord]
    ) -> list[PendingRequest]:
        """Remove the next batch's requests from the queue.

        Args:
            queue: waiting requests; cancelled ones are dropped.
            open_records: this shard's batches that were created and have not ended.

        Returns:
            the requests, all with the same number of attempts. Empty if the queue is empty, or if
            the requests must wait until an open batch has ended.

        Raises:
            LaminiError: the budget is used up, or a request is larger than the limit of a file.
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
                    f"request {pending.key} has {length:,} bytes, more than the limit of a batch"
                    " file; raise teacher.batch.megabytes_per_file"
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
        # An open batch frees tokens and unused budget when it ends.
        if short_of and open_records:
            queue.extendleft(reversed(chosen))
            return []
        if short_of == "budget" and not chosen:
            if not more_may_come:
                raise self._budget.exhausted()
            if not self._warned:
                logger.warning("waiting: open batches of other shards reserve the whole budget")
            self._warned = True
        return chosen

    def _reserved_elsewhere(self) -> tuple[Cost, bool]:
        """Upper limit of the cost of other shards' open batches, and whether any may end soon."""
        if not self._budget.limited:
            return Cost(), False
        return open_cost(results_folder(self._journal.path), self._journal.path)
