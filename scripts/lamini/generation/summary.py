"""`analysis/generation.csv`: requests, accepted and rejected rows, tokens and cost by stage."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from lamini.files import atomic_writer
from lamini.generation.parsing.examples import Reason
from lamini.generation.reports import InstructionReport, PairReport, PromptFunnel, QueryFunnel
from lamini.settings.params.generation import Prices
from lamini.teacher.money import report_spending
from lamini.teacher.report import ShardReport

FLAGS = ("refusal", "empty", "truncated")
STAGES = ("prompts", "instructions", "queries", "pairs")
COLUMNS = (
    "source",
    "stage",
    "shards",
    "wanted",
    "accepted",
    "requests",
    "asked",
    "well_formed",
    "parse_rate",
    *(f"rejected_{reason}" for reason in get_args(Reason)),
    "rejected_rows",
    *(f"flagged_{flag}" for flag in FLAGS),
    "prompt_tokens",
    "completion_tokens",
    "dollars",
    "model",
)
AnyReport = TypeVar("AnyReport", bound=ShardReport)


def summarize_generation(
    *,
    prompts: Sequence[Path],
    instructions: Sequence[Path],
    queries: Sequence[Path],
    pairs: Sequence[Path],
    summary: Path,
    prices: Prices,
) -> None:
    """Sum the funnels and reports of all shards into one row per source and stage.

    Columns of `instructions`: `asked` (requests times instructions per request), `well_formed`
    (instructions that the parser accepted), `parse_rate` = well_formed / asked, `rejected_*` by
    reason. Columns of `pairs`: `accepted` (answers that are not empty), `flagged_*`. Columns of
    `prompts` and `queries`: rows read (`wanted`), rows left (`accepted`) and unreadable or
    duplicate rows (`rejected_rows`). `dollars` is the cost of the tokens for models with a price;
    tokens of batches cost the Batch API's share of it. `model`: the model in the requests.

    Args:
        prompts: funnels of `prepare_prompts`.
        instructions: reports of `generate_instructions`.
        queries: funnels of `select_queries`.
        pairs: reports of `generate_pairs`.
        summary: the CSV to write.
        prices: dollars per million tokens and the Batch API's share of them, by model.
    """
    rows = [_prompt_row(PromptFunnel.read(path)) for path in prompts]
    rows += [_query_row(QueryFunnel.read(path)) for path in queries]
    shards_by_source = _by_source(InstructionReport.read(path) for path in instructions)
    rows += [_instruction_row(shards, prices) for shards in shards_by_source]
    answered = _by_source(PairReport.read(path) for path in pairs)
    rows += [_pair_row(shards, prices) for shards in answered]
    sources = list(dict.fromkeys(row["source"] for row in rows))
    rows.sort(key=lambda row: (sources.index(row["source"]), STAGES.index(row["stage"])))
    with atomic_writer(summary) as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _prompt_row(funnel: PromptFunnel) -> dict[str, Any]:
    return {
        "source": funnel.source,
        "stage": "prompts",
        "shards": 1,
        "wanted": funnel.read_rows,
        "accepted": funnel.left,
        "rejected_rows": sum(funnel.rejected.values()),
    }


def _query_row(funnel: QueryFunnel) -> dict[str, Any]:
    return {
        "source": funnel.source,
        "stage": "queries",
        "shards": funnel.shards,
        "wanted": funnel.read_rows,
        "accepted": funnel.left,
        "rejected_rows": funnel.read_rows - funnel.left,
    }


def _by_source(reports: Iterable[AnyReport]) -> Iterable[list[AnyReport]]:
    """Reports of each source's shards."""
    sources: dict[str, list[AnyReport]] = {}
    for report in reports:
        sources.setdefault(report.source, []).append(report)
    return sources.values()


def _report_row(shards: Sequence[ShardReport], prices: Prices) -> dict[str, Any]:
    """Columns of both stages with requests to the teacher, for one source."""
    dollars = [_dollars(shard, prices) for shard in shards]
    return {
        "source": shards[0].source,
        "stage": shards[0].stage,
        "shards": len(shards),
        "wanted": sum(shard.wanted for shard in shards),
        "accepted": sum(shard.accepted for shard in shards),
        "requests": sum(shard.requests for shard in shards),
        "prompt_tokens": sum(shard.prompt_tokens for shard in shards),
        "completion_tokens": sum(shard.completion_tokens for shard in shards),
        "dollars": "" if None in dollars else f"{sum(d or 0.0 for d in dollars):.6f}",
        "model": ", ".join(dict.fromkeys(shard.asked_model for shard in shards)),
    }


def _instruction_row(shards: Sequence[InstructionReport], prices: Prices) -> dict[str, Any]:
    requested = sum(shard.asked for shard in shards)
    well_formed = sum(shard.well_formed for shard in shards)
    rejected = sum((Counter(shard.rejected) for shard in shards), Counter[str]())
    return _report_row(shards, prices) | {
        "asked": requested,
        "well_formed": well_formed,
        "parse_rate": f"{well_formed / requested:.4f}",
        **{f"rejected_{reason}": rejected[reason] for reason in get_args(Reason)},
    }


def _pair_row(shards: Sequence[PairReport], prices: Prices) -> dict[str, Any]:
    flags = sum((Counter(shard.flags) for shard in shards), Counter[str]())
    return _report_row(shards, prices) | {f"flagged_{flag}": flags[flag] for flag in FLAGS}


def _dollars(shard: ShardReport, prices: Prices) -> float | None:
    """Cost of a shard's tokens; None if its model has no price."""
    price = prices.get(shard.asked_model)
    return None if price is None else report_spending(shard, price).dollars
