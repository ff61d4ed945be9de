"""The plan as text for the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lamini.plan.requests import StagePlan
from lamini.plan.students import CARDS, StudentPlan
from lamini.settings.backends import kind_of
from lamini.settings.teacher import Teacher
from lamini.teacher.money import Cost, Spending, dollars
from lamini.text_table import short_count, text_table


def teacher_text(
    plans: Sequence[StagePlan], teacher: Teacher, spent: Mapping[tuple[str, str], Spending]
) -> str:
    """Requests, tokens and dollars of each source and stage, and the remaining budget.

    Args:
        plans: planned requests.
        teacher: prices and budget.
        spent: tokens and dollars in the ledgers, by stage and source.
    """
    if not plans:
        return "Teacher: no requests; the published dataset is read."
    models = list(dict.fromkeys(plan.model for plan in plans))
    rows: list[list[object]] = [
        [plan.source, plan.stage, *_sums([plan], teacher), plan.basis] for plan in plans
    ]
    totals = [*models, ""] if len(models) > 1 else [""]
    for model in totals:
        counted = [plan for plan in plans if model in ("", plan.model)]
        rows.append(["total", model, *_sums(counted, teacher), ""])
    header = ("source", "stage", "requests", "prompt", "answer", "live API", "Batch API", "basis")
    parts = [
        f"Teacher {_named(plans, models)}; prompts and answers in tokens:",
        text_table(header, rows, left=2),
    ]
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
    """The model of all requests; of several models also the stages in which each is asked."""
    if len(models) == 1:
        return models[0]
    stages = {model: {plan.stage: 0 for plan in plans if plan.model == model} for model in models}
    return ", ".join(f"{model} ({', '.join(names)})" for model, names in stages.items())


def _sums(plans: Sequence[StagePlan], teacher: Teacher) -> list[object]:
    """Requests, tokens and dollars of plans; dollars are None if a model has no price."""
    prompt = sum(plan.prompt_tokens for plan in plans)
    completion = sum(plan.completion_tokens for plan in plans)
    counts = [sum(plan.requests for plan in plans), short_count(prompt), short_count(completion)]
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


def _budget(to_pay: Cost, teacher: Teacher, spent: Spending) -> str:
    lines = [
        f"Spent (ledgers): ${spent.dollars:,.2f} for {spent.answers:,} answers;"
        f" remaining cost, {kind_of(teacher).title}: about ${to_pay.dollars:,.2f}."
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
            *(_hours(plan.hours(card)) for card in CARDS),
            plan.basis,
        ]
        for plan in plans
    ]
    flops = sum(plan.flops for plan in plans)
    hours = [_hours(sum(plan.hours(card) for plan in plans)) for card in CARDS]
    tokens = sum(plan.tokens for plan in plans)
    rows.append(["total", None, None, short_count(tokens), f"{flops:.2e}", *hours, ""])
    header = (
        "student",
        "pairs",
        "steps",
        "tokens",
        "FLOPs",
        *(f"{c.name}-h" for c in CARDS),
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
    header = ("student", "GPUs", "GB", *(f"{c.name}, {c.memory_gb:g} GB" for c in CARDS))
    rows: list[list[object]] = [
        [plan.model, plan.gpus, f"{plan.gigabytes:.1f}", *(plan.advice(card) for card in CARDS)]
        for plan in plans
    ]
    return text_table(header, rows)
