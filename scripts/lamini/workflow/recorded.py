"""Comparison of the settings that made finished results with the configuration.

Snakemake knows the settings of finished files only from its own folder. After `rm -r .snakemake`,
`--touch` or a copy without it, a changed setting is invisible to Snakemake. The provenance records
beside the results have the settings, too, so each run compares them.
"""

import logging
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lamini.files import stable_hash
from lamini.jobs.planned import changed_settings, list_changes
from lamini.jobs.provenance import ArtifactRecord, read_record
from lamini.jobs.settings import comparable_settings, recorded_settings
from lamini.paths import is_result

_SNAKEMAKE = logging.getLogger("snakemake.logging")
_MAX_LINES = 10
"""Maximum number of results that a message lists."""


def other_settings(jobs: Iterable[Any]) -> dict[str, str]:
    """What differs between the record and the configuration, by the first output of each job.

    Results without a record are left out.

    Args:
        jobs: Snakemake's jobs whose results count as finished.
    """
    changes = {}
    for job in jobs:
        if not job.output or not Path(job.output[0]).is_file():
            continue
        record = read_record(job.output[0])
        if record is not None and (change := _change(record, job)) is not None:
            changes[str(job.output[0])] = change
    return dict(sorted(changes.items()))


class RecordWatch:
    """Stops a run that would use results of other settings, and warns in a dry run.

    Args:
        workflow: Snakemake's workflow.
    """

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        if workflow.is_main_process:
            _SNAKEMAKE.addHandler(_WhenPlanned(self._warn, workflow))

    def begin(self) -> None:
        """Stop before the first job if finished results were made with other settings.

        With `--rerun-triggers mtime`, results are kept despite changed settings, so nothing is
        compared; with `--touch`, no job runs.

        Raises:
            WorkflowError: names the results, the settings, and the choices.
        """
        from snakemake.exceptions import WorkflowError

        if not self._workflow.touch and (changes := self._changes()):
            raise WorkflowError(f"{_message(changes)}\nNo job was started. {_choices(changes)}")

    def _warn(self) -> None:
        if changes := self._changes():
            _SNAKEMAKE.warning(f"{_message(changes)}\n{_choices(changes)}")

    def _changes(self) -> dict[str, str]:
        from snakemake.settings.types import RerunTrigger

        if RerunTrigger.PARAMS not in self._workflow.rerun_triggers:
            return {}
        planned = set(self._workflow.dag.needrun_jobs())
        return other_settings(job for job in self._workflow.dag.jobs if job not in planned)


class _WhenPlanned(logging.Handler):
    """Calls a function once the jobs are planned, if no job will run: Snakemake has no hook then.

    Args:
        function: what to call.
        workflow: Snakemake's workflow.
    """

    def __init__(self, function: Callable[[], None], workflow: Any) -> None:
        super().__init__()
        self._function, self._workflow = function, workflow

    def emit(self, record: logging.LogRecord) -> None:
        """Wait for the message of Snakemake that follows the plan."""
        from snakemake_interface_logger_plugins.common import LogEvent

        planned = getattr(record, "event", None) == LogEvent.RUN_INFO and self._workflow.dryrun
        if planned or record.getMessage().startswith("Nothing to be done"):
            _SNAKEMAKE.removeHandler(self)
            self._function()


def _change(record: ArtifactRecord, job: Any) -> str | None:
    """The differing settings or inputs of a finished job; None if there are none."""
    now, before = (
        recorded_settings(job.params),
        comparable_settings(record["rule"], record["settings"]),
    )
    if stable_hash(now) != stable_hash(before):
        return list_changes(list(changed_settings(before, now)))
    read, reads = (
        {path for path in paths if is_result(path)} for paths in (record["inputs"], job.input)
    )
    if read != reads and "job" in record:  # version 0.1.0 recorded some inputs only
        return f"{len(read - reads)} input files less, {len(reads - read)} more"
    return None


def _message(changes: dict[str, str]) -> str:
    lines = [f"  {path}: {change}" for path, change in changes.items()]
    if (more := len(lines) - _MAX_LINES) > 0:
        lines = [*lines[:_MAX_LINES], f"  and {more} more"]
    return "\n".join(
        ["These results were made with other settings than the configuration's:", *lines]
    )


def _choices(changes: dict[str, str]) -> str:
    return (
        f"To remake them: --forcerun {shlex.join(changes)}\nTo keep them, in this run:"
        " --rerun-triggers mtime. Or restore the settings."
    )
