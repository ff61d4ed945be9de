"""The checks of a site, and what each of them found."""

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakemake_executor_plugin_slurm.partitions import Partition

from lamini.errors import LaminiError
from lamini.paths import RESULTS
from lamini.site.jobs import Submission, refused
from lamini.site.partitions import SitePartition, differences
from lamini.slurm import ask, submit_limits

_COMMANDS = ("sbatch", "scontrol", "sinfo", "squeue", "srun")
_NODE_SECONDS = 180
"""Time limit of the job that checks a node; it includes the wait in the queue."""
_ON_NODE = """
import json, os, pathlib, sys
import lamini, snakemake, torch
token, here = sys.argv[1:]
print(json.dumps({"node": os.environ["SLURMD_NODENAME"], "sees": pathlib.Path(token).is_file(),
                  "shares_temporary": pathlib.Path(here).is_file()}))
"""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check, in one sentence."""

    kind: str
    """`ok`, `note` (works, but should be known), or `problem` (jobs fail or wait for ever)."""
    text: str


def check_commands() -> Iterator[Finding]:
    """Whether SLURM's commands are here and its controller answers."""
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if missing:
        yield Finding("problem", f"no {', '.join(missing)} here; run this on a login node")
        return
    try:
        ask("scontrol", "ping")
        yield Finding("ok", f"SLURM answers ({ask('sinfo', '--version').strip()})")
    except LaminiError as error:
        yield Finding("problem", str(error))


def check_partitions(
    configured: list[Partition], site: dict[str, SitePartition]
) -> Iterator[Finding]:
    """Whether the partitions of `partitions.yaml` are those of the site."""
    problems = list(differences(configured, site))
    yield from (Finding("problem", f"partitions.yaml: {text}") for text in problems)
    if not problems:
        names = ", ".join(partition.name for partition in configured)
        yield Finding("ok", f"partitions.yaml: {names} are within the site's limits")


def check_configuration() -> Iterator[Finding]:
    """Settings of SLURM that a run should know."""
    lines = (line.partition("=") for line in ask("scontrol", "show", "config").splitlines())
    values = {name.strip(): value.strip() for name, _, value in lines}
    if values.get("EnforcePartLimits", "NO") == "NO":
        yield Finding(
            "note",
            "EnforcePartLimits is NO: SLURM takes jobs above a partition's limits, which then wait"
            " for ever; keep partitions.yaml within the site's limits",
        )
    age = int(values.get("MinJobAge", "300 sec").split()[0])
    if age < 60:
        yield Finding(
            "problem",
            f"MinJobAge is {age} s: SLURM forgets finished jobs before the run asks for them; set"
            " slurm-status-command to sacct in profile.yaml",
        )


def check_submit_limits(jobs: int) -> Iterator[Finding]:
    """Whether SLURM takes as many submitted jobs as the profile sends.

    Args:
        jobs: `jobs` of the profile.
    """
    if shutil.which("sacctmgr") is None:
        yield Finding("note", "no sacctmgr here: limits of submitted jobs are not checked")
        return
    try:
        limits = dict(submit_limits())
    except LaminiError as error:
        yield Finding("note", f"limits of submitted jobs are not checked: {error}")
        return
    low = {name: limit for name, limit in limits.items() if limit < jobs}
    for name, limit in low.items():
        yield Finding(
            "note",
            f"{name} allows {limit} submitted jobs per user, `jobs` in profile.yaml is {jobs}:"
            f" the run waits while so many are submitted; set `jobs: {limit}` there",
        )
    if not low:
        yield Finding("ok", f"{jobs} submitted jobs are within the limits of accounts and QOS")


def check_submissions(submissions: Sequence[Submission]) -> Iterator[Finding]:
    """Whether SLURM takes the largest job of each rule (`sbatch --test-only`)."""
    refusals = list(refused(submissions))
    for submission, message in refusals:
        yield Finding(
            "problem",
            f"{submission.rule}: SLURM refuses its largest job in partition"
            f" {submission.partition} ({message}): {submission.command}",
        )
    if not refusals:
        yield Finding("ok", f"SLURM takes the largest job of each of {len(submissions)} rules")


def check_node(partition: str, *options: str) -> Iterator[Finding]:
    """Whether a node of a partition sees this folder, and can import what the jobs import.

    Args:
        partition: name of the partition.
        options: further options of `srun`, such as an account.
    """
    RESULTS.mkdir(exist_ok=True)
    token = RESULTS / f".site-check-{secrets.token_hex(4)}"
    token.touch()
    with tempfile.NamedTemporaryFile() as temporary:
        command = ["srun", f"--partition={partition}", "--ntasks=1", "--mem=2000", "--time=3"]
        command += [*options, "--quiet", sys.executable, "-c", _ON_NODE]
        command += [str(token.resolve()), temporary.name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_NODE_SECONDS
            )
        except subprocess.TimeoutExpired:
            yield Finding(
                "note",
                f"{partition}: no node was free within {_NODE_SECONDS} s, so none is checked",
            )
            return
        finally:
            token.unlink()
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        yield Finding(
            "problem",
            f"{partition}: a node cannot run {sys.executable} ({last[0]}); put the folder with its"
            " .venv on a file system that all nodes share, or exclude the node (slurm_extra)",
        )
        return
    reply = json.loads(done.stdout)
    if not reply["sees"]:
        yield Finding(
            "problem",
            f"{partition}: node {reply['node']} does not see {Path.cwd()}; put it on a file system"
            " that all nodes share",
        )
    else:
        yield Finding("ok", f"{partition}: node {reply['node']} sees this folder and its .venv")
    if not reply["shares_temporary"]:
        yield Finding("note", f"{partition}: {tempfile.gettempdir()} is each node's own, as usual")
