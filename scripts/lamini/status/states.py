"""Which jobs are done, at work, or failed: told from outputs, Snakemake's marks and logs."""

import base64
import re
import time
from dataclasses import dataclass
from pathlib import Path

from lamini.status.graph import Job

_TAIL_BYTES = 1 << 16
_RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of a job's log."""

    last: str
    """The last record."""
    error: str
    """The last record of an error; empty when there is none."""
    modified: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a job stands."""

    job: Job
    state: str
    """`done`; `running`, which includes jobs that wait in a cluster's queue; `failed`: the log
    ends in an error; `waiting`."""
    log: LogTail | None
    """Of a job that is running or failed."""
    marked: float | None = None
    """When Snakemake began or submitted it, seconds since the epoch."""


def job_states(jobs: list[Job], root: Path) -> list[State]:
    """The state of each job.

    Args:
        jobs: what is planned.
        root: the folder that `results/` and `.snakemake/` lie in.
    """
    marks = running_marks(root / ".snakemake")
    return [_state(job, root, marks) for job in jobs]


def _state(job: Job, root: Path, marks: dict[str, float]) -> State:
    marked = [marks[path] for path in job.outputs if path in marks]
    if marked:
        return State(job, "running", read_tail(root / job.log), min(marked))
    if all((root / path).exists() for path in job.outputs):
        return State(job, "done", None)
    log = read_tail(root / job.log)
    if log and log.error:
        return State(job, "failed", log)
    return State(job, "waiting", None)


def running_marks(folder: Path) -> dict[str, float]:
    """Outputs that Snakemake marks as being made, with the time of the mark.

    A run that was killed leaves its marks; without a lock beside them nobody is at work.

    Args:
        folder: `.snakemake`.
    """
    if not any((folder / "locks").glob("*")):
        return {}
    marks = {}
    incomplete = folder / "incomplete"
    for path in incomplete.rglob("*"):
        if path.name.startswith("@"):  # a folder: long names are cut into several
            continue
        name = "".join(part.removeprefix("@") for part in path.relative_to(incomplete).parts)
        try:
            output = base64.urlsafe_b64decode(name).decode()
            marks[output] = path.stat().st_mtime
        except (ValueError, FileNotFoundError):
            continue  # a mark of another kind, or one that was just taken away
    return marks


def read_tail(path: Path) -> LogTail | None:
    """The end of a log; none when there is no log yet."""
    try:
        with open(path, "rb") as handle:
            handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = handle.read().decode("utf-8", errors="replace")
            modified = path.stat().st_mtime
    except FileNotFoundError:
        return None
    heads = list(_RECORD.finditer(text))
    ends = [*(match.start() for match in heads[1:]), len(text)]
    records = [
        (match[1], text[match.end() : end].strip())
        for match, end in zip(heads, ends, strict=False)  # a log may have no record
    ]
    errors = [record for level, record in records if level == "ERROR"]
    last = records[-1][1] if records else text.strip()
    return LogTail(_short(last), _short(errors[-1]) if errors else "", modified)


def _short(record: str) -> str:
    """A record in one line: of a traceback its last line, which names the exception."""
    lines = record.splitlines()
    if not lines:
        return ""
    return lines[-1].strip() if "Traceback" in record else " ".join(map(str.strip, lines))


def seconds_since(moment: float) -> float:
    """Seconds since a time of the epoch, never negative."""
    return max(0.0, time.time() - moment)
