"""What the Snakefile gives the terminal: targets, the plan of a starting run, and its result."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.log import duration
from lamini.paths import FIGURE, JOBS_FILE, REPORT, RESULTS
from lamini.settings import Config
from lamini.status.graph import read_jobs
from lamini.status.requests import spending_by_rule
from lamini.status.usage import read_usage, sum_usage
from lamini.tables.published import read_csv
from lamini.terminal.progress import Plan
from lamini.workflow.rule_code import family_of

_SHOWN_FILES = 5
_NEXT = {"dataset": "models", "models": "evals", "evals": "figures", "figures": "report"}
"""Target after each named target."""


def send_plan(workflow: Any) -> None:
    """Send the plan of a starting run to the terminal.

    Args:
        workflow: Snakemake's workflow, with its complete job graph.
    """
    from snakemake.logging import logger

    earlier = sum_usage(read_usage(RESULTS)[0]).rules
    planned = Counter(job.rule.name for job in workflow.dag.needrun_jobs() if job.output)
    rules = [rule for rule in workflow.rules if rule.name in planned]
    means = {
        rule.name: earlier[family].seconds / earlier[family].jobs
        for rule in rules
        if (family := family_of(rule) or rule.name) in earlier
    }
    stages = {rule.name: Path(rule.snakefile).stem.replace("_", " ") for rule in rules}
    plan = Plan(stages, {rule.name: planned[rule.name] for rule in rules}, means)
    logger.info("", extra={"lamini_plan": plan})


def send_targets(workflow: Any, files: Iterable[str]) -> None:
    """Send the names of targets to the terminal, which suggests near ones for a misspelled one.

    Args:
        workflow: Snakemake's workflow, with all rules.
        files: files of this configuration; those of the last run are added.
    """
    from snakemake.logging import logger

    if not workflow.is_main_process:
        return
    names = {rule.name for rule in workflow.rules if not rule.wildcard_names} | set(files)
    if JOBS_FILE.exists():
        names |= {output for job in read_jobs() for output in job.outputs}
    logger.info("", extra={"lamini_targets": names})


def send_result(workflow: Any, config: Config) -> None:
    """Send the last screen of a successful run to the terminal.

    Args:
        workflow: Snakemake's workflow after the run.
        config: the run's settings.
    """
    from snakemake.logging import logger

    seconds = (datetime.now() - workflow.start_time).total_seconds()
    targets = sorted(map(str, workflow.dag.derived_targetfiles))
    named = [job.rule.name for job in workflow.dag.targetjobs if not job.output]
    jobs = sum(1 for job in workflow.dag.finished_jobs if job.output)
    try:
        logger.info("\n".join(["", *result_lines(jobs, seconds, targets, named, config)]))
    except LaminiError as error:  # a damaged ledger must not make a finished run fail
        logger.warning(f"Finished: {jobs:,} jobs; costs and result cannot be shown: {error}")


def result_lines(
    jobs: int, seconds: float, targets: list[str], named: Iterable[str], config: Config
) -> list[str]:
    """Last screen: jobs and time, result or files, costs, report, next step.

    Args:
        jobs: number of finished jobs.
        seconds: wall time of the run.
        targets: the requested files.
        named: named targets, such as `dataset`.
        config: the run's settings.
    """
    lines = [f"Finished: {'1 job' if jobs == 1 else f'{jobs:,} jobs'} in {duration(seconds)}."]
    reported = REPORT in targets
    lines += _scores(config) if reported else _files(targets)
    lines.append(_costs(config))
    if reported:
        lines.append(f"  Report        {Path(REPORT).resolve()}")
    return [*lines, f"  Next          {_next(reported, list(named), config)}"]


def _scores(config: Config) -> list[str]:
    """Best student and average of the students, from the data of Figure 5."""
    data = Path(f"{FIGURE.format(figure='5')}.csv")
    if not data.exists():
        return []
    rows = [
        row
        for row in read_csv(data)
        if row["score"] == "ours" and row["drawn"] == "dot" and row["average"]
    ]
    if not rows:
        return []
    best = max(rows, key=lambda row: float(row["average"]))
    mean = sum(float(row["average"]) for row in rows) / len(rows)
    tasks = len(config.evaluated_tasks)
    lines = [
        f"  Best student  {best['model']}, average score {float(best['average']):.1f}"
        f" of {tasks} tasks; mean of {len(rows)} students {mean:.1f}"
    ]
    if not config.report.reproduction:
        lines.append("                (no reproduction of the paper: small models, few examples)")
    return lines


def _files(targets: list[str]) -> list[str]:
    shown = [f"                {path}" for path in targets[:_SHOWN_FILES]]
    if len(targets) > _SHOWN_FILES:
        shown.append(f"                and {len(targets) - _SHOWN_FILES:,} more files")
    return [f"  Files         {shown[0].strip()}", *shown[1:]] if shown else []


def _costs(config: Config) -> str:
    """Dollars and hours of all runs in this results folder."""
    paid = spending_by_rule(RESULTS, config.teacher).values()
    total = sum_usage(read_usage(RESULTS)[0])
    return (
        f"  Cost so far   ${sum(each.dollars for each in paid):,.2f} for"
        f" {sum(each.answers for each in paid):,} answers of the teacher;"
        f" {total.gpu_hours:,.1f} GPU-hours, {total.cpu_hours:,.1f} core-hours (`make cost`)"
    )


def _next(reported: bool, named: list[str], config: Config) -> str:
    if reported and config.report.reproduction:
        return "open the report; `make ratings`: the human study; `make verify` before publishing"
    if reported:
        return "open the report; `make plan` shows the paper's costs, docs/paper.md its steps"
    following = next((_NEXT[name] for name in named if name in _NEXT), None)
    if following:
        return f"the target `{following}`, with the same options"
    return "without a target, the same command makes everything up to the report"
