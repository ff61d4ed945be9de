"""Text of Snakemake's log records for the terminal.

A job has one line, when it finishes. A failed job has its rule, its error and the path of its log.
Snakemake's own log in `.snakemake/log/` has all details (inputs, outputs, reasons, resources).
"""

import logging
import re
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from lamini.command import CONFIG_FILES, read_yaml
from lamini.errors import LaminiError
from lamini.jobs.run import job_name
from lamini.log import duration
from lamini.paths import LOGS, REPORT
from lamini.settings.base import did_you_mean
from lamini.status.states import error_records, read_tail
from lamini.terminal.progress import Plan, RunProgress, StartedJob
from lamini.text_table import text_table

_DETAIL_WIDTH = 90
_TAIL_LINES = 15
_NOTHING_TO_DO = "Nothing to be done"
_TARGETS = "docs/targets.md has the targets; a source, model or task must be part of the run."
_STOPPED = "At least one job did not complete successfully."
# Snakemake's and the SLURM executor's messages that repeat what is known or has its own line.
_OMITTED = (
    "Activating conda environment",
    "Assuming unrestricted shared filesystem usage",
    "Auto-selected partition",
    "Building DAG of jobs",
    "Complete log(s):",
    "Conda environments: ignored",
    "Config file ",
    "Elapsed time:",
    "Exiting because a job execution failed",
    "Job ",
    "Reasons:",
    "Rules with provenance triggered jobs",
    "Select jobs to execute",
    "Singularity containers: ignored",
    "Some jobs were triggered by provenance information",
    "This was a dry-run",
    "Using shell:",
)
_REASONS = {
    "Missing output files": "not made yet",
    "Updated input files": "inputs are newer",
    "Set of input files has changed": "other inputs",
    # The digest of a rule's code is among its params.
    "Params have changed": "settings or code changed",
    "Code has changed": "code changed",
    "Software environment definition has changed": "environment changed",
    "Incomplete output files": "unfinished",
    "Forced execution": "forced",
    "Input files updated by another job": "inputs are made in this run",
}


