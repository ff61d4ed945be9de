"""The jobs of a run as SLURM would get them: the largest one of each rule.

Resources are those of the profile `slurm` and its command line, evaluated by Snakemake. The
executor's own functions choose the partition and write the `sbatch` command.
"""

import logging
import shlex
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm.partitions import (
    Partition,
    get_best_partition,
    get_default_partition,
)
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

from lamini.status.graph import with_plan

_quiet = logging.getLogger("lamini.site")
_quiet.setLevel(logging.ERROR)


@dataclass(frozen=True)
class Profile:
    """The options of the profile that the check needs."""

    partitions: Path
    """`partitions.yaml`."""
    jobs: int
    """Maximum number of jobs in SLURM's queue."""


@dataclass(frozen=True)
class Submission:
    """The largest job of a rule."""

    rule: str
    partition: str
    command: str
    """Its `sbatch` command, without the job's own command."""

    def refusal(self) -> str | None:
        """SLURM's message if it refuses the job; None if it would run it."""
        command = [*shlex.split(self.command), "--test-only", "--wrap=true"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else done.stderr.strip()


def read_run(arguments: Sequence[str]) -> tuple[Profile, Any]:
    """Options of `snakemake --profile slurm` with further arguments."""
    from snakemake.cli import parse_args

    _, options = parse_args(["--profile", "slurm", *arguments])
    return Profile(Path(options.slurm_partition_config), options.jobs), options


def largest_jobs(options: Any, partitions: list[Partition]) -> list[Submission]:
    """The largest job of each rule that SLURM gets.

    Args:
        options: `read_run`'s.
        partitions: of `partitions.yaml`.

    Raises:
        LaminiError: when Snakemake cannot build the job graph.
    """
    from snakemake.cli import parse_config
    from snakemake.settings.types import ResourceSettings

    resources = ResourceSettings(
        overwrite_resources=options.set_resources, default_resources=options.default_resources
    )

    def read(workflow: Any) -> list[Submission]:
        largest: dict[str, Any] = {}
        for job in workflow.dag.jobs:
            name = job.rule.name
            if job.rule.norun or name in workflow._localrules:
                continue
            if name not in largest or _size(job) > _size(largest[name]):
                largest[name] = job
        return [_submission(job, partitions) for job in largest.values()]

    config = parse_config(options.config) if options.config else {}
    with warnings.catch_warnings():
        # Snakemake's own: sizes of inputs that do not exist yet.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        return with_plan(options.configfile, config, read, resources)


def _size(job: Any) -> tuple[float, ...]:
    return tuple(
        float(job.resources.get(name) or 0) for name in ("gpu", "nodes", "mem_mb", "runtime")
    )


def _submission(job: Any, partitions: list[Partition]) -> Submission:
    partition = str(
        job.resources.get("slurm_partition")
        or get_best_partition(partitions, job, _quiet)
        or get_default_partition(job, _quiet)
    )
    account = job.resources.get("slurm_account")
    named = {
        "run_uuid": "lamini-check-site",
        "slurm_logfile": "/dev/null",
        "comment_str": job.rule.name,
        "account": f"-A {shlex.quote(str(account))}" if account else "",
        "partition": f"-p {shlex.quote(partition)}",
        "workdir": str(Path.cwd()),
    }
    return Submission(
        job.rule.name, partition, get_submit_command(job, named) + set_gres_string(job)
    )


def refused(submissions: Sequence[Submission]) -> Iterator[tuple[Submission, str]]:
    """The jobs that SLURM refuses, with its messages."""
    for submission in submissions:
        if (message := submission.refusal()) is not None:
            yield submission, message
