"""Status and costs of a run as text for a terminal."""

from collections.abc import Sequence
from pathlib import Path

from lamini.log import duration
from lamini.settings.teacher import Teacher
from lamini.status.graph import Job
from lamini.status.queue import queue_text
from lamini.status.requests import Rates, current_rates, spending_by_rule
from lamini.status.states import State, seconds_since
from lamini.status.training import SavedTraining, saved_trainings
from lamini.status.usage import Total, Usage, read_usage, sum_usage
from lamini.teacher.money import Spending
from lamini.text_table import text_table

_SHOWN_RUNNING = 20
_SHOWN_ERRORS = 5
_SHOWN_SLOWEST = 5
_WIDTH = 110


def status_text(states: Sequence[State], results: Path, teacher: Teacher) -> str:
    """Text of `make status`.

    Args:
        states: states of all planned jobs, in pipeline order.
        results: the results folder.
        teacher: settings of the teacher, with model, prices and budget.
    """
    usages, unreadable = read_usage(results)
    total = sum_usage(usages)
    parts = [
        _stages(states, total),
        queue_text(
            [(each.job, each.slurm) for each in states if each.slurm and each.state == "queued"]
        ),
        _running([state for state in states if state.state == "running"]),
        _trainings(saved_trainings(results)),
        _teacher(spending_by_rule(results, teacher), current_rates(results), teacher),
        _hours(total, usages),
        _errors([state for state in states if state.state == "failed"]),
        *(f"not readable: {path}" for path in unreadable),
    ]
    return "\n\n".join(part for part in parts if part)


def cost_text(
    jobs: Sequence[Job],
    results: Path,
    teacher: Teacher,
    gpu_dollars: float | None,
    cpu_dollars: float | None,
) -> str:
    """Text of `make cost`: resources and dollars of each rule, and in total.

    Args:
        jobs: all planned jobs, in pipeline order; rules without a planned job come last.
        results: the results folder.
        teacher: settings of the teacher, with model and prices.
        gpu_dollars: price of a GPU-hour in US$; None: unknown.
        cpu_dollars: price of a core-hour in US$; None: unknown.
    """
    usages, unreadable = read_usage(results)
    total = sum_usage(usages)
    paid = spending_by_rule(results, teacher)
    priced = gpu_dollars is not None or cpu_dollars is not None
    rows = []
    for rule in dict.fromkeys([*(job.rule for job in jobs), *total.rules, *paid]):
        if rule not in total.rules and rule not in paid:
            continue
        sums = total.rules.get(rule, Total())
        rows.append(_cost_row(rule, sums, paid.get(rule), gpu_dollars, cpu_dollars))
    everything = Spending(dollars=sum(spending.dollars for spending in paid.values()))
    rows.append(_cost_row("in all", total, everything, gpu_dollars, cpu_dollars))
    columns = 7 + priced
    header = ["rule", "jobs", "wall", "CPU-h", "busy CPU-h", "GPU-h", "peak memory"]
    header += ["machines", "teacher"] if priced else ["teacher"]
    table = text_table(header, [row if priced else [*row[:columns], row[-1]] for row in rows])
    notes = "CPU-h and GPU-h are reserved hours; each job counts with its last successful run."
    return "\n\n".join([table, notes, *(f"not readable: {path}" for path in unreadable)])


def _cost_row(
    rule: str,
    sums: Total,
    paid: Spending | None,
    gpu_dollars: float | None,
    cpu_dollars: float | None,
) -> list[object]:
    machines = sums.gpu_hours * (gpu_dollars or 0) + sums.cpu_hours * (cpu_dollars or 0)
    return [
        rule,
        sums.jobs,
        duration(sums.seconds),
        f"{sums.cpu_hours:,.2f}",
        f"{sums.busy_cpu_hours:,.2f}",
        f"{sums.gpu_hours:,.2f}",
        f"{sums.memory_mib / 1024:,.1f} GiB",
        f"${machines:,.2f}",
        f"${paid.dollars:,.2f}" if paid else None,
    ]


def _stages(states: Sequence[State], total: Total) -> str:
    # Without SLURM no job is known to be queued.
    queued = ("queued",) if any(state.state == "queued" for state in states) else ()
    names = ("done", "running", *queued, "failed", "waiting")
    rules: dict[str, dict[str, int]] = {}
    for state in states:
        counts = rules.setdefault(state.job.rule, dict.fromkeys(names, 0))
        counts[state.state] += 1
    rows: list[list[object]] = []
    for rule, counts in rules.items():
        eta = _eta(counts, total.rules.get(rule))
        shown = [counts[name] or None for name in names[1:]]
        rows.append([rule, counts["done"], sum(counts.values()), *shown, eta])
    sums = [sum(counts[name] for counts in rules.values()) for name in names]
    rows.append(["in all", sums[0], len(states), *(count or None for count in sums[1:]), None])
    header = ("stage", "done", "planned", *names[1:], "estimated time left")
    return text_table(header, rows)


