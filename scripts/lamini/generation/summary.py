"""`analysis/generation.csv`: requests, accepted and rejected rows, tokens and cost by stage."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from lamini.files import atomic_writer, read_json
from lamini.generation.parsing import Reason
from lamini.settings.params import Prices
from lamini.settings.teacher import Price
from lamini.teacher.money import report_spending

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
Row = dict[str, Any]


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
    tokens of batches cost the Batch API's share of it. `model`: the model that was asked.

    Args:
        prompts: funnels of `prepare_prompts`.
        instructions: reports of `generate_instructions`.
        queries: funnels of `select_queries`.
        pairs: reports of `generate_pairs`.
        summary: the CSV to write.
        prices: dollars per million tokens and the Batch API's share of them, by model.
    """
    rows = [_funnel_row(read_json(path), "prompts") for path in prompts]
    rows += [_funnel_row(read_json(path), "queries") for path in queries]
    rows += _report_rows([read_json(path) for path in instructions], prices)
    rows += _report_rows([read_json(path) for path in pairs], prices)
    sources = list(dict.fromkeys(row["source"] for row in rows))
    rows.sort(key=lambda row: (sources.index(row["source"]), STAGES.index(row["stage"])))
    with atomic_writer(summary) as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _funnel_row(funnel: Row, stage: str) -> Row:
    first, last = funnel["stages"][0]["left"], funnel["stages"][-1]["left"]
    rejected = first - last if stage == "queries" else sum(funnel["rejected"].values())
    return {
        "source": funnel["source"],
        "stage": stage,
        "shards": funnel.get("shards", 1),
        "wanted": first,
        "accepted": last,
        "rejected_rows": rejected,
    }


def _report_rows(reports: list[Row], prices: dict[str, Price]) -> list[Row]:
    """One row per source, for a stage with teacher requests."""
    sources: dict[str, list[Row]] = {}
    for report in reports:
        sources.setdefault(report["source"], []).append(report)
    return [_report_row(source, shards, prices) for source, shards in sources.items()]


def _report_row(source: str, shards: list[Row], prices: dict[str, Price]) -> Row:
    numbers: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    dollars: list[float | None] = []
    for shard in shards:
        numbers.update({key: value for key, value in shard.items() if isinstance(value, int)})
        rejected.update(shard.get("rejected", {}))
        flags.update(shard.get("flags", {}))
        dollars.append(_dollars(shard, prices))
    stage = shards[0]["stage"]
    row: Row = {
        "source": source,
        "stage": stage,
        "shards": len(shards),
        "dollars": "" if None in dollars else f"{sum(d or 0.0 for d in dollars):.6f}",
        "model": ", ".join(dict.fromkeys(shard["asked_model"] for shard in shards)),
        **{key: numbers[key] for key in ("wanted", "accepted", "requests")},
        **{key: numbers[key] for key in ("prompt_tokens", "completion_tokens")},
    }
    if stage == "pairs":
        return row | {f"flagged_{flag}": flags[flag] for flag in FLAGS}
    return row | {
        "asked": numbers["asked"],
        "well_formed": numbers["well_formed"],
        "parse_rate": f"{numbers['well_formed'] / numbers['asked']:.4f}",
        **{f"rejected_{reason}": rejected[reason] for reason in get_args(Reason)},
    }


def _dollars(shard: Row, prices: dict[str, Price]) -> float | None:
    """Cost of a shard's tokens; None if its model has no price."""
    price = prices.get(shard["asked_model"])
    if price is None:
        return None
    return report_spending(shard, price).dollars
