"""The plan as text for the terminal."""

from collections.abc import Sequence

from lamini.plan.requests import StagePlan
from lamini.plan.students import CARDS, StudentPlan
from lamini.settings.teacher import Price, Teacher
from lamini.teacher.money import Cost, Spending, dollars
from lamini.teacher_backends import kind_of
from lamini.text_table import short_count, text_table


def teacher_text(plans: Sequence[StagePlan], teacher: Teacher, spent: Spending) -> str:
    """Requests, tokens and dollars of each source and stage, and the remaining budget.

    Args:
        plans: planned requests.
        teacher: model, prices and budget.
        spent: tokens and dollars in the ledgers.
    """
    if not plans:
        return "Teacher: no requests; the published dataset is read."
    price = teacher.prices.get(teacher.model)
    rows: list[list[object]] = [
        [
            plan.source,
            plan.stage,
            plan.requests,
            *_tokens_and_dollars(plan.prompt_tokens, plan.completion_tokens, price),
            plan.basis,
        ]
        for plan in plans
    ]
    prompt = sum(plan.prompt_tokens for plan in plans)
    completion = sum(plan.completion_tokens for plan in plans)
    requests = sum(plan.requests for plan in plans)
    rows.append(["total", "", requests, *_tokens_and_dollars(prompt, completion, price), ""])
    header = ("source", "stage", "requests", "prompt", "answer", "live API", "Batch API", "basis")
    parts = [
        f"Teacher {teacher.model}; prompts and answers in tokens:",
        text_table(header, rows, left=2),
    ]
    if price is None:
        parts.append(f"teacher.prices has no price of {teacher.model}: dollars are unknown.")
    tokens = (
        max(prompt - spent.prompt_tokens, 0.0),
        max(completion - spent.completion_tokens, 0.0),
    )
    to_pay = dollars(price, *tokens, batch=kind_of(teacher).at_batch_price)
    parts.append(_budget(Cost(to_pay, sum(tokens)), teacher, spent))
    return "\n".join(parts)


def _tokens_and_dollars(prompt: float, completion: float, price: Price | None) -> list[str | None]:
    tokens: list[str | None] = [short_count(prompt), short_count(completion)]
    if price is None:
        return [*tokens, None, None]
    paid = (dollars(price, prompt, completion, batch=batch) for batch in (False, True))
    return [*tokens, *(f"${each:,.2f}" for each in paid)]


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