def _eta(counts: dict[str, int], used: Total | None) -> str | None:
    """Estimated time left of a running stage: jobs left times the finished jobs' mean time."""
    if not counts["running"] or used is None or not used.jobs:
        return None
    to_come = sum(counts.get(name, 0) for name in ("queued", "waiting", "failed"))
    left = counts["running"] / 2 + to_come
    return duration(left * used.seconds / used.jobs / counts["running"])


def _running(states: Sequence[State]) -> str:
    if not states:
        return ""
    lines = [f"Running ({len(states)}), with the last line of each log:"]
    for state in states[:_SHOWN_RUNNING]:
        # A log older than Snakemake's marker file belongs to an earlier attempt.
        log = state.log if state.log and state.log.modified >= (state.marked or 0.0) else None
        if log is None:
            waited = duration(seconds_since(state.marked or 0.0))
            # Of a job outside SLURM, or one that SLURM has just forgotten, no more is known.
            how = f"starting on {state.slurm.reason}" if state.slurm else "in the queue or starting"
            lines.append(f"  {state.job.name}: {how}, for {waited}")
        else:
            age = duration(seconds_since(log.modified))
            lines.append(f"  {state.job.name}: {log.last[:_WIDTH]} ({age} ago)")
    if len(states) > _SHOWN_RUNNING:
        lines.append(f"  and {len(states) - _SHOWN_RUNNING} more")
    return "\n".join(lines)


def _trainings(trainings: Sequence[SavedTraining]) -> str:
    if not trainings:
        return ""
    rows = [
        [
            f"  {training.model}",
            training.step,
            None if training.loss is None else f"{training.loss:.4f}",
            None if training.held_out_loss is None else f"{training.held_out_loss:.4f}",
            f"{duration(seconds_since(training.saved))} ago",
        ]
        for training in trainings
    ]
    return text_table(("Trainings that can resume", "step", "loss", "held out", "saved"), rows)


def _teacher(rules: dict[str, Spending], rates: Rates, teacher: Teacher) -> str:
    if not rules:
        return ""
    spent = sum(spending.dollars for spending in rules.values())
    prompt = sum(spending.prompt_tokens for spending in rules.values())
    completion = sum(spending.completion_tokens for spending in rules.values())
    answers = sum(spending.answers for spending in rules.values())
    line = f"Teacher: {answers:,} answers, {prompt:,} + {completion:,} tokens, ${spent:,.2f}"
    if teacher.budget_dollars is not None:
        left = teacher.budget_dollars - spent
        line += f" of ${teacher.budget_dollars:,.2f}, ${left:,.2f} left"
    if teacher.budget_tokens is not None:
        left = teacher.budget_tokens - prompt - completion
        line += f"; {left:,} of {teacher.budget_tokens:,} tokens left"
    if rates.jobs:
        line += (
            f"\n  now {rates.requests_per_second:,.1f} requests/s,"
            f" {rates.tokens_per_second:,.0f} tokens/s by {rates.jobs} jobs,"
            f" {rates.in_flight:,} in flight, {rates.rate_limited:,} times 429,"
            f" {rates.retries:,} retries"
        )
    return line


def _hours(total: Total, usages: Sequence[Usage]) -> str:
    if not usages:
        return ""
    slowest = sorted(usages, key=lambda usage: -usage.seconds)[:_SHOWN_SLOWEST]
    lines = [
        f"Used by {total.jobs:,} finished jobs: {total.gpu_hours:,.2f} GPU-hours and"
        f" {total.cpu_hours:,.2f} CPU-hours reserved ({total.busy_cpu_hours:,.2f} busy)",
        "Slowest:",
    ]
    for usage in slowest:
        name = f"{usage.rule} {usage.key}".strip()
        lines.append(f"  {duration(usage.seconds):>10}  {name}")
    return "\n".join(lines)


def _errors(states: Sequence[State]) -> str:
    failed = [(state, state.log) for state in states if state.log]
    if not failed:
        return ""
    failed.sort(key=lambda item: -item[1].modified)
    lines = [f"Failed ({len(failed)}), latest first:"]
    for state, log in failed[:_SHOWN_ERRORS]:
        age = duration(seconds_since(log.modified))
        lines.append(f"  {state.job.name}, {age} ago: {log.error}\n    {state.job.log}")
    return "\n".join(lines)
