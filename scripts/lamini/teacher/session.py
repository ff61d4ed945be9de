"""One job's conversation with the teacher."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lamini.settings.teacher import Teacher
from lamini.teacher.request import Answer, Request, Spend


class TeacherSession:
    """Asks requests; made by `open_teacher`."""

    request_seeds: bool
    """Whether requests shall carry a `seed` (pass one to `chat_request`)."""
    spend: Spend

    def ask(
        self, requests: Iterable[Request], look_ahead: int | None = None
    ) -> Iterator[tuple[Request, Answer]]:
        """Yield each request with its answer, in the order given.

        `requests` is pulled from in the caller's thread, when the next answer is asked for: request
        number i only after answer i - look_ahead was yielded.

        Args:
            requests: any iterable; equal requests are sent once.
            look_ahead: most requests pulled and not yet yielded; default `max_concurrency`. A
                larger one keeps a slow answer from holding up the others, a smaller one wastes
                less when the caller stops early.

        Raises:
            LaminiError: the endpoint refuses, is down, the budget is spent, or, in replay mode, an
                answer is missing. What was answered before is in the ledger.
            StopRequested: the job got SIGTERM.
        """
        raise NotImplementedError

    def status(self) -> str:
        """One line for `lamini.log.Progress(details=...)`: in flight, 429s, tokens/s, spend."""
        raise NotImplementedError


@contextlib.contextmanager
def open_teacher(
    settings: Teacher, ledger: Path, other_ledgers: Sequence[Path] = (), job: str = ""
) -> Iterator[TeacherSession]:
    """Open a session that keeps its answers in `ledger`.

    Args:
        settings: where the teacher is and how it may be asked.
        ledger: append-only JSONL beside the shard (`*.ledger.jsonl`); its compacted form
            (`*.ledger.jsonl.zst`) is read too.
        other_ledgers: looked up, never written (other shards of the same source).
        job: name of the job in progress files and messages, such as "generate_pairs alpaca/0003".
    """
    raise NotImplementedError
    yield
