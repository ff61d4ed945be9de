"""`make check-site`: check SLURM, the profile `slurm` and a node before the first run.

It submits no job of a run: it asks SLURM, tests the largest job of each rule with
`sbatch --test-only`, and starts one small job per partition. Further arguments are Snakemake's,
such as `--configfile` or `--set-resources`.
"""

import sys
from collections.abc import Iterator

from lamini.command import run_command
from lamini.errors import LaminiError
from lamini.site import checks
from lamini.site.jobs import largest_jobs, read_run
from lamini.site.partitions import configured_partitions, site_partitions, suggestion


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code, 1 if there is a problem."""
    problems = 0

    def show() -> None:
        nonlocal problems
        for finding in _findings(arguments):
            problems += finding.kind == "problem"
            print(f"{finding.kind:8}{finding.text}", flush=True)
        if problems:
            print(f"\nThis site's partitions.yaml:\n\n{suggestion(site_partitions())}", end="")

    return run_command(show) or int(problems > 0)


def _findings(arguments: list[str]) -> Iterator[checks.Finding]:
    commands = list(checks.check_commands())
    yield from commands
    if any(finding.kind == "problem" for finding in commands):
        raise LaminiError("the other checks need SLURM")
    profile, options = read_run(arguments)
    partitions = configured_partitions(profile.partitions)
    yield from checks.check_partitions(partitions, site_partitions())
    yield from checks.check_configuration()
    yield from checks.check_submit_limits(profile.jobs)
    submissions = largest_jobs(options, partitions)
    yield from checks.check_submissions(submissions)
    for partition in sorted({submission.partition for submission in submissions}):
        yield from checks.check_node(partition)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
