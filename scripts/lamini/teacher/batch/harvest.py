"""What an ended batch brought: answers, requests to send again, and requests turned down."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from openai.types import Batch

from lamini.errors import LaminiError
from lamini.teacher.batch.lines import completion_of_line, read_output
from lamini.teacher.batch.service import BatchService
from lamini.teacher.ledger import Ledger, row_line
from lamini.teacher.replies import Completion, RetryableError
from lamini.teacher.rows import ledger_row

_ROWS_AT_ONCE = 1000


@dataclass
class Harvest:
    """The outcome of a batch, by the requests' keys."""

    answers: dict[str, Completion] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Why these have no answer yet; sending them again may help."""
    refusals: dict[str, LaminiError] = field(default_factory=dict)
    """Why others will never have one."""
    whole: bool = True
    """Whether all that the API counts as answered is there."""


async def take_in(service: BatchService, batch: Batch, keys: Mapping[str, str]) -> Harvest:
    """Download and read the files of an ended batch.

    Args:
        service: where the files are.
        batch: an ended batch.
        keys: of its requests, with anything.

    Raises:
        RetryableError: a file cannot be had now.
        LaminiError: a file is gone.
    """
    harvest = Harvest()
    answered = 0
    for file, is_output in ((batch.output_file_id, True), (batch.error_file_id, False)):
        if not file:
            continue
        rows, whole = read_output(await service.download(file))
        harvest.whole = harvest.whole and whole
        answered += len(rows) if is_output else 0
        for key, row in rows.items():
            if key not in keys or key in harvest.answers:
                continue
            try:
                harvest.answers[key] = completion_of_line(service.address, row)
            except RetryableError as error:
                harvest.failures[key] = str(error)
            except LaminiError as error:
                harvest.refusals[key] = error
    counts = batch.request_counts
    if counts is not None and answered < (counts.completed or 0):
        harvest.whole = False
    for key in keys.keys() - harvest.answers.keys() - harvest.refusals.keys():
        harvest.failures.setdefault(key, f"batch {batch.id} {batch.status} without it")
    return harvest


def keep_answers(
    ledger: Ledger, harvest: Harvest, batch: Batch, attempt: int, bodies: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Append a batch's answers to the ledger, as far as it has them not.

    A killed job may have kept some of them before.

    Args:
        ledger: where to.
        harvest: what the batch brought.
        batch: the batch, whose id each row gets.
        attempt: how many batches its requests have been in.
        bodies: digest of each request's body, by key.

    Yields:
        the new rows, once they are on disk.
    """
    new = [key for key in harvest.answers if ledger.get(key) is None]
    for start in range(0, len(new), _ROWS_AT_ONCE):
        rows = [
            ledger_row(key, bodies[key], harvest.answers[key], attempt, float(batch.created_at))
            | {"batch": batch.id}
            for key in new[start : start + _ROWS_AT_ONCE]
        ]
        ledger.append([row_line(row) for row in rows])
        yield from rows
