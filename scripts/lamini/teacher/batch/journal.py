"""The journal of a shard's batches, beside its ledger: what was sent and not yet taken in.

`0003.batches.json` is replaced as a whole at every step, and on disk before the next one is taken;
`0003.batches/` holds the input files of batches that are open.
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
_LONGEST_BATCH_SECONDS = 48 * 3600.0  # of a window of 24 hours; what is older was forgotten


@dataclass
class Record:
    """One batch of this shard."""

    requests: int
    attempt: int
    """1 for requests that were in no batch before."""
    prompt_tokens: float
    """The most that its prompts are likely to have."""
    dollars: float
    """The most that it is likely to cost; counts against the budget while it is open."""
    tokens: float = 0.0
    """The most that its prompts and answers are likely to have; counts likewise."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """In the batch's metadata, so that it is found when its id was lost."""
    planned_at: float = field(default_factory=lambda: round(time.time(), 3))
    state: Literal["planned", "uploaded", "created", "closed"] = "planned"
    file: str = ""
    """Id of the input file, once `uploaded`."""
    batch: str = ""
    """Id of the batch, once `created`."""
    refused: list[str] = field(default_factory=list)
    """Ids under which it was turned down because too many tokens were enqueued."""
    outcome: str = ""
    """Of a closed one: how the API says it ended, or `dropped`: it was never created."""
    answered: int = 0

    @property
    def cost(self) -> Cost:
        """The most that it is likely to cost."""
        return Cost(self.dollars, self.tokens)


class Journal:
    """The batches of one ledger; its writer is whoever holds the ledger's lock.

    Args:
        ledger: `*.ledger.jsonl`.

    Raises:
        LaminiError: the journal cannot be read.
    """

    def __init__(self, ledger: Path) -> None:
        self.path = journal_path(ledger)
        self.shard = str(self.path.relative_to(results_folder(ledger))).removesuffix(_SUFFIX)
        """Its name for people, such as `pairs/alpaca/0003`."""
        self._inputs = self.path.with_suffix("")
        self.records = _read(self.path)

    @property
    def open(self) -> list[Record]:
        """Batches that were begun and whose answers are not in the ledger."""
        return [record for record in self.records if record.state != "closed"]

    def input_path(self, record: Record) -> Path:
        """The input file of a batch: what was asked, and for which keys."""
        return self._inputs / f"{record.token}.jsonl"

    def plan(self, record: Record, lines: Iterable[bytes]) -> None:
        """Put a batch on disk, before any of it is sent."""
        self.write_input(record, lines)
        self.records.append(record)
        self.save()

    def write_input(self, record: Record, lines: Iterable[bytes]) -> None:
        """Write the input file of a batch."""
        with atomic_writer(self.input_path(record), "wb") as handle:
            handle.writelines(lines)

    def save(self) -> None:
        """Have the records, as they now are, survive a power cut."""
        write_json(self.path, {"batches": [dataclasses.asdict(record) for record in self.records]})

    def close(self, record: Record, outcome: str, answered: int = 0) -> None:
        """Note that a batch is done with."""
        record.state, record.outcome, record.answered = "closed", outcome, answered
        self.save()
        self.input_path(record).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are open
            self._inputs.rmdir()


def journal_path(ledger: Path) -> Path:
    """Where the journal of a ledger lies."""
    return ledger.with_name(ledger.name.removesuffix(".ledger.jsonl") + _SUFFIX)


def refuse_open_batches(ledger: Path) -> None:
    """Keep the live API from being asked what a batch was paid for.

    Raises:
        LaminiError: there are open batches beside this ledger.
    """
    found = [record for record in _read(journal_path(ledger)) if record.state == "created"]
    if found:
        raise LaminiError(
            f"{journal_path(ledger)}: {sum(record.requests for record in found):,} requests of this"
            f" shard are in {len(found)} open batches; set teacher.backend to `batch` to take in"
            " their answers, or remove this file to pay for them again"
        )


def open_cost(results: Path, without: Path) -> tuple[Cost, bool]:
    """What the open batches of other shards may cost.

    Args:
        results: the results folder.
        without: the journal that is not counted.

    Returns:
        the cost, and whether some of these batches are young enough to end by themselves.
    """
    paths = (path for path in results.rglob(f"*{_SUFFIX}") if path != without)
    found = [record for path in paths for record in _read(path) if record.state != "closed"]
    since = time.time() - _LONGEST_BATCH_SECONDS
    return Cost.total(r.cost for r in found), any(r.planned_at > since for r in found)


@contextlib.contextmanager
def reserving(ledger: Path) -> Iterator[None]:
    """One job at a time compares the budget with all open batches and opens another."""
    folder = progress_files(ledger)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".budget.lock", "w") as handle:
        # Where the file system has no locks, jobs may pass the budget by a batch each.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> list[Record]:
    if not path.exists():
        return []
    value: Any = read_json(path)
    try:
        return [Record(**record) for record in value["batches"]]
    except (KeyError, TypeError) as error:
        raise LaminiError(
            f"{path}: no journal of batches ({error}); restore it from a copy, or remove it to pay"
            " for its open batches again"
        ) from None