class Lines:
    """Text of a run's log records, one record at a time.

    Args:
        dryrun: whether nothing is executed.
        quiet: names of what Snakemake must not print, such as `rules`.
    """

    def __init__(self, dryrun: bool = False, quiet: Collection[str] = ()) -> None:
        self.progress: RunProgress | None = None
        self._dryrun, self._quiet = dryrun, quiet
        self._stage = self._exception = ""
        self._targets: Collection[str] = ()
        self._names: dict[int, str] = {}
        self._failed: dict[int, StartedJob] = {}
        self._reasons: dict[str, list[str]] = {}
        self._events: dict[LogEvent, Callable[[Any], str]] = {
            LogEvent.RUN_INFO: self._run_info,
            LogEvent.JOB_INFO: self._job_info,
            LogEvent.JOB_FINISHED: self._job_finished,
            LogEvent.JOB_ERROR: self._job_error,
            LogEvent.ERROR: self._error,
        }

    def text(self, record: logging.LogRecord) -> str:
        """Text of a record; empty if the terminal shows nothing for it."""
        if isinstance(plan := getattr(record, "lamini_plan", None), Plan):
            return self._begin(plan, record.created)
        if names := getattr(record, "lamini_targets", None):
            self._targets = names
            return ""
        event = getattr(record, "event", None)
        if event is not None:
            return self._events[event](record) if event in self._events else ""
        return self._message(record.getMessage(), record.levelno)

    def _message(self, message: str, level: int) -> str:
        """Text of a message of Snakemake or an executor that is no event."""
        if level >= logging.WARNING:
            return "" if message.startswith("Exiting because a job execution") else message
        if restarted := re.match(r"Trying to restart job (\d+)", message):
            number = int(restarted[1])
            self._failed.pop(number, None)
            return f"  next attempt: {self._names.get(number, f'job {number}')}"
        if message.startswith(_NOTHING_TO_DO):
            return f"{message}\nThe report: {Path(REPORT)}" if Path(REPORT).exists() else message
        return "" if message == "None" or message.startswith(_OMITTED) else message

    def status(self, now: float) -> str:
        """The run and its longest running job, in one line; empty before the start."""
        if self.progress is None:
            return ""
        text = self.progress.text(now)
        running = sorted(self.progress.running.values(), key=lambda job: job.started)
        if running:
            last = _last_line(running[0])
            text += f" | {running[0].name}" + (f": {last}" if last else "")
        return text

    def _begin(self, plan: Plan, now: float) -> str:
        self.progress = RunProgress(plan, now)
        counts: dict[str, int] = {}
        for rule, stage in plan.stages.items():
            if rule in plan.jobs:
                counts[stage] = counts.get(stage, 0) + plan.jobs[rule]
        self._stage = self.progress.stage()
        stages = ", ".join(f"{stage} {count:,}" for stage, count in counts.items())
        jobs = "1 job" if self.progress.total == 1 else f"{self.progress.total:,} jobs"
        return f"{jobs}: {stages}\n-- {self._stage}"

    def _run_info(self, record: Any) -> str:
        """Job counts; of a dry run the final ones, with the reasons of the jobs."""
        if not self._dryrun:
            return ""
        if "rules" in self._quiet:
            return str(record.getMessage())
        if not self._reasons:
            return ""
        rows: list[list[object]] = [
            [rule, ", ".join(dict.fromkeys(reasons)), len(reasons)]
            for rule, reasons in self._reasons.items()
        ]
        total = sum(map(len, self._reasons.values()))
        return (
            text_table(("rule", "why", "jobs"), [*rows, ["in all", None, total]], left=2)
            + "\n\nA dry run: nothing was executed. `-np` lists every job with its files;"
            " `make plan` shows the costs."
        )

    def _job_info(self, record: Any) -> str:
        log = next(iter(record.log), "")
        name = " ".join([record.rule_name, *map(str, record.wildcards.values())])
        if log and Path(log).is_relative_to(LOGS):
            name = job_name(log)
        self._names[record.jobid] = name
        if self._dryrun:
            if record.output:
                self._reasons.setdefault(record.rule_name, []).append(_reason(record.reason))
        elif self.progress is not None and record.output:
            self.progress.running[record.jobid] = StartedJob(
                name, record.rule_name, log, record.created
            )
        return ""

    def _job_finished(self, record: Any) -> str:
        progress = self.progress
        job = progress.finish(record.job_id, record.created) if progress else None
        if progress is None or job is None:
            return ""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        width = len(f"{progress.total:,}")
        line = f"{clock}  {progress.done:>{width},}/{progress.total:,}  {job.name}"
        line += f", {duration(record.created - job.started)}"
        if last := _last_line(job):
            line += f": {last}"
        stage = progress.stage()
        if stage in ("", self._stage):
            return line
        self._stage = stage
        left = progress.time_left(record.created)
        return f"{line}\n-- {stage}" + (f"; {left}" if left else "")

    def _job_error(self, record: Any) -> str:
        """A failed job: name, rule, message, error from its log, path of the log."""
        name = self._names.get(record.jobid, record.rule_name)
        job = self.progress.running.pop(record.jobid, None) if self.progress else None
        self._failed[record.jobid] = job or StartedJob(
            name, record.rule_name, next(iter(record.log), ""), record.created
        )
        lines = [f"FAILED: {name} (rule {record.rule_name})"]
        if record.rule_msg:
            lines.append(f"  message: {record.rule_msg}")
        lines += [f"  {key}: {value}" for key, value in record.aux.items()]
        errors = ""
        for log in record.log:
            lines.append(f"  log: {log}")
            errors = errors or _errors_of(log)
        if errors:
            lines.append(_indented(errors))
        elif self._exception:
            lines.append(_indented(self._exception))
        elif record.shellcmd:
            lines.append(f"  command: {record.shellcmd}")
        self._exception = ""
        return "\n".join(lines)

    def _error(self, record: Any) -> str:
        """An exception; a failed command is shown with its job, which follows."""
        message = re.sub(r'(\n  File "[^\n]*", line \d+, in [^\n]*)+$', "", record.getMessage())
        if "CalledProcessError" in message:
            self._exception = message
            return ""
        if missing := re.search(r"^No rule to produce (.+?) \(if you use input", message, re.M):
            near = did_you_mean(missing[1], self._targets)
            return f"no rule makes the target `{missing[1]}`{near}\n{_TARGETS}"
        if "Config file is not valid JSON or YAML" in message:
            return _damaged_configuration() or message
        return self._summary() if _STOPPED in message else message

    def _summary(self) -> str:
        """Last screen of a run with failed jobs."""
        progress = self.progress
        if progress is None:
            return _STOPPED
        lines = [
            f"Stopped: {len(self._failed)} of {progress.total:,} jobs failed,"
            f" {progress.done:,} finished in {duration(time.time() - progress.started)}."
        ]
        lines += [f"  {job.name}: {job.log or 'no log'}" for job in self._failed.values()]
        lines.append(
            "Mend the cause and run the same command again: finished jobs and answers are kept."
            "\n`make status` shows the last errors, docs/troubleshooting.md explains messages."
        )
        return "\n".join(lines)


def _damaged_configuration() -> str:
    """Name, line and problem of the damaged file in config/, which Snakemake does not name."""
    for name in CONFIG_FILES:
        try:
            read_yaml(Path(f"config/{name}.yaml"))
        except LaminiError as error:
            return str(error)
    return ""


def _reason(text: str) -> str:
    """Why a job is planned, in a few words; that its inputs are made only without other reasons."""
    reasons = [words for start, words in _REASONS.items() if start in text]
    if len(reasons) > 1 and reasons[-1] == "inputs are made in this run":
        del reasons[-1]
    return " and ".join(reasons) or text.partition(":")[0].lower()


def _last_line(job: StartedJob) -> str:
    """Last record of a job's log, without parts that mean nothing for a finished job."""
    tail = read_tail(Path(job.log)) if job.log else None
    if tail is None or tail.modified < job.started - 1:
        return ""
    text = tail.last.replace(", done", "").replace(", 0 in flight", "")
    return text if len(text) <= _DETAIL_WIDTH else f"{text[: _DETAIL_WIDTH - 1]}…"


def _errors_of(log: str) -> str:
    """Error records of a log, complete; its last lines if it has none."""
    try:
        text = Path(log).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(error_records(text)) or "\n".join(text.splitlines()[-_TAIL_LINES:])


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
