"""Spending of all jobs of a run, and the budget check before each request.

Spending before this job started is read from the ledgers; spending of running jobs is read from
their progress files.
"""

import functools
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lamini.errors import LaminiError
from lamini.files import read_json
from lamini.settings.teacher import TOKEN_LIMITS, Price, Teacher
from lamini.teacher.completions import Completion
from lamini.teacher.ledger import packed_path, read_ledger
from lamini.teacher.report import ShardReport
from lamini.teacher.request import Spend, names_model

logger = logging.getLogger("lamini")

_REFRESH_SECONDS = 30.0
_CLOSE_REFRESH_SECONDS = 5.0
_CLOSE_SHARE = 0.8
"""Share of a budget from which on the other jobs' spending is read more often."""
_ACTIVE_SECONDS = 30.0  # a running job writes its progress file every five seconds
_BYTES_PER_TOKEN = 3  # less than in English text, so that estimates are upper limits
_ANSWER_TOKENS = 1024  # if the request has no `max_tokens`


def results_folder(ledger: Path) -> Path:
    """The results folder of a ledger; the ledger's folder if it is in no results folder."""
    return next((up for up in ledger.parents if up.name == "results"), ledger.parent)


def progress_files(ledger: Path) -> Path:
    """The folder of the jobs' progress files."""
    return results_folder(ledger) / "progress"


def find_ledgers(results: Path) -> list[Path]:
    """Plain paths of all ledgers below a folder, packed ones included, sorted."""
    suffix = ".ledger.jsonl"
    packed = {path.with_suffix("") for path in results.rglob(f"*{suffix}.zst")}
    return sorted({*results.rglob(f"*{suffix}"), *packed})


def dollars(
    price: Price | None,
    prompt_tokens: float,
    completion_tokens: float,
    *,
    cached_tokens: float = 0,
    batch: bool = False,
) -> float:
    """Cost of tokens in dollars, at the price of the live or Batch API; 0 if the price is None.

    Args:
        price: the model's price.
        prompt_tokens, completion_tokens: numbers of tokens.
        cached_tokens: number of prompt tokens from the endpoint's cache, part of `prompt_tokens`.
        batch: whether the Batch API answered.
    """
    if price is None:
        return 0.0
    cached_price = price.prompt if price.cached_prompt is None else price.cached_prompt
    prompt = (prompt_tokens - cached_tokens) * price.prompt + cached_tokens * cached_price
    live = (prompt + completion_tokens * price.completion) / 1e6
    return live * price.batch_share if batch else live


def most_tokens(payload: bytes, body: Mapping[str, object]) -> tuple[float, float]:
    """Estimated upper limits of a request's prompt and completion tokens."""
    limits = [limit for name in TOKEN_LIMITS if isinstance(limit := body.get(name), int)]
    return len(payload) / _BYTES_PER_TOKEN, max(limits, default=_ANSWER_TOKENS)


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """Price of a model; a dated name, such as `gpt-4-0613`, has the price of `gpt-4`."""
    named = [name for name in prices if names_model(model, name)]
    return prices[max(named, key=len)] if named else None


def _pricing(prices: Mapping[str, Price], otherwise: Price | None) -> Callable[..., Price | None]:
    """A function from names (of the model in the reply, then in the request) to the first price.

    `otherwise` if neither has one.
    """

    @functools.cache
    def price(*models: str) -> Price | None:
        candidates = (price_of(model, prices) for model in models)
        return next(filter(None, candidates), otherwise)

    return price


