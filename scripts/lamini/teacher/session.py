"""A job's session with the teacher: the interface for callers."""

import contextlib
import dataclasses
import gc
import itertools
import logging
import os
import re
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import orjson

from lamini.errors import LaminiError, StopRequested
from lamini.files import write_json
from lamini.settings.teacher import Teacher
from lamini.teacher.backends import kind_of
from lamini.teacher.ledger import Ledger, LedgerReader
from lamini.teacher.money import Budget, Cost, most_tokens, progress_files, spent_before
from lamini.teacher.pending import PendingRequest
from lamini.teacher.request import Answer, Request, Spend, better
from lamini.teacher.rows import answer_of_row

if TYPE_CHECKING:
    from lamini.teacher.backend import Backend

logger = logging.getLogger("lamini")

_PROGRESS_SECONDS = 5.0
_DRAIN_SECONDS = 25.0
"""Time for answers in flight after SIGTERM; SLURM kills a job 30 s after it, by default."""
_MAX_COUNTED_MISSING = 100_000
_COLLECTED_OBJECTS = 50_000
"""New objects after which Python looks for garbage. With its default, 700, the requests in flight
are searched so often that a request costs a third more CPU time."""


class TeacherSession:
    """Sends requests and yields answers; created by `open_teacher`.

    Args:
        settings: endpoints, limits and budgets.
        ledger: this job's ledger.
        other_ledgers: ledgers that are only read.
        job: name of the job and of its progress file; if empty, no progress file is written.
    """

    def __init__(
        self, settings: Teacher, ledger: Path, other_ledgers: Sequence[Path], job: str
    ) -> None:
        self._settings, self._ledger_path, self._job = settings, ledger, job
        self.spend = Spend()
        self._ledger: Ledger | LedgerReader
        self._kind = kind_of(settings)
        if settings.mode == "replay":
            self._ledger = LedgerReader([ledger])
        else:
            self._kind.load().check(settings)
            self._ledger = Ledger(ledger)
        others = [path for path in other_ledgers if path.resolve() != ledger.resolve()]
        self._others = LedgerReader(others)
        self._backend: Backend | None = None
        self._pending: dict[str, PendingRequest] = {}
        self._started = time.monotonic()
        self._written = 0.0
        self._budget: Budget | None = None
        name = re.sub(r"[^\w.-]+", "_", job)
        self._progress = progress_files(ledger) / f"{name}.json" if job else None
        self._before = spent_before(self._progress, ledger) if self._progress else Cost()
        self.stopping = False
        """Whether SIGTERM came; requests in flight are then not cancelled."""

    def ask(
        self, requests: Iterable[Request], look_ahead: int | None = None
    ) -> Iterator[tuple[Request, Answer]]:
        """Yield each request with its answer, in the order of `requests`.

        `requests` is read in the caller's thread: request i is read only after answer
        i - look_ahead was yielded. Closing the iterator cancels the requests in flight.

        Args:
            requests: any iterable; equal requests are sent once.
            look_ahead: maximum number of requests that are read and not yet yielded; default
                4096, with the Batch API all requests. With a larger number, a slow
                answer delays the others less; with a smaller one, fewer answers are wasted when
                the caller stops early.

        Raises:
            LaminiError: the endpoint refuses or is down, the budget is used up, or, in replay mode,
                an answer is missing. Earlier answers are in the ledger.
            StopRequested: the job received SIGTERM.
        """
        most = look_ahead or self._kind.load().look_ahead(self._settings)
        window: deque[tuple[Request, Answer | PendingRequest]] = deque()
        pulled = iter(requests)
        try:
            while True:
                for request in itertools.islice(pulled, most - len(window)):
                    window.append((request, self._begin(request, pulled)))
                if not window:
                    return
                request, pending = window[0]
                if isinstance(pending, PendingRequest):
                    answer = self._wait(pending)
                    self._pending.pop(request.key, None)
                else:
                    answer = pending
                window.popleft()
                self._report("running")
                yield request, answer
        finally:
            self._give_up(
                {r.key: pending for r, pending in window if isinstance(pending, PendingRequest)}
            )

    def status(self) -> str:
        """Details for `lamini.log.Progress`: in flight, tokens/s, 429 replies, retries, dollars."""
        spend = self.spend
        seconds = max(time.monotonic() - self._started, 1e-9)
        tokens = spend.prompt_tokens + spend.completion_tokens
        first, *others = self._backend.status if self._backend else ["0 in flight"]
        parts = [first, f"{tokens / seconds:,.0f} tokens/s", *others]
        if spend.from_ledger:
            parts.append(f"{spend.from_ledger:,} from ledgers")
        if spend.rate_limited:
            parts.append(f"{spend.rate_limited:,} times 429")
        if spend.retries:
            parts.append(f"{spend.retries:,} retries")
        if spend.with_more_room:
            parts.append(f"{spend.with_more_room:,} again with more room")
        if self._settings.prices.get(self._settings.model) and spend.dollars:
            parts.append(f"${spend.dollars:,.4f} spent")
        return ", ".join(parts)

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""
        return self._backend.in_flight if self._backend else 0

    def drain(self) -> None:
        """Send no more requests, and wait for the answers in flight, which are paid."""
        if self._backend and self._backend.in_flight:
            logger.info("stopping after the answers to %d requests", self._backend.in_flight)
            self._backend.drain(_DRAIN_SECONDS)

    def close(self, state: str) -> None:
        """Stop; received answers are then on disk. `state` is written to the progress file."""
        try:
            if self._backend:
                self._backend.close()
        finally:
            self._ledger.close()
            self._others.close()
            self._report(state, always=True)

    def _begin(self, request: Request, rest: Iterator[Request]) -> Answer | PendingRequest:
        """Return the answer of a request from the ledgers, or send the request."""
        if pending := self._pending.get(request.key):
            return pending
        answer, unanswered = self._known(request)
        if answer and unanswered is None:
            self.spend.from_ledger += 1
            return answer
        if self._settings.mode == "replay":
            raise self._missing(rest)
        pending = self._pending[request.key] = self._pending_request(request)
        if answer:
            self._send_again(pending, answer)
        else:
            assert self._backend is not None
            self._backend.submit(pending)
        return pending

    def _known(self, request: Request) -> tuple[Answer | None, Request | None]:
        """The answer of a request in the ledgers, and the request that is still to be sent."""
        first = self._kept(request)
        if first is None:
            return None, request
        if request.more_room is None or not first.lacks_room:
            return first, None
        second = self._kept(request.more_room)
        return (better(first, second), None) if second else (first, request.more_room)

    def _kept(self, request: Request) -> Answer | None:
        row = self._ledger.get(request.key) or self._others.get(request.key)
        return answer_of_row(row, cached=True) if row else None

    def _pending_request(self, request: Request) -> PendingRequest:
        if self._backend is None or self._budget is None:
            self._budget = Budget(self._settings, self._ledger_path, self._before)
            assert isinstance(self._ledger, Ledger)
            backend = self._kind.load()
            self._backend = backend(self._settings, self._ledger, self._budget, self.spend)
            self._started = time.monotonic()
        payload = _payload(request)
        prompt, answer = most_tokens(payload, request.body)
        most = self._budget.most(prompt, answer, batch=self._kind.at_batch_price)
        return PendingRequest(request.key, payload, prompt, most, request.more_room)

    def _send_again(self, pending: PendingRequest, first: Answer) -> None:
        """Send a request's second one, with more room, unless the ledgers have its answer."""
        again, backend = pending.more_room, self._backend
        assert again is not None and backend is not None
        second = self._kept(again)
        if second:
            pending.answer = better(first, second)
            return
        if not self.spend.with_more_room:
            logger.info("truncated and empty answers are requested once more, with more room")
        self.spend.with_more_room += 1
        pending.become(self._pending_request(again), first)
        backend.submit(pending)

    def _wait(self, pending: PendingRequest) -> Answer:
        """Wait until the answer is on disk, and return it."""
        backend = self._backend
        assert backend is not None
        while True:
            while backend.short:
                short, first = backend.short.popleft()
                if not short.cancelled:
                    self._send_again(short, first)
            backend.flush()
            with backend.changed:
                if not (pending.answer or backend.failure or backend.short):
                    backend.changed.wait(_PROGRESS_SECONDS)
                if pending.answer:
                    return pending.answer
                if backend.failure:
                    raise backend.failure
            self._report("running")

    def _give_up(self, requests: dict[str, PendingRequest]) -> None:
        """Forget unanswered requests, by request key, and cancel them."""
        for key in requests:
            self._pending.pop(key, None)
        if self._backend and requests and not self.stopping:
            self._backend.cancel(requests.values())

    def _missing(self, rest: Iterator[Request]) -> LaminiError:
        """The error of a replay without an answer; counts the missing ones from here on."""
        following = itertools.islice(rest, _MAX_COUNTED_MISSING)
        missing = 1 + sum(self._known(request)[1] is not None for request in following)
        least = "at least " if missing > _MAX_COUNTED_MISSING else ""
        return LaminiError(
            f"{self._ledger_path}: {least}{missing:,} answers are missing, and teacher.mode is"
            " `replay`; get the complete ledger, or set teacher.mode to `live`"
        )

    def _report(self, state: str, always: bool = False) -> None:
        """Write the job's progress file, at most every `_PROGRESS_SECONDS` unless `always`."""
        now = time.monotonic()
        if not self._progress or (now - self._written < _PROGRESS_SECONDS and not always):
            return
        self._written = now
        spent = self._budget.spent if self._budget else self._before
        write_json(
            self._progress,
            {
                "job": self._job,
                "state": state,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "updated": round(time.time(), 1),
                "seconds": round(now - self._started, 1),
                "in_flight": self.in_flight,
                "batches": self._backend.states if self._backend else {},
                "ledger": str(self._ledger_path.resolve()),
                "ledger_dollars": spent.dollars,
                "ledger_tokens": spent.tokens,
                **dataclasses.asdict(self.spend),
            },
        )


