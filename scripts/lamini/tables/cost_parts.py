"""Costs of the run by source of the dataset, and by model."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lamini.catalogue.params.costs import CostByModelParams, CostBySourceParams
from lamini.paths import CHECKPOINT_MANIFEST, EVALUATION, RESULTS
from lamini.status.requests import RULES
from lamini.status.usage import Usage, read_usage, sum_usage
from lamini.tables.published import number, read_csv
from lamini.tables.row_records import ANSWER_FILES, source_files
from lamini.tables.rows import cells, column, headings, known_sum
from lamini.tables.table import Table

STEPS = {
    "train_model": "training",
    "generate_answers": "answers",
    "answer_questions": "answers",
    "build_model": "initial weights",
}
"""Columns of the rules whose wildcard is a model; evaluation has one rule for each batch."""

MODEL_FILES = (CHECKPOINT_MANIFEST, EVALUATION, *ANSWER_FILES)
"""Files of a model whose making is paid for."""


@dataclass(frozen=True)
class SourceCostRow:
    """A row of `cost_by_source_table`."""

    source: str = column("Source", ours=False)
    requests: int | None = column("Requests")
    prompt_tokens: int | None = column("Prompt tokens")
    completion_tokens: int | None = column("Completion tokens")
    dollars: float | None = column("US$", digits=2)
    hours: float | None = column("Hours of generation", digits=2)
    gpu_hours: float | None = column("GPU-hours", digits=2)


@dataclass(frozen=True)
class ModelCostRow:
    """A row of `cost_by_model_table`: hours of its jobs, and GPU-hours of all of them."""

    model: str = column("Model", ours=False)
    training: float | None = column("Training, hours", digits=2)
    evaluation: float | None = column("Evaluation, hours", digits=2)
    answers: float | None = column("Answers, hours", digits=2)
    hours: float | None = column("All, hours", digits=2)
    gpu_hours: float | None = column("GPU-hours", digits=2)
    memory: float | None = column("Peak memory, GiB", digits=1)


def cost_by_source_table(generation: Path, params: CostBySourceParams) -> Table:
    """Requests, tokens and dollars of each source, and the hours of the jobs that sent requests.

    Args:
        generation: CSV of requests and dollars.
        params: sources of the run.
    """
    asked: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in read_csv(generation):
        if row["stage"] in RULES:
            asked[row["source"]].append(row)
    used = _by_part(read_usage(RESULTS)[0], set(RULES.values()))
    rows = []
    for source, symbol in params.sources.items():
        sums = {
            name: known_sum(number(row.get(name)) for row in asked[source])
            for name in ("requests", "prompt_tokens", "completion_tokens", "dollars")
        }
        hours = sum_usage(used[source])
        rows.append(
            SourceCostRow(
                source=symbol,
                requests=_whole(sums["requests"]),
                prompt_tokens=_whole(sums["prompt_tokens"]),
                completion_tokens=_whole(sums["completion_tokens"]),
                dollars=sums["dollars"],
                hours=hours.seconds / 3600 if hours.jobs else None,
                gpu_hours=hours.gpu_hours if hours.jobs else None,
            )
        )
    return Table(
        columns=headings(SourceCostRow),
        rows=[cells(row) for row in rows],
        notes=[
            "US$: paid to the teacher, by the prices in the configuration. – : not asked, or not"
            " measured in this run."
        ],
        row_files=[source_files(source) for source in params.sources],
    )


def cost_by_model_table(params: CostByModelParams) -> Table:
    """Hours of training, evaluation and answers of each model.

    Args:
        params: models of the run, and the rules that evaluate.
    """
    rules = {**STEPS, **dict.fromkeys(params.evaluation_rules, "evaluation")}
    used = _by_part(read_usage(RESULTS)[0], set(rules))
    rows = []
    for key, name in params.models.items():
        steps: dict[str, list[Usage]] = defaultdict(list)
        for usage in used[key]:
            steps[rules[usage.rule]].append(usage)
        total = sum_usage(used[key])
        hours = {
            step: sum_usage(steps[step]).seconds / 3600 if steps[step] else None
            for step in ("training", "evaluation", "answers")
        }
        rows.append(
            ModelCostRow(
                model=name,
                **hours,
                hours=total.seconds / 3600 if total.jobs else None,
                gpu_hours=total.gpu_hours if total.jobs else None,
                memory=total.memory_mib / 1024 if total.jobs else None,
            )
        )
    return Table(
        columns=headings(ModelCostRow),
        rows=[cells(row) for row in rows],
        notes=["All: with the building of initial weights. – : no such job of this model."],
        row_files=[
            [pattern.format(model=key, task="*") for pattern in MODEL_FILES]
            for key in params.models
        ],
    )


def _by_part(usages: Iterable[Usage], rules: set[str]) -> dict[str, list[Usage]]:
    """Usages of some rules by their first wildcard, the source or the model."""
    parts: dict[str, list[Usage]] = defaultdict(list)
    for usage in usages:
        if usage.rule in rules:
            parts[usage.key.partition("/")[0]].append(usage)
    return parts


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
