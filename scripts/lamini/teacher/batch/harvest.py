"""Results of an ended batch: answers, retryable failures, refused requests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from openai.types import Batch

from lamini.errors import LaminiError
from lamini.teacher.batch.lines import completion_of_line, read_output
from lamini.teacher.batch.service import BatchService
from lamini.teacher.completions import Completion
from lamini.teacher.ledger import Ledger, LedgerRow, row_line
from lamini.teacher.replies import PromptRefused, RetryableError
from lamini.teacher.rows import ledger_row
from lamini.teacher.verdicts import Verdicts

_ROWS_AT_ONCE = 1000


@dataclass
class Harvest:
    """The results of a batch, by request key."""

    answers: dict[str, Completion] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Reasons of the requests without an answer that may succeed when sent again."""
    refusals: dict[str, LaminiError] = field(default_factory=dict)
    """Errors of the requests that will never be answered."""
    whole: bool = True
    """Whether the files hold all answers that the API counts as completed."""


async def take_in(
    service: BatchService, batch: Batch, keys: Mapping[str, str], verdicts: Verdicts
) -> Harvest:
    """Download and read the files of an ended batch.

    Args:
        service: the endpoint's Files API.
        batch: an ended batch.
        keys: request keys of the batch (values are ignored).
        verdicts: decides about refusals; no answer of this batch is counted in it yet.

    Raises:
        RetryableError: a download failed and may succeed later.
        LaminiError: a file does not exist any more.
    """
    harvest = Harvest()
    answered = 0
    refused: dict[str, PromptRefused] = {}
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
            except PromptRefused as refusal:
                refused[key] = refusal
            except LaminiError as error:
                harvest.refusals[key] = error
    verdicts.answered += len(harvest.answers)
    verdicts.refused += len(refused)
    for key, refused_prompt in refused.items():
        # All answers of the batch are known, so that no refusal has to wait for a good answer.
        if verdicts.too_many or not (refused_prompt.certain or verdicts.answered):
            harvest.refusals[key] = refused_prompt.error
        else:
            harvest.answers[key] = refused_prompt.completion()
    counts = batch.request_counts
    if counts is not None and answered < (counts.completed or 0):
        harvest.whole = False
    for key in keys.keys() - harvest.answers.keys() - harvest.refusals.keys():
        harvest.failures.setdefault(key, f"batch {batch.id} ended as {batch.status}")
    return harvest


def keep_answers(
    ledger: Ledger,
    harvest: Harvest,
    batch: Batch,
    attempt: int,
    bodies: Mapping[str, str],
    *,
    asked: str,
) -> Iterator[LedgerRow]:
    """Append a batch's answers that are not in the ledger yet.

    A killed job may have written some of them before.

    Args:
        ledger: the ledger to append to.
        harvest: the results of the batch.
        batch: the batch; its id is written to each row.
        attempt: number of batches that its requests have been in, this one included.
        bodies: digest of each request's body, by request key.
        asked: name of the model in the requests.

    Yields:
        the new rows, when they are on disk.
    """
    new = [key for key in harvest.answers if ledger.get(key) is None]
    for start in range(0, len(new), _ROWS_AT_ONCE):
        rows = [
            ledger_row(
                key,
                bodies[key],
                harvest.answers[key],
                attempt,
                float(batch.created_at),
                asked=asked,
                batch=batch.id,
            )
            for key in new[start : start + _ROWS_AT_ONCE]
        ]
        ledger.append([row_line(row) for row in rows])
        yield from rows
