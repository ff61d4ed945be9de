"""Journal of a shard's batches, beside its ledger: state of each batch, for resuming.

`0003.batches.json` is rewritten and synced to disk at every step, before the next step.
`0003.batches/` holds the input files of open batches.
"""

import contextlib
import dataclasses
import fcntl
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lamini.errors import LaminiError
from lamini.files import atomic_writer, read_json, write_json
from lamini.teacher.money import Cost, progress_files, results_folder

_SUFFIX = ".batches.json"
_LONGEST_BATCH_SECONDS = 48 * 3600.0  # twice the API's window of 24 hours; older ones are abandoned


@dataclass
class BatchRecord:
    """One batch of this shard."""

    requests: int
    attempt: int
    """Number of batches that its requests have been in, this one included."""
    prompt_tokens: float
    """Estimated upper limit of the prompts' tokens."""
    dollars: float
    """Estimated upper limit of the cost; reserved in the budget while the batch is open."""
    tokens: float = 0.0
    """Estimated upper limit of prompt and completion tokens; reserved in the same way."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Random id in the batch's metadata, to find the batch if its id was lost."""
    planned_at: float = field(default_factory=lambda: round(time.time(), 3))
    state: Literal["planned", "uploaded", "created", "closed"] = "planned"
    file: str = ""
    """Id of the input file, set when `uploaded`."""
    batch: str = ""
    """Id of the batch, set when `created`."""
    refused: list[str] = field(default_factory=list)
    """Ids of its refused creations, refused because too many tokens were enqueued."""
    outcome: str = ""
    """Final status of a closed batch, as reported by the API; `dropped` if it was never created."""
    answered: int = 0

    @property
    def cost(self) -> Cost:
        """Estimated upper limit of dollars and tokens."""
        return Cost(self.dollars, self.tokens)


class Journal:
    """The batches of one ledger; only the holder of the ledger's lock writes it.

    Args:
        ledger: `*.ledger.jsonl`.

    Raises:
        LaminiError: the journal cannot be read.
    """

    def __init__(self, ledger: Path) -> None:
        self.path = journal_path(ledger)
        self.shard = str(self.path.relative_to(results_folder(ledger))).removesuffix(_SUFFIX)
        """Name of the shard for messages, for example `pairs/alpaca/0003`."""
        self._inputs = self.path.with_suffix("")
        self.records = _read(self.path)

    @property
    def open(self) -> list[BatchRecord]:
        """Batches that are not closed."""
        return [record for record in self.records if record.state != "closed"]

    def input_path(self, record: BatchRecord) -> Path:
        """The input file of a batch: its requests and their keys."""
        return self._inputs / f"{record.token}.jsonl"

    def plan(self, record: BatchRecord, lines: Iterable[bytes]) -> None:
        """Write a new batch to disk, before it is uploaded."""
        self.write_input(record, lines)
        self.records.append(record)
        self.save()

    def write_input(self, record: BatchRecord, lines: Iterable[bytes]) -> None:
        """Write the input file of a batch."""
        with atomic_writer(self.input_path(record), "wb") as handle:
            handle.writelines(lines)

    def save(self) -> None:
        """Write all records and sync them to disk."""
        write_json(self.path, {"batches": [dataclasses.asdict(record) for record in self.records]})

    def close(self, record: BatchRecord, outcome: str, answered: int = 0) -> None:
        """Mark a batch as closed and remove its input file."""
        record.state, record.outcome, record.answered = "closed", outcome, answered
        self.save()
        self.input_path(record).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: other batches are open
            self._inputs.rmdir()


def journal_path(ledger: Path) -> Path:
    """Path of the journal of a ledger."""
    return ledger.with_name(ledger.name.removesuffix(".ledger.jsonl") + _SUFFIX)


def refuse_open_batches(ledger: Path) -> None:
    """Check that a ledger has no open batches; the live API would be paid for their requests too.

    Raises:
        LaminiError: the ledger has open batches.
    """
    records = [record for record in _read(journal_path(ledger)) if record.state == "created"]
    if records:
        raise LaminiError(
            f"{journal_path(ledger)}: {sum(record.requests for record in records):,} requests of"
            f" this shard are in {len(records)} open batches; set teacher.backend to `batch` to"
            " receive their answers, or remove this file to pay for them again"
        )


def open_cost(results: Path, without: Path) -> tuple[Cost, bool]:
    """Upper limit of the cost of the open batches of other shards.

    Args:
        results: the results folder.
        without: the journal that is not counted.

    Returns:
        the cost, and whether any of these batches is young enough to end by itself.
    """
    paths = (path for path in results.rglob(f"*{_SUFFIX}") if path != without)
    records = [record for path in paths for record in _read(path) if record.state != "closed"]
    since = time.time() - _LONGEST_BATCH_SECONDS
    return Cost.total(r.cost for r in records), any(r.planned_at > since for r in records)


@contextlib.contextmanager
def reserving(ledger: Path) -> Iterator[None]:
    """Lock for one job at a time to check the budget against all open batches and add a batch."""
    folder = progress_files(ledger)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".budget.lock", "w") as handle:
        # On a file system without locks, each job may exceed the budget by one batch.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> list[BatchRecord]:
    if not path.exists():
        return []
    value: Any = read_json(path)
    try:
        return [BatchRecord(**record) for record in value["batches"]]
    except (KeyError, TypeError) as error:
        raise LaminiError(
            f"{path}: not a journal of batches ({error}); restore it from a copy, or remove it to"
            " pay for its open batches again"
        ) from None
