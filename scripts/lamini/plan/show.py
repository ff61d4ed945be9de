"""The plan as text for the terminal."""

from collections.abc import Sequence

from lamini.plan.requests import StagePlan
from lamini.plan.students import GPU_MODELS, StudentPlan
from lamini.settings.teacher import LocalServer, Price, Teacher
from lamini.teacher.money import Cost, Spending, dollars
from lamini.teacher_backends import kind_of
from lamini.text_table import short_count, text_table
from lamini.training.gpus import GPUS
from lamini.workflow.serving import START_SECONDS, fits_on, serving_seconds


def teacher_text(plans: Sequence[StagePlan], teacher: Teacher, spent: Spending) -> str:
    """Requests, tokens and cost of each source and stage, and the remaining budget.

    The cost is in dollars, for a local server on GPUs in GPU-hours.

    Args:
        plans: planned requests.
        teacher: model, server, prices and budget.
        spent: tokens and dollars in the ledgers.
    """
    if not plans:
        return "Teacher: no requests; the published dataset is read."
    server = teacher.server if kind_of(teacher).gpus(teacher) else None
    price = teacher.prices.get(teacher.model)
    total = StagePlan(
        source="total",
        stage="",
        requests=sum(plan.requests for plan in plans),
        prompt_tokens=sum(plan.prompt_tokens for plan in plans),
        completion_tokens=sum(plan.completion_tokens for plan in plans),
        basis="",
        jobs=sum(plan.jobs for plan in plans),
    )
    rows: list[list[object]] = [
        [
            plan.source,
            plan.stage,
            plan.requests,
            short_count(plan.prompt_tokens),
            short_count(plan.completion_tokens),
            *(_gpu_hours(plan, server) if server else _dollars(plan, price)),
            plan.basis,
        ]
        for plan in [*plans, total]
    ]
    costs = [f"{card.name}-h" for card in GPU_MODELS] if server else ["live API", "Batch API"]
    header = ("source", "stage", "requests", "prompt", "answer", *costs, "basis")
    parts = [
        f"Teacher {teacher.model}; prompts and answers in tokens:",
        text_table(header, rows, left=2),
    ]
    if server:
        parts.append(_servers(total.jobs, server))
    elif price is None:
        parts.append(f"teacher.prices has no price of {teacher.model}: dollars are unknown.")
    tokens = (
        max(total.prompt_tokens - spent.prompt_tokens, 0.0),
        max(total.completion_tokens - spent.completion_tokens, 0.0),
    )
    to_pay = dollars(price, *tokens, batch=kind_of(teacher).at_batch_price)
    parts.append(_budget(Cost(to_pay, sum(tokens)), teacher, spent))
    return "\n".join(parts)


def _dollars(plan: StagePlan, price: Price | None) -> list[str | None]:
    """Dollars of the live API and of the Batch API."""
    if price is None:
        return [None, None]
    tokens = plan.prompt_tokens, plan.completion_tokens
    return [f"${dollars(price, *tokens, batch=batch):,.2f}" for batch in (False, True)]


def _gpu_hours(plan: StagePlan, server: LocalServer) -> list[str | None]:
    """GPU-hours on each card, with the starts of all servers; None on cards that are too small."""
    starts = plan.jobs * server.gpus * START_SECONDS
    hours: list[str | None] = []
    for card in GPU_MODELS:
        tokens = plan.prompt_tokens, plan.completion_tokens
        seconds = serving_seconds(GPUS[card.name], server, *tokens)
        fits = fits_on(card.memory_gb, server)
        hours.append(_hours((seconds + starts) / 3600) if fits and seconds is not None else None)
    return hours


def _servers(jobs: int, server: LocalServer) -> str:
    if server.parameters is None:
        return "teacher.server.parameters is not set: GPU-hours are unknown."
    each = "1 GPU" if server.gpus == 1 else f"{server.gpus} GPUs"
    starts = _hours(jobs * server.gpus * START_SECONDS / 3600)
    return (
        f"{jobs:,} jobs start a server on {each}: {starts} of these hours."
        " GPU-hours are estimated; run one shard first, and see `make cost`."
    )


def _budget(to_pay: Cost, teacher: Teacher, spent: Spending) -> str:
    priced = teacher.model in teacher.prices or not kind_of(teacher).gpus(teacher)
    lines = [
        f"Spent (ledgers): ${spent.dollars:,.2f} for {spent.answers:,} answers;"
        f" remaining cost, {kind_of(teacher).title}: about ${to_pay.dollars:,.2f}."
        if priced
        else f"Ledgers: {spent.answers:,} answers."
    ]
    if teacher.budget_dollars is not None:
        left = max(teacher.budget_dollars - spent.cost.dollars, 0.0)
        verdict = _verdict(left, to_pay.dollars, "dollars")
        lines.append(f"Budget: ${teacher.budget_dollars:,.2f}, left: ${left:,.2f}; {verdict}.")
    if teacher.budget_tokens is not None:
        left = max(teacher.budget_tokens - spent.cost.tokens, 0.0)
        verdict = _verdict(left, to_pay.tokens, "tokens")
        lines.append(
            f"Budget: {short_count(teacher.budget_tokens)} tokens, left: {short_count(left)};"
            f" {verdict}."
        )
    if len(lines) == 1:
        lines.append("Budget: none (teacher.budget_dollars, teacher.budget_tokens).")
    return "\n".join(lines)


def _verdict(left: float, needed: float, unit: str) -> str:
    return "enough" if left >= needed else f"NOT enough: raise teacher.budget_{unit}"


def students_text(plans: Sequence[StudentPlan]) -> str:
    """Steps, floating-point operations, GPU-hours and memory of each student."""
    if not plans:
        return "Training: none; the released checkpoints are evaluated."
    rows: list[list[object]] = [
        [
            plan.model,
            plan.pairs,
            plan.steps,
            short_count(plan.tokens),
            f"{plan.flops:.2e}",
            *(_hours(plan.hours(gpu)) for gpu in GPU_MODELS),
            plan.basis,
        ]
        for plan in plans
    ]
    flops = sum(plan.flops for plan in plans)
    hours = [_hours(sum(plan.hours(gpu) for plan in plans)) for gpu in GPU_MODELS]
    tokens = sum(plan.tokens for plan in plans)
    rows.append(["total", None, None, short_count(tokens), f"{flops:.2e}", *hours, ""])
    header = (
        "student",
        "pairs",
        "steps",
        "tokens",
        "FLOPs",
        *(f"{c.name}-h" for c in GPU_MODELS),
        "basis",
    )
    return "\n".join(
        [
            "Training, GPU-hours estimated from measurements on one GPU (docs/gpu.md):",
            text_table(header, rows),
            "",
            "Memory per GPU with the current recipe (estimated from the number of parameters), and"
            " the settings needed to fit on each GPU:",
            _memory_table(plans),
        ]
    )


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 0.05 else "<0.1"


def _memory_table(plans: Sequence[StudentPlan]) -> str:
    header = ("student", "GPUs", "GB", *(f"{c.name}, {c.memory_gb:g} GB" for c in GPU_MODELS))
    rows: list[list[object]] = [
        [
            plan.model,
            plan.gpus,
            f"{plan.gigabytes:.1f}",
            *(plan.advice(gpu) for gpu in GPU_MODELS),
        ]
        for plan in plans
    ]
    return text_table(header, rows)
