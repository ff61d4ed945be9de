"""Dispatcher of batches: creation, polling, download of answers, retries.

All code here runs in the client's thread, in its event loop. Each step is written to the journal
before the next one, and answers are written to the ledger before their batch is closed.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from openai.types import Batch, BatchError

from lamini.errors import LaminiError
from lamini.settings.teacher import Teacher
from lamini.teacher.batch.harvest import Harvest, keep_answers, take_in
from lamini.teacher.batch.journal import BatchRecord, Journal, reserving
from lamini.teacher.batch.lines import input_line, read_input
from lamini.teacher.batch.open_batch import OpenBatch
from lamini.teacher.batch.packer import Packer
from lamini.teacher.batch.service import BatchService
from lamini.teacher.ledger import Ledger
from lamini.teacher.money import Budget, Cost
from lamini.teacher.pending import PendingRequest
from lamini.teacher.replies import RetryableError
from lamini.teacher.request import Answer, Spend
from lamini.teacher.rows import answer_of_row
from lamini.teacher.verdicts import REMEDY, Verdicts

logger = logging.getLogger("lamini")

_SETTLE_SECONDS = 15.0  # until the API lists a batch whose creation got no reply
_MAX_DOWNLOADS = 10  # downloads of result files that lack lines
_ENDED = ("completed", "expired", "cancelled")
_TOO_MANY_TOKENS = "token_limit_exceeded"
_TOKEN_LIMIT = re.compile(r"[Ll]imit: ([\d,]+)")
_LONGEST_WAIT = 1800.0  # seconds between attempts while the API's queue is full
_MAX_REFUSALS = 3  # refusals of the only open batch, after which it counts as too large


class BatchDispatcher:
    """Sends requests in batches and writes their answers to the ledger.

    Args:
        settings: the Batch API's limits, poll interval and retries.
        service: the endpoint's Files and Batches API.
        ledger: answers are appended here.
        journal: the record of this shard's batches.
        budget: checked before each batch.
        spend: counters of requests, answers and tokens; updated here.
        publish: called with requests and their answers, which are on disk.
    """

    def __init__(
        self,
        *,
        settings: Teacher,
        service: BatchService,
        ledger: Ledger,
        journal: Journal,
        budget: Budget,
        spend: Spend,
        publish: Callable[[Sequence[tuple[PendingRequest, Answer]]], None],
    ) -> None:
        self._settings, self._service = settings, service
        self._ledger, self._journal = ledger, journal
        self._budget, self._spend, self._publish = budget, spend, publish
        self._price = settings.prices.get(settings.model)
        self._packer = Packer(settings, budget, journal)
        self._queue: deque[PendingRequest] = deque()
        self._waiting: dict[str, PendingRequest] = {}
        self._sent_in: dict[str, OpenBatch] = {}  # by request key
        self._ready: deque[OpenBatch] = deque()  # planned, not yet created
        self._resumed = False
        self._refusals = 0  # consecutive refusals because of the limit of enqueued tokens
        self._not_before = 0.0
        self.open: dict[str, OpenBatch] = {}
        """Created batches that have not ended, by the token in their metadata."""

    @property
    def busy(self) -> bool:
        """Whether there are requests to send or batches to wait for."""
        return bool(self.open or self._ready or self._queue)

    def take(self, requests: Iterable[PendingRequest]) -> None:
        """Answer requests from the ledger, assign them to open batches, or queue them."""
        answered = []
        for pending in requests:
            row = self._ledger.get(pending.key)
            if row is not None:
                answered.append((pending, answer_of_row(row, cached=True)))
                continue
            self._waiting[pending.key] = pending
            if batch := self._sent_in.get(pending.key):
                pending.attempts = batch.record.attempt
            else:
                self._queue.append(pending)
        self._publish(answered)

    async def resume(self) -> None:
        """Resume the open batches of an earlier job."""
        for record in self._journal.open if not self._resumed else ():
            if record.token in self.open:
                continue  # resumed by an earlier attempt that failed half-way
            if record.state == "planned":
                self._journal.close(record, "dropped")
                continue
            path = self._journal.input_path(record)
            if not path.exists():
                self._journal.write_input(record, [await self._service.download(record.file)])
            batch = OpenBatch(record, dict(read_input(path)))
            if record.state == "created" or await self._adopt(batch):
                self._opened(batch)
                logger.info(
                    "batch %s: resumed, with %d requests",
                    *(record.batch, record.requests),
                )
            else:
                self._journal.close(record, "dropped")
        self._resumed = True

    async def step(self) -> None:
        """Poll all open batches, and create the next one if limits and budget allow it.

        Raises:
            RetryableError: a call to the endpoint failed; the next step may succeed.
            LaminiError: a permanent error.
        """
        for batch in list(self.open.values()):
            await self._poll(batch)
        if self._budget.allows(Cost.total(batch.cost for batch in self.open.values())):
            await self._submit()
        elif self.open:
            await self._cancel_open()
        elif self.busy:
            raise self._budget.exhausted()

    # --- Sending ---------------------------------------------------------------------------------

    async def _submit(self) -> None:
        """Create the next batch, if the API has accepted the previous one."""
        accepted = all(batch.accepted for batch in self.open.values())
        if not accepted or time.monotonic() < self._not_before:
            return
        if not self._ready:
            self._plan()
        if not self._ready:
            return
        batch = self._ready[0]
        record = batch.record
        if record.state == "planned":
            record.file = await self._service.upload(self._journal.input_path(record))
            record.state = "uploaded"
            self._journal.save()
        if not (batch.unsure and await self._adopt(batch)):
            try:
                created = await self._service.create(record.file, record.token, self._journal.shard)
            except RetryableError as error:
                batch.unsure = not error.rate_limited
                if batch.unsure:
                    raise
                self._wait_for_room(batch, self._service.scrubbed(str(error)), error.retry_after)
                return
            self._created(record, created.id)
        self._ready.popleft()
        self._opened(batch)
        self._spend.sent += record.requests
        self._spend.retries += record.requests if record.attempt > 1 else 0

    def _plan(self) -> None:
        """Write the next input file, if requests are queued and the budget allows them."""
        with reserving(self._journal.path) if self._budget.limited else contextlib.nullcontext():
            records = [batch.record for batch in self.open.values()]
            requests = self._packer.take(self._queue, records)
            if not requests:
                return
            for pending in requests:
                pending.attempts += 1
            most = Cost.total(pending.most for pending in requests)
            record = BatchRecord(
                requests=len(requests),
                attempt=requests[0].attempts,
                prompt_tokens=round(sum(pending.prompt_tokens for pending in requests)),
                dollars=round(most.dollars, 6),
                tokens=round(most.tokens),
            )
            self._journal.plan(record, map(input_line, requests))
        batch = OpenBatch(record, dict(read_input(self._journal.input_path(record))))
        self._sent_in.update(dict.fromkeys(batch.bodies, batch))
        self._ready.append(batch)

    async def _adopt(self, batch: OpenBatch) -> bool:
        """Find a batch whose creation got no reply; the API may list it a moment later."""
        record = batch.record
        await asyncio.sleep(min(_SETTLE_SECONDS, self._settings.batch.poll_seconds))
        created = await self._service.find(record.file, record.token, record.refused)
        batch.unsure = False
        if created:
            logger.info("batch %s: found, although its creation got no reply", created.id)
            self._created(record, created.id)
        return created is not None

    def _created(self, record: BatchRecord, batch: str) -> None:
        record.batch, record.state = batch, "created"
        self._journal.save()

    def _opened(self, batch: OpenBatch) -> None:
        self.open[batch.record.token] = batch
        self._sent_in.update(dict.fromkeys(batch.bodies, batch))

    async def _cancel_open(self) -> None:
        """Cancel open batches, as the budget is exceeded; finished answers are still kept."""
        for batch in self.open.values():
            if batch.status in ("", "validating", "in_progress"):
                logger.warning(
                    "batch %s: cancelled, because teacher.budget_%s is exceeded",
                    batch.record.batch,
                    self._budget.short_of,
                )
                try:
                    await self._service.cancel(batch.record.batch)
                except LaminiError as error:  # the batch has just ended
                    logger.info("%s", self._service.scrubbed(str(error)))

    # --- Taking in -------------------------------------------------------------------------------

    async def _poll(self, batch: OpenBatch) -> None:
        """Retrieve a batch's state, and handle its end."""
        reply = await self._service.retrieve(batch.record.batch)
        was_accepted = batch.accepted
        batch.learn(reply, self._price)
        if batch.accepted and not was_accepted and reply.status != "failed":
            self._refusals = 0
        if reply.status == "failed":
            self._handle_refusal(batch, reply)
        elif reply.status in _ENDED:
            await self._harvest(batch, reply)

    def _handle_refusal(self, batch: OpenBatch, reply: Batch) -> None:
        """Handle a batch that the API refused; it costs nothing."""
        errors = (reply.errors.data if reply.errors else None) or []
        reasons = self._service.scrubbed("; ".join(_reason(error) for error in errors))
        del self.open[batch.record.token]
        if any(error.code == _TOO_MANY_TOKENS for error in errors):
            batch.record.refused.append(reply.id)
            batch.record.batch, batch.record.state = "", "uploaded"
            self._journal.save()
            self._ready.append(batch)
            self._wait_for_room(batch, reasons, None)
            return
        self._closed(batch, "failed", 0)
        if errors:
            raise LaminiError(
                f"{self._service.address}: batch {reply.id} was refused: {reasons}; correct the"
                " teacher's settings, then run the same command again"
            )
        self._retry(dict.fromkeys(batch.bodies, f"batch {reply.id} failed without a reason"))

    def _wait_for_room(self, batch: OpenBatch, reasons: str, seconds: float | None) -> None:
        """Wait while the API's queue is full; split a batch that exceeds the limit by itself."""
        self._refusals += 1
        wait = self._settings.batch.poll_seconds * 2 ** min(self._refusals - 1, 10)
        self._not_before = time.monotonic() + (seconds or min(wait, _LONGEST_WAIT))
        record = batch.record
        most = float("inf")
        if "token" in reasons:  # not the limit of batches per hour
            limit = _TOKEN_LIMIT.search(reasons)
            most = float(limit[1].replace(",", "")) if limit else most
            if not self.open and self._refusals >= _MAX_REFUSALS:
                most = min(most, record.prompt_tokens / 2)
        logger.warning("the API's queue is full, waiting: %s", reasons)
        if record.prompt_tokens > most and record.requests > 1:
            logger.warning(
                "a batch of %d requests exceeds the queue's limit: using smaller batches",
                record.requests,
            )
            self._packer.limit_tokens(most)
            self._ready.remove(batch)
            self._closed(batch, "dropped", 0)
            requests = [self._waiting[key] for key in batch.bodies if key in self._waiting]
            for pending in requests:
                pending.attempts -= 1
            self._queue.extendleft(reversed(requests))

    async def _harvest(self, batch: OpenBatch, reply: Batch) -> None:
        """Write a batch's answers to the ledger, then queue its unanswered requests again."""
        verdicts = Verdicts(self._settings.max_refused_share, min(1, len(self._ledger)))
        harvest = await take_in(self._service, reply, batch.bodies, verdicts)
        batch.downloads += 1
        if not harvest.whole:
            if batch.downloads < _MAX_DOWNLOADS:
                raise RetryableError(f"batch {reply.id}: its result files are incomplete")
            logger.warning(
                "batch %s: its result files are incomplete; missing requests are sent again",
                reply.id,
            )
        self._keep(batch, reply, harvest)
        self._closed(batch, reply.status, len(harvest.answers))
        del self.open[batch.record.token]
        self._not_before = 0.0  # the ended batch left room in the queue
        if harvest.refusals:
            raise LaminiError(
                f"batch {reply.id}: {len(harvest.refusals):,} of {batch.record.requests:,} requests"
                f" were refused, the first because: {next(iter(harvest.refusals.values()))};"
                f" {REMEDY}"
            )
        self._retry(harvest.failures)

    def _keep(self, batch: OpenBatch, reply: Batch, harvest: Harvest) -> None:
        """Append new answers to the ledger, count them, and publish all answers of the batch."""
        record = batch.record
        prompt_tokens = record.prompt_tokens / record.requests
        for key, completion in harvest.answers.items():
            harvest.answers[key] = self._budget.counted(completion, prompt_tokens)
        rows = keep_answers(
            self._ledger,
            harvest,
            reply,
            record.attempt,
            batch.bodies,
            asked=self._settings.model,
        )
        for row in rows:
            self._spend.answered += 1
            self._budget.pay(self._spend, harvest.answers[row["key"]], batch=True)
        answered = [
            (self._waiting.pop(key, None), self._ledger.get(key)) for key in harvest.answers
        ]
        self._publish(
            [
                (pending, answer_of_row(row, cached=False))
                for pending, row in answered
                if pending and row
            ]
        )

    def _closed(self, batch: OpenBatch, outcome: str, answered: int) -> None:
        self._journal.close(batch.record, outcome, answered)
        for key in batch.bodies:
            self._sent_in.pop(key, None)

    def _retry(self, failures: dict[str, str]) -> None:
        """Queue failed requests again, except cancelled ones; `failures` maps key to reason."""
        most = self._settings.batch.max_attempts
        for key, reason in failures.items():
            pending = self._waiting.get(key)
            if pending is None or pending.cancelled:
                continue
            if pending.attempts >= most:
                raise LaminiError(
                    f"request {key} was in {pending.attempts} batches without an answer (last:"
                    f" {reason}); {len(failures):,} requests of this batch have none; raise"
                    " teacher.batch.max_attempts, or run the same command again later"
                )
            self._queue.append(pending)


def _reason(error: BatchError) -> str:
    location = f"line {error.line}: " if error.line else ""
    return f"{location}{error.message} ({error.code})"
