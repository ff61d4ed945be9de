"""The plan as text for the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lamini.plan.requests import StagePlan
from lamini.plan.serving import START_SECONDS, fits_on, serving_seconds
from lamini.plan.students import GPU_MODELS, StudentPlan
from lamini.settings.teacher import LocalServer, Teacher
from lamini.teacher.backends import kind_of
from lamini.teacher.money import Cost, Spending, dollars
from lamini.text_table import short_count, text_table
from lamini.training.gpus import GPUS


def teacher_text(
    plans: Sequence[StagePlan], teacher: Teacher, spent: Mapping[tuple[str, str], Spending]
) -> str:
    """Requests, tokens and cost of each source and stage, and the remaining budget.

    The cost is in dollars, for a local server on GPUs in GPU-hours.

    Args:
        plans: planned requests.
        teacher: server, prices and budget.
        spent: tokens and dollars in the ledgers, by stage and source.
    """
    if not plans:
        return "Teacher: no requests; the published dataset is read."
    server = teacher.server if kind_of(teacher).gpus(teacher) else None
    models = list(dict.fromkeys(plan.model for plan in plans))
    rows: list[list[object]] = [
        [plan.source, plan.stage, *_sums([plan], teacher, server), plan.basis] for plan in plans
    ]
    totals = [*models, ""] if len(models) > 1 else [""]
    for model in totals:
        counted = [plan for plan in plans if model in ("", plan.model)]
        rows.append(["total", model, *_sums(counted, teacher, server), ""])
    costs = [f"{gpu.name}-h" for gpu in GPU_MODELS] if server else ["live API", "Batch API"]
    header = ("source", "stage", "requests", "prompt", "answer", *costs, "basis")
    parts = [
        f"Teacher {_named(plans, models)}; prompts and answers in tokens:",
        text_table(header, rows, left=2),
    ]
    if server:
        parts.append(_servers(sum(plan.jobs for plan in plans), server))
    else:
        parts += [
            f"teacher.prices has no price of {model}: dollars are unknown."
            for model in models
            if model not in teacher.prices
        ]
    to_pay = Cost.total(
        _unpaid(plan, teacher, spent.get((plan.stage, plan.source), Spending())) for plan in plans
    )
    parts.append(_budget(to_pay, teacher, sum(spent.values(), Spending())))
    return "\n".join(parts)


def _named(plans: Sequence[StagePlan], models: Sequence[str]) -> str:
    """The model of all requests; of several models also the stages of each."""
    if len(models) == 1:
        return models[0]
    stages = {model: {plan.stage: 0 for plan in plans if plan.model == model} for model in models}
    return ", ".join(f"{model} ({', '.join(names)})" for model, names in stages.items())


def _sums(plans: Sequence[StagePlan], teacher: Teacher, server: LocalServer | None) -> list[object]:
    """Requests, tokens and cost of plans: GPU-hours of a server, else dollars.

    Dollars are None if a model has no price.
    """
    prompt = sum(plan.prompt_tokens for plan in plans)
    completion = sum(plan.completion_tokens for plan in plans)
    counts = [sum(plan.requests for plan in plans), short_count(prompt), short_count(completion)]
    if server:
        jobs = sum(plan.jobs for plan in plans)
        return [*counts, *_gpu_hours(server, jobs, prompt, completion)]
    if any(plan.model not in teacher.prices for plan in plans):
        return [*counts, None, None]
    paid = (sum(_dollars(plan, teacher, batch) for plan in plans) for batch in (False, True))
    return [*counts, *(f"${each:,.2f}" for each in paid)]


def _dollars(plan: StagePlan, teacher: Teacher, batch: bool) -> float:
    price = teacher.prices.get(plan.model)
    return dollars(price, plan.prompt_tokens, plan.completion_tokens, batch=batch)


def _unpaid(plan: StagePlan, teacher: Teacher, spent: Spending) -> Cost:
    """Cost of a plan's tokens that are not in its ledgers yet."""
    left = replace(
        plan,
        prompt_tokens=max(plan.prompt_tokens - spent.prompt_tokens, 0.0),
        completion_tokens=max(plan.completion_tokens - spent.completion_tokens, 0.0),
    )
    price = _dollars(left, teacher, kind_of(teacher).at_batch_price)
    return Cost(price, left.prompt_tokens + left.completion_tokens)


def _gpu_hours(
    server: LocalServer, jobs: int, prompt: float, completion: float
) -> list[str | None]:
    """GPU-hours on each GPU model, with all starts of the server; None where it does not fit."""
    starts = jobs * server.gpus * START_SECONDS
    hours: list[str | None] = []
    for gpu in GPU_MODELS:
        seconds = serving_seconds(GPUS[gpu.name], server, prompt, completion)
        fits = fits_on(gpu.memory_gb, server)
        hours.append(
            hours_text((seconds + starts) / 3600) if fits and seconds is not None else None
        )
    return hours


def _servers(jobs: int, server: LocalServer) -> str:
    if server.parameters is None:
        return "teacher.server.parameters is not set: GPU-hours are unknown."
    each = "1 GPU" if server.gpus == 1 else f"{server.gpus} GPUs"
    starts = hours_text(jobs * server.gpus * START_SECONDS / 3600)
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
            plan.work.pairs,
            plan.work.steps,
            short_count(plan.work.tokens),
            f"{plan.work.flops:.2e}",
            *(hours_text(plan.hours(gpu)) for gpu in GPU_MODELS),
            plan.basis,
        ]
        for plan in plans
    ]
    flops = sum(plan.work.flops for plan in plans)
    sums = [sum(plan.hours(gpu) for plan in plans) for gpu in GPU_MODELS]
    hours = [hours_text(total) for total in sums]
    prices = [f"${n * gpu.dollars:,.0f}" for n, gpu in zip(sums, GPU_MODELS, strict=True)]
    tokens = sum(plan.work.tokens for plan in plans)
    rows.append(["total", None, None, short_count(tokens), f"{flops:.2e}", *hours, ""])
    rows.append(["rental", None, None, None, None, *prices, "prices of September 2026"])
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
            *_early_stops(plans),
            "",
            "Memory per GPU with the current recipe (estimated from the number of parameters), and"
            " the settings needed to fit on each GPU:",
            _memory_table(plans),
        ]
    )


def _early_stops(plans: Sequence[StudentPlan]) -> list[str]:
    """Line that names the students whose training may stop early; none without such students."""
    names = [plan.model for plan in plans if plan.work.recipe.patience is not None]
    stop = "Steps, tokens and hours are at most these; training may stop early (patience)"
    return [f"{stop}: {', '.join(names)}."] if names else []


def hours_text(hours: float) -> str:
    """Hours with one decimal."""
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
