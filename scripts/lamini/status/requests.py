"""Requests to the teacher, tokens and dollars so far, and current request rates.

Finished shards are counted from their reports, which are small. Only unfinished shards' ledgers are
read. A request that two shards share counts in both reports.
"""

from dataclasses import dataclass
from pathlib import Path

from lamini.errors import LaminiError
from lamini.files import read_json
from lamini.settings.teacher import Teacher
from lamini.status.states import seconds_since
from lamini.teacher.money import Spending, find_ledgers, ledger_spending, report_spending
from lamini.teacher.report import ShardReport

_FRESH_SECONDS = 60.0
RULES = {"instructions": "generate_instructions", "pairs": "generate_pairs"}
"""Rule that makes the shards, by folder of results (the folder has the name of the stage)."""


def spending_by_rule(results: Path, teacher: Teacher) -> dict[str, Spending]:
    """Answers, tokens and dollars of each rule that sends requests to the teacher.

    Args:
        results: the results folder.
        teacher: settings of the teacher, with model and prices.
    """
    rules: dict[str, Spending] = {}
    for ledger in find_ledgers(results):
        folder = ledger.relative_to(results).parts[0]
        rule = RULES.get(folder, "judge_items")
        spending = rules.setdefault(rule, Spending())
        report = _report(ledger)
        if report is None:
            price = teacher.prices.get(teacher.of_stage(folder).model)
            rules[rule] = spending + ledger_spending(ledger, teacher.prices, price)
        else:
            price = teacher.prices.get(report.asked_model)
            rules[rule] = spending + report_spending(report, price)
    return rules


def _report(ledger: Path) -> ShardReport | None:
    """Report next to a ledger; None if the shard is not finished."""
    name = ledger.name.replace(".ledger.jsonl", ".report.json")
    try:
        return ShardReport.read(ledger.with_name(name))
    except LaminiError:
        return None


@dataclass
class Rates:
    """Request rates of the running jobs, summed."""

    jobs: int = 0
    in_flight: int = 0
    requests_per_second: float = 0.0
    tokens_per_second: float = 0.0
    rate_limited: int = 0
    retries: int = 0


def current_rates(results: Path) -> Rates:
    """Sum over the progress files that jobs updated within the last minute."""
    rates = Rates()
    for path in (results / "progress").glob("*.json"):
        try:
            job = read_json(path)
            if job["state"] != "running" or seconds_since(job["updated"]) > _FRESH_SECONDS:
                continue
            seconds = max(float(job["seconds"]), 1e-9)
            tokens = job["prompt_tokens"] + job["completion_tokens"]
            rates.in_flight += job["in_flight"]
            rates.rate_limited += job["rate_limited"]
            rates.retries += job["retries"]
        except (LaminiError, KeyError, TypeError):
            continue  # not a progress file
        rates.jobs += 1
        rates.requests_per_second += job["answered"] / seconds
        rates.tokens_per_second += tokens / seconds
    return rates