@contextlib.contextmanager
def open_teacher(
    settings: Teacher, ledger: Path, other_ledgers: Sequence[Path] = (), job: str = ""
) -> Iterator[TeacherSession]:
    """Open a session whose answers are appended to `ledger`.

    A local server is started only if the answer to a request is in no ledger. SIGTERM raises
    `StopRequested` in the main thread. However the session ends, received answers are on disk.

    Args:
        settings: endpoints, limits and budgets.
        ledger: append-only JSONL beside the shard (`*.ledger.jsonl`); its packed form
            (`*.ledger.jsonl.zst`) is read too.
        other_ledgers: ledgers that are only read (other shards of the same source).
        job: name of the job and of its progress file, for example "generate_pairs alpaca/0003".

    Raises:
        LaminiError: another job is writing this ledger, or the local model is missing.
    """
    session = TeacherSession(settings, Path(ledger), [Path(path) for path in other_ledgers], job)
    state = "failed"
    try:
        with _stop_on_sigterm(session), _rare_garbage_collection():
            yield session
        state = "done"
    except StopRequested:
        state = "stopped"
        session.drain()
        raise
    except (KeyboardInterrupt, GeneratorExit):
        state = "stopped"
        raise
    finally:
        session.close(state)


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(_COLLECTED_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def _stop_on_sigterm(session: TeacherSession) -> Iterator[None]:
    """Raise `StopRequested` on SIGTERM, which a cluster sends before SIGKILL."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        session.stopping = True
        raise StopRequested("stopped by SIGTERM; run the same command to resume (answers are kept)")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _payload(request: Request) -> bytes:
    try:
        return orjson.dumps(request.body)
    except TypeError as error:
        raise LaminiError(
            f"a request cannot be written as JSON ({error}): {request!r:.200}"
        ) from None