@dataclass(frozen=True, slots=True)
class Cost:
    """The quantities that a budget limits: dollars, and the sum of prompt and completion tokens."""

    dollars: float = 0.0
    tokens: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Sum."""
        return Cost(self.dollars + other.dollars, self.tokens + other.tokens)

    def __sub__(self, other: "Cost") -> "Cost":
        """Difference."""
        return Cost(self.dollars - other.dollars, self.tokens - other.tokens)

    @staticmethod
    def total(costs: "Iterable[Cost]") -> "Cost":
        """Sum of all costs."""
        return sum(costs, Cost())


@dataclass(frozen=True, slots=True)
class _Job:
    """Spending and state of a job, from its progress file."""

    ledger: str
    cost: Cost
    active: bool
    """Whether it sends requests now."""


def _job(path: Path) -> _Job | None:
    """The job of a progress file; None if it is none, or replaced while it is read."""
    try:
        job = read_json(path)
        cost = Cost(float(job.get("ledger_dollars", 0)), float(job.get("ledger_tokens", 0)))
        recent = time.time() - float(job.get("updated", 0)) < _ACTIVE_SECONDS
        return _Job(str(job["ledger"]), cost, recent and job.get("state") == "running")
    except (LaminiError, AttributeError, KeyError, TypeError, ValueError):
        return None


def _other_jobs(ledger: Path) -> Iterator[_Job]:
    """All jobs of the results folder but the one with this ledger."""
    own = str(ledger.resolve())
    for path in progress_files(ledger).glob("*.json"):
        job = _job(path)
        if job and job.ledger != own:
            yield job


def spent_before(progress: Path, ledger: Path) -> Cost:
    """Cost of the earlier sessions of a job, from its progress file; zero if there are none.

    It includes replies that were discarded and whose requests were not answered later: the ledger
    has no rows of them.
    """
    job = _job(progress)
    return job.cost if job and job.ledger == str(ledger.resolve()) else Cost()


def running_jobs(ledger: Path) -> int:
    """Number of jobs that send requests now, the one with this ledger included."""
    return 1 + sum(job.active for job in _other_jobs(ledger))


@dataclass
class Spending:
    """Number of answers, their tokens and their cost."""

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
        cached: int = 0,
        batch: bool = False,
    ) -> None:
        """Add answers; `prompt`, `completion` and `cached` are the sums of their tokens."""
        self.answers += answers
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        self.dollars += dollars(price, prompt, completion, cached_tokens=cached, batch=batch)

    @property
    def cost(self) -> Cost:
        """Dollars and tokens, as a budget counts them."""
        return Cost(self.dollars, self.prompt_tokens + self.completion_tokens)

    def __add__(self, other: "Spending") -> "Spending":
        """Sum."""
        return Spending(
            self.answers + other.answers,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.dollars + other.dollars,
        )


def ledger_spending(path: Path, prices: Mapping[str, Price], otherwise: Price | None) -> Spending:
    """Spending for the answers of one ledger.

    Args:
        path: plain path of the ledger.
        prices: prices by model.
        otherwise: price of answers if neither the model in the reply nor the model in the request
            has a price.
    """
    spending, price = Spending(), _pricing(prices, otherwise)
    for row in read_ledger(path):
        spending.add(
            row.get("prompt_tokens", 0) + row.get("discarded_prompt_tokens", 0),
            row.get("completion_tokens", 0) + row.get("discarded_completion_tokens", 0),
            price(row.get("model", ""), row.get("asked", "")),
            cached=row.get("cached_tokens", 0),
            batch=bool(row.get("batch")),
        )
    return spending


def report_spending(report: ShardReport, price: Price | None) -> Spending:
    """Spending for the answers of a finished shard, from its report."""
    prompt, completion = report.batch_prompt_tokens, report.batch_completion_tokens
    cached = report.batch_cached_tokens
    spending = Spending()
    spending.add(prompt, completion, price, report.requests, cached=cached, batch=True)
    live = (report.prompt_tokens - prompt, report.completion_tokens - completion)
    spending.add(*live, price, answers=0, cached=report.cached_tokens - cached)
    return spending


_NOTHING = Cost()


class Budget:
    """Checks `budget_dollars` and `budget_tokens` over all ledgers of the results folder.

    Spending of other running jobs is read every half minute, and every five seconds near the limit,
    so parallel jobs may exceed the budget by their spending of that time.

    Args:
        settings: the budgets and the prices.
        ledger: this job's ledger; `pay` counts its new answers.
        before: cost of the job's earlier sessions (`spent_before`), if it is above the ledger's.
    """

    def __init__(self, settings: Teacher, ledger: Path, before: Cost = _NOTHING) -> None:
        self._dollars, self._tokens = settings.budget_dollars, settings.budget_tokens
        self.short_of = ""
        """The exhausted budget, `dollars` or `tokens`, after `allows` returned False."""
        self.limited = self._dollars is not None or self._tokens is not None
        self._price = settings.prices.get(settings.model)
        self._prices = settings.prices
        self._price_of = _pricing(settings.prices, self._price)
        self._told_estimates = False
        self._ledger = ledger
        self._ledgers: dict[str, Cost] = {}
        self._refreshed = 0.0
        self._others = Cost()
        self.spent = Cost()
        """Cost of the answers in this job's ledger."""
        if self.limited:
            self._read_ledgers()
            self.spent = before if before.tokens > self.spent.tokens else self.spent

    def most(self, prompt_tokens: float, answer_tokens: float, *, batch: bool) -> Cost:
        """Cost of a request with these numbers of tokens."""
        price = dollars(self._price, prompt_tokens, answer_tokens, batch=batch)
        return Cost(price, prompt_tokens + answer_tokens)

    def counted(self, completion: Completion, prompt_tokens: float) -> Completion:
        """An answer with its numbers of tokens; estimated if the reply has none.

        Args:
            completion: the answer.
            prompt_tokens: upper limit of the prompt's tokens.
        """
        if completion.told or completion.refusal:
            return completion
        if not self._told_estimates:
            self._told_estimates = True
            logger.warning("the endpoint does not tell numbers of tokens; they are estimated")
        written = len((completion.text + completion.thoughts).encode())
        return replace(
            completion,
            prompt_tokens=max(completion.prompt_tokens, math.ceil(prompt_tokens)),
            completion_tokens=max(
                completion.completion_tokens, math.ceil(written / _BYTES_PER_TOKEN)
            ),
        )

    def pay(self, spend: Spend, completion: Completion, *, batch: bool = False) -> None:
        """Add an answer to `spent` and to the session's `spend`."""
        prompt, answer = completion.prompt_tokens, completion.completion_tokens
        price, cached = self._price_of(completion.model), completion.cached_tokens
        paid = dollars(price, prompt, answer, cached_tokens=cached, batch=batch)
        spend.prompt_tokens += prompt
        spend.completion_tokens += answer
        spend.dollars += paid
        self.spent += Cost(paid, prompt + answer)

    def allows(self, reserved: Cost, estimate: Cost = _NOTHING) -> bool:
        """Whether a request may be sent.

        Args:
            reserved: upper limit of the cost of the requests in flight.
            estimate: upper limit of the cost of this request.
        """
        if not self.limited:
            return True
        now = time.monotonic()
        if now - self._refreshed >= self._refresh_seconds():
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

    def _refresh_seconds(self) -> float:
        spent = self.spent + self._others
        near = (self._dollars is not None and spent.dollars > _CLOSE_SHARE * self._dollars) or (
            self._tokens is not None and spent.tokens > _CLOSE_SHARE * self._tokens
        )
        return _CLOSE_REFRESH_SECONDS if near else _REFRESH_SECONDS

    def exhausted(self) -> LaminiError:
        """The error that stops the job after `allows` returned False."""
        spent = self.spent + self._others
        of = (
            f"${spent.dollars:.4f} of ${self._dollars:.4f}"
            if self.short_of == "dollars"
            else f"{spent.tokens:,.0f} of {self._tokens:,} tokens"
        )
        return LaminiError(
            f"the budget is used up: {of} are spent and the next request might exceed it; raise"
            f" teacher.budget_{self.short_of} to continue (answers so far are kept)"
        )

    def _read_ledgers(self) -> None:
        for path in {*find_ledgers(results_folder(self._ledger)), self._ledger}:
            if not path.exists() and not packed_path(path).exists():
                continue
            paid = ledger_spending(path, self._prices, self._price)
            self._ledgers[str(path.resolve())] = paid.cost
        self.spent = self._ledgers.pop(str(self._ledger.resolve()), Cost())

    def _read_progress(self) -> None:
        """Sum the spending of other jobs; progress files are newer than the ledgers as read."""
        spent = dict(self._ledgers)
        for job in _other_jobs(self._ledger):
            before = spent.get(job.ledger, Cost())
            spent[job.ledger] = job.cost if job.cost.tokens > before.tokens else before
        self._others = Cost.total(spent.values())
