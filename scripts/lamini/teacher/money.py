"""What was spent, by all jobs of the run, and whether the next request may still be sent.

The ledgers say what was spent before; the progress files of jobs that run now say the rest.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_json
from lamini.settings.teacher import Price, Teacher
from lamini.teacher.ledger import packed_path, read_ledger
from lamini.teacher.request import TOKENS, Spend

_REFRESH_SECONDS = 5.0
_BYTES_PER_TOKEN = 3  # fewer than English has, so that estimates are on the safe side
_ANSWER_TOKENS = 1024  # where the request itself sets no limit


def results_folder(ledger: Path) -> Path:
    """The results folder that a ledger lies in; its own folder outside of one."""
    return next((up for up in ledger.parents if up.name == "results"), ledger.parent)


def progress_files(ledger: Path) -> Path:
    """The folder of the jobs' progress files."""
    return results_folder(ledger) / "progress"


def find_ledgers(results: Path) -> list[Path]:
    """All ledgers below a folder, by their plain names, sorted."""
    suffix = ".ledger.jsonl"
    packed = {path.with_suffix("") for path in results.rglob(f"*{suffix}.zst")}
    return sorted({*results.rglob(f"*{suffix}"), *packed})


def dollars(
    price: Price | None, prompt_tokens: float, completion_tokens: float, *, batch: bool = False
) -> float:
    """Cost of so many tokens, by the live or the Batch API; 0 for a model without a price."""
    if price is None:
        return 0.0
    live = (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6
    return live * price.batch_share if batch else live


def most_tokens(payload: bytes, max_tokens: object) -> tuple[float, float]:
    """The most prompt and completion tokens that a request is likely to take."""
    answer = max_tokens if isinstance(max_tokens, int) else _ANSWER_TOKENS
    return len(payload) / _BYTES_PER_TOKEN, answer


@dataclass(frozen=True, slots=True)
class Cost:
    """What a budget may limit: dollars, and tokens of prompts and answers together."""

    dollars: float = 0.0
    tokens: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Both together."""
        return Cost(self.dollars + other.dollars, self.tokens + other.tokens)

    def __sub__(self, other: "Cost") -> "Cost":
        """What is left of it without the other."""
        return Cost(self.dollars - other.dollars, self.tokens - other.tokens)

    @staticmethod
    def total(costs: "Iterable[Cost]") -> "Cost":
        """All together."""
        return sum(costs, Cost())


@dataclass
class Spending:
    """Answers, their tokens, and what they cost."""

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float = 0.0

    def add(
        self,
        prompt: int,
        completion: int,
        price: Price | None,
        answers: int = 1,
        *,
        batch: bool = False,
    ) -> None:
        """Count answers of so many tokens together."""
        self.answers += answers
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        self.dollars += dollars(price, prompt, completion, batch=batch)

    @property
    def cost(self) -> Cost:
        """What a budget sees of it."""
        return Cost(self.dollars, self.prompt_tokens + self.completion_tokens)

    def __add__(self, other: "Spending") -> "Spending":
        """Both together."""
        return Spending(
            self.answers + other.answers,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.dollars + other.dollars,
        )


def ledger_spending(path: Path, prices: Mapping[str, Price], otherwise: Price | None) -> Spending:
    """What the answers of one ledger took.

    Args:
        path: the ledger, by its plain name.
        prices: by model.
        otherwise: of models that the endpoint calls by a name without a price.
    """
    spending = Spending()
    for row in read_ledger(path):
        spending.add(
            row.get("prompt_tokens", 0),
            row.get("completion_tokens", 0),
            prices.get(row.get("model", ""), otherwise),
            batch=bool(row.get("batch")),
        )
    return spending


def report_spending(report: Mapping[str, Any], price: Price | None) -> Spending:
    """What the answers of a finished shard took, by its report."""
    prompt, completion = (report.get(f"batch_{kind}", 0) for kind in TOKENS)
    spending = Spending()
    spending.add(prompt, completion, price, report["requests"], batch=True)
    live = (report["prompt_tokens"] - prompt, report["completion_tokens"] - completion)
    spending.add(*live, price, answers=0)
    return spending


_NOTHING = Cost()


class Budget:
    """Watches `budget_dollars` and `budget_tokens` over all ledgers of the results folder.

    Other jobs' latest spending is known to within five seconds, so jobs side by side may pass the
    budget by what they spend in that time.

    Args:
        settings: the budgets and the prices.
        ledger: this job's ledger, counted by `pay`.
    """

    def __init__(self, settings: Teacher, ledger: Path) -> None:
        self._dollars, self._tokens = settings.budget_dollars, settings.budget_tokens
        self.short_of = ""
        """What there was too little of when `allows` last said no: `dollars` or `tokens`."""
        self.limited = self._dollars is not None or self._tokens is not None
        self._price = settings.prices.get(settings.model)
        self._prices = settings.prices
        self._ledger = ledger
        self._ledgers: dict[str, Cost] = {}
        self._refreshed = 0.0
        self._others = Cost()
        self.spent = Cost()
        """What this job's ledger holds."""
        if self.limited:
            self._read_ledgers()

    def most(self, prompt_tokens: float, answer_tokens: float, *, batch: bool) -> Cost:
        """What a request of at most so many tokens may cost."""
        price = dollars(self._price, prompt_tokens, answer_tokens, batch=batch)
        return Cost(price, prompt_tokens + answer_tokens)

    def pay(
        self, spend: Spend, prompt_tokens: int, completion_tokens: int, *, batch: bool = False
    ) -> None:
        """Count an answer, here and in the session's `spend`."""
        cost = self.most(prompt_tokens, completion_tokens, batch=batch)
        spend.prompt_tokens += prompt_tokens
        spend.completion_tokens += completion_tokens
        spend.dollars += cost.dollars
        self.spent += cost

    def allows(self, reserved: Cost, estimate: Cost = _NOTHING) -> bool:
        """Whether a request may be sent.

        Args:
            reserved: what requests in flight may cost.
            estimate: what this one may cost.
        """
        if not self.limited:
            return True
        now = time.monotonic()
        if now - self._refreshed >= _REFRESH_SECONDS:
            self._refreshed = now
            self._read_progress()
        total = self.spent + self._others + reserved + estimate
        if self._dollars is not None and total.dollars > self._dollars:
            self.short_of = "dollars"
        elif self._tokens is not None and total.tokens > self._tokens:
            self.short_of = "tokens"
        else:
            return True
        return False

    def exhausted(self) -> LaminiError:
        """The error that stops the job, once `allows` said no."""
        spent = self.spent + self._others
        of = (
            f"${spent.dollars:.4f} of ${self._dollars:.4f}"
            if self.short_of == "dollars"
            else f"{spent.tokens:,.0f} of {self._tokens:,} tokens"
        )
        return LaminiError(
            f"the budget is used up: {of} are spent and the next request might pass it; raise"
            f" teacher.budget_{self.short_of} to go on (answers so far are kept)"
        )

    def _read_ledgers(self) -> None:
        for path in {*find_ledgers(results_folder(self._ledger)), self._ledger}:
            if not path.exists() and not packed_path(path).exists():
                continue
            paid = ledger_spending(path, self._prices, self._price)
            self._ledgers[str(path.resolve())] = paid.cost
        self.spent = self._ledgers.pop(str(self._ledger.resolve()), Cost())

    def _read_progress(self) -> None:
        """Add up the others: a running job's file knows more than its ledger did at the start."""
        spent = dict(self._ledgers)
        for path in progress_files(self._ledger).glob("*.json"):
            try:
                job = read_json(path)
                name = str(job["ledger"])
                known = Cost(float(job["ledger_dollars"]), float(job["ledger_tokens"]))
            except (LaminiError, KeyError, TypeError, ValueError):
                continue  # not a job's file, or replaced while it was read
            if name != str(self._ledger.resolve()):
                before = spent.get(name, Cost())
                spent[name] = known if known.tokens > before.tokens else before
        self._others = Cost.total(spent.values())
