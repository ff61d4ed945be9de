"""State of each job, from outputs, Snakemake's marker files, logs, and SLURM's queue."""

import base64
import re
import time
from dataclasses import dataclass
from pathlib import Path

from lamini.slurm import QueuedJob
from lamini.status.graph import Job
from lamini.status.queue import queue_name, slurm_queue

_TAIL_BYTES = 1 << 16
_RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of a job's log."""

    last: str
    """Last record."""
    error: str
    """Last error record; empty if there is none."""
    modified: float
    """Time of the last write, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class State:
    """State of a job."""

    job: Job
    state: str
    """`done`, `running`, `queued` (pending in SLURM), `failed` (the end of the log has an error),
    or `waiting`."""
    log: LogTail | None
    """Log of a running or failed job."""
    marked: float | None = None
    """Time at which Snakemake started or submitted a running job, in seconds since the epoch."""
    slurm: QueuedJob | None = None
    """The SLURM job of a running or queued job."""


def job_states(jobs: list[Job], root: Path) -> list[State]:
    """State of each job.

    Args:
        jobs: planned jobs.
        root: the folder that contains `results/` and `.snakemake/`.
    """
    markers = incomplete_markers(root / ".snakemake")
    queue = slurm_queue(root) if markers else {}
    return [_state(job, root, markers, queue) for job in jobs]


def _state(job: Job, root: Path, markers: dict[str, float], queue: dict[str, QueuedJob]) -> State:
    marked = [markers[path] for path in job.outputs if path in markers]
    if marked:
        slurm = queue.get(queue_name(job))
        state = "queued" if slurm and slurm.state == "PENDING" else "running"
        return State(job, state, read_tail(root / job.log), min(marked), slurm)
    if all((root / path).exists() for path in job.outputs):
        return State(job, "done", None)
    log = read_tail(root / job.log)
    if log and log.error:
        return State(job, "failed", log)
    return State(job, "waiting", None)


def incomplete_markers(folder: Path) -> dict[str, float]:
    """Outputs of running jobs, from Snakemake's marker files, with the time of the marker.

    A killed run leaves its marker files. Without a lock no run is active, so they are ignored.

    Args:
        folder: `.snakemake`.
    """
    if not any((folder / "locks").glob("*")):
        return {}
    markers = {}
    incomplete = folder / "incomplete"
    for path in incomplete.rglob("*"):
        if path.name.startswith("@"):  # a folder: long names are split into several parts
            continue
        name = "".join(part.removeprefix("@") for part in path.relative_to(incomplete).parts)
        try:
            output = base64.urlsafe_b64decode(name).decode()
            markers[output] = path.stat().st_mtime
        except (ValueError, FileNotFoundError):
            continue  # another kind of marker, or a marker that was just removed
    return markers


def read_tail(path: Path) -> LogTail | None:
    """End of a log; None if there is no log yet."""
    try:
        with open(path, "rb") as handle:
            handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = handle.read().decode("utf-8", errors="replace")
            modified = path.stat().st_mtime
    except FileNotFoundError:
        return None
    records, errors = _records(text), error_records(text)
    last = records[-1][1] if records else text.strip()
    return LogTail(_short(last), _short(errors[-1]) if errors else "", modified)


def error_records(text: str) -> list[str]:
    """Error records of a log, each with all its lines."""
    return [record for level, record in _records(text) if level == "ERROR"]


def _records(text: str) -> list[tuple[str, str]]:
    """Records of a log: level, and text without the time."""
    heads = list(_RECORD.finditer(text))
    ends = [*(match.start() for match in heads[1:]), len(text)]
    return [
        (match[1], text[match.end() : end].strip())
        for match, end in zip(heads, ends, strict=False)  # a log may have no record
    ]


def _short(record: str) -> str:
    """Record in one line; of a traceback only the last line, which names the exception."""
    lines = record.splitlines()
    if not lines:
        return ""
    return lines[-1].strip() if "Traceback" in record else " ".join(map(str.strip, lines))


def seconds_since(moment: float) -> float:
    """Seconds since a time (in seconds since the epoch); at least 0."""
    return max(0.0, time.time() - moment)
