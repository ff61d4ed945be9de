"""SLURM's queue in `make status`: which jobs wait there, why, and which of them can never start."""

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from lamini.errors import LaminiError
from lamini.slurm import QueuedJob, own_queue
from lamini.status.graph import Job

_SHOWN = 5

# Reasons that do not end by themselves (SLURM's documentation, "Job Reason Codes"), and the remedy.
_REMEDIES = (
    (
        r"PartitionTimeLimit|\w+MaxWallDurationPerJob(Limit)?",
        "its time limit is above the site's: correct max_runtime in partitions.yaml, or lower"
        " `runtime` of the rule",
    ),
    (
        r"PartitionNodeLimit|BadConstraints|\w+PerJob(Limit)?|\w+MinCpu\w*|\w+MinGRES",
        "it asks for more than the site allows for one job: correct partitions.yaml, or lower the"
        " resources of the rule",
    ),
    (
        r"AccountNotAllowed|QOSNotAllowed|InvalidAccount|InvalidQOS|\w*QOSNotFound|AccountingPolicy",
        "set `slurm_account` or `qos` in profile.yaml",
    ),
    (r"JobHeldUser|launch_failed_requeued_held", "release it: scontrol release"),
    (r"JobHeldAdmin|DependencyNeverSatisfied", "ask the administrators, or cancel it: scancel"),
    (
        r"PartitionDown|PartitionInactive|ReqNodeNotAvail|ReservationDeleted",
        "the administrators must bring the nodes back; or choose another partition",
    ),
)


def slurm_queue(root: Path) -> dict[str, QueuedJob]:
    """Unfinished SLURM jobs of this folder by `queue_name`; empty where SLURM is not installed.

    Args:
        root: the working folder of the run.
    """
    if shutil.which("squeue") is None:
        return {}
    try:
        jobs = own_queue()
    except LaminiError:
        return {}  # `make status` shows the state from files, also while SLURM does not answer
    here = root.resolve()
    return {
        each.comment.removeprefix("rule_").replace("_wildcards_", "_", 1): each
        for each in jobs
        if each.comment.startswith("rule_") and Path(each.folder).resolve() == here
    }


def queue_name(job: Job) -> str:
    """Name of a job in the comment of its SLURM job: rule and wildcards."""
    return "_".join([job.rule, *job.key.split("/")]) if job.key else job.rule


def remedy(reason: str) -> str:
    """What to do for a SLURM job that its reason keeps from starting; empty if it only waits."""
    word = re.split(r"[,:\s]", reason, maxsplit=1)[0]
    return next((text for pattern, text in _REMEDIES if re.fullmatch(pattern, word)), "")


def queue_text(waiting: Sequence[tuple[Job, QueuedJob]]) -> str:
    """Section of `make status` about jobs in SLURM's queue, grouped by SLURM's reason.

    Args:
        waiting: jobs whose SLURM job is pending.
    """
    if not waiting:
        return ""
    by_reason: dict[str, list[tuple[Job, QueuedJob]]] = {}
    for job, queued in waiting:
        by_reason.setdefault(queued.reason or "no reason", []).append((job, queued))
    lines = [f"In SLURM's queue ({len(waiting)}), by SLURM's reason:"]
    # Jobs that need an action come first.
    for reason in sorted(by_reason, key=lambda reason: not remedy(reason)):
        members = by_reason[reason]
        lines.append(f"  {reason}: {_names(members)}")
        if advice := remedy(reason):
            lines.append(f"    cannot start so: {advice}")
    return "\n".join(lines)


def _names(members: Iterable[tuple[Job, QueuedJob]]) -> str:
    names = [f"{job.name} (SLURM job {queued.number})" for job, queued in members]
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
