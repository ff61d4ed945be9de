"""Scores by task: ours, the paper's, the difference with its known reasons, and the scores on
examples that share no long run of words with the dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lamini.catalogue.params.common import ScoredModel
from lamini.catalogue.params.evaluation import TaskDescription, TaskScoresParams
from lamini.evaluation.conditions import conditions_of, differing_names, published_conditions
from lamini.evaluation.results import EvaluationResult
from lamini.tables.average_tables import MILLION
from lamini.tables.chance import one_seed_note
from lamini.tables.contaminated import Searched, mean_score, searched_examples, values_of
from lamini.tables.evaluation_tables import average, read_scores
from lamini.tables.published import published_scores, read_csv
from lamini.tables.reproduction_table import GROUPS, replication_notes
from lamini.tables.row_records import eval_files
from lamini.tables.rows import cells, column, headings
from lamini.tables.table import Table

NONE_KNOWN = "nothing known"
OVER_ALL = "Means are over all models of the group; published values and differences are over those"


@dataclass(frozen=True)
class TaskScoreRow:
    """A row of `task_scores_table`: one model on one task."""

    task: str = column("Task", ours=False)
    model: str = column("Model", ours=False)
    group: str = column("Models", ours=False)
    parameters: float = column("Parameters, M", ours=False, digits=1)
    score: float = column("Ours", digits=1)
    published: float | None = column("Published", ours=False, digits=1)
    difference: float | None = column("Difference", digits=1, signed=True)
    within: str | None = column("Published within our 95 % interval", ours=False)
    reasons: str | None = column("Measured differently", ours=False)
    clean_score: float | None = column("Ours without contaminated examples", digits=1)
    clean_change: float | None = column("Change", digits=1, signed=True)


@dataclass(frozen=True)
class TaskRow:
    """A row of `by_task_table`: the students, or the reference models, on one task."""

    task: str = column("Task", ours=False)
    group: str = column("Models", ours=False)
    models: int = column("How many")
    metric: str = column("Metric", ours=False)
    protocol: str = column("Protocol", ours=False)
    examples: int = column("Examples")
    published_examples: int = column("Published examples", ours=False)
    mean: float | None = column("Mean of ours", digits=1)
    published: float | None = column("Mean published", ours=False, digits=1)
    compared: int = column("Compared")
    difference: float | None = column("Mean difference", digits=1, signed=True)
    outside: int | None = column("Published outside our 95 % interval")
    reasons: str | None = column("Measured differently", ours=False)
    contaminated: int | None = column("Contaminated examples")
    clean_mean: float | None = column("Mean without them", digits=1)


def task_scores_table(
    *,
    evals: list[Path],
    published: Path,
    tasks: Path,
    contamination: Path,
    contaminated: Path,
    params: TaskScoresParams,
) -> Table:
    """One row per task and model.

    Args:
        evals: evaluation results.
        published: CSV of published scores.
        tasks: CSV of the paper's tasks.
        contamination: CSV of the analysis.
        contaminated: Parquet of the examples that share words with the dataset.
        params: models, tasks, and what counts as contaminated.
    """
    searched = searched_examples(contamination, contaminated, params.mixture, params.words)
    groups = _measured(evals, published, tasks, searched, params)
    rows = [row for group in groups for row in group.rows]
    return Table(
        columns=headings(TaskScoreRow),
        rows=[cells(row) for row in rows],
        notes=_notes(params),
        row_files=[eval_files([m], [group.first.task]) for group in groups for m in group.models],
    )


def by_task_table(
    *,
    evals: list[Path],
    published: Path,
    tasks: Path,
    contamination: Path,
    contaminated: Path,
    params: TaskScoresParams,
) -> Table:
    """One row per task and group of models; files and params as for `task_scores_table`."""
    searched = searched_examples(contamination, contaminated, params.mixture, params.words)
    groups = _measured(evals, published, tasks, searched, params)
    return Table(
        columns=headings(TaskRow),
        rows=[cells(_summary(group, params)) for group in groups],
        notes=[f"{OVER_ALL} that are in the paper.", *_notes(params)],
        row_files=[eval_files(group.models, [group.first.task]) for group in groups],
    )


@dataclass(frozen=True)
class _Group:
    """The students, or the reference models, on one task."""

    task: TaskDescription
    first: EvaluationResult
    searched: Searched | None
    models: list[str]
    """Key of the model of each row."""
    rows: list[TaskScoreRow]


def _measured(
    evals: list[Path],
    published: Path,
    tasks: Path,
    searched: Mapping[str, Searched],
    params: TaskScoresParams,
) -> list[_Group]:
    results = read_scores(evals)
    scores = published_scores(published)
    metrics = {row["dataset"]: row["metric"] for row in read_csv(tasks)}
    groups = []
    for key, task in params.tasks.items():
        for role in GROUPS:
            models = [model for model in params.models if model.role == role]
            rows = []
            for model in models:
                result = results[model.key][key]
                theirs = scores.get(model.name, {}).get(task.name)
                reasons = _reasons(result, metrics.get(task.name))
                rows.append(
                    _row(
                        model,
                        task,
                        result,
                        theirs=theirs,
                        reasons=reasons,
                        searched=searched.get(key),
                    )
                )
            if models:
                first = results[models[0].key][key]
                keys = [model.key for model in models]
                groups.append(_Group(task, first, searched.get(key), keys, rows))
    return groups


def _row(
    model: ScoredModel,
    task: TaskDescription,
    result: EvaluationResult,
    *,
    theirs: float | None,
    reasons: str,
    searched: Searched | None,
) -> TaskScoreRow:
    within = None
    if theirs is not None and result.interval is not None:
        within = "yes" if result.interval[0] <= theirs <= result.interval[1] else "no"
    clean, whole = None, mean_score(result.values)
    if searched is not None and searched.fits(result):
        clean = mean_score(values_of(result, searched.sharing, keep=False))
    return TaskScoreRow(
        task=task.name,
        model=model.name,
        group=GROUPS[model.role],
        parameters=model.parameters / MILLION,
        score=result.score,
        published=theirs,
        difference=None if theirs is None else result.score - theirs,
        within=within,
        reasons=None if theirs is None else reasons,
        clean_score=clean,
        clean_change=None if clean is None or whole is None else clean - whole,
    )


def _reasons(result: EvaluationResult, metric: str | None) -> str:
    """Known differences to the paper's measurement: protocol, number of examples, metric."""
    ours, paper = conditions_of(result), published_conditions(result)
    if metric is not None:
        ours, paper = ours | {"metric": result.metric}, paper | {"metric": metric}
    reasons = [
        f"{name} {ours[name]}, in the paper {paper[name]}" for name in differing_names(ours, paper)
    ]
    return "; ".join(reasons) or NONE_KNOWN


def _summary(group: _Group, params: TaskScoresParams) -> TaskRow:
    rows, first = group.rows, group.first
    compared = [row for row in rows if row.published is not None]
    judged = [row.within for row in rows if row.within is not None]
    # A replication's students are not expected to have the paper's scores.
    verdict = params.another_teacher is None or rows[0].group != GROUPS["student"]
    distinct = dict.fromkeys(row.reasons for row in compared if row.reasons)
    return TaskRow(
        task=group.task.name,
        group=rows[0].group,
        models=len(rows),
        metric=first.metric,
        protocol=first.protocol,
        examples=first.examples,
        published_examples=first.examples_published,
        mean=average(row.score for row in rows),
        published=average(row.published for row in compared),
        compared=len(compared),
        difference=average(row.difference for row in compared),
        outside=judged.count("no") if judged and verdict else None,
        reasons=" / ".join(distinct) or None,
        contaminated=None if group.searched is None else len(group.searched.sharing),
        clean_mean=average(row.clean_score for row in rows),
    )


def _notes(params: TaskScoresParams) -> list[str]:
    return [
        f"Contaminated examples share {params.words} words in a row with a pair of"
        f" `{params.mixture}`.",
        "Measured differently: what is known to differ from the paper. The paper does not publish"
        " its software and precision, so a difference can have other causes.",
        one_seed_note(),
        *replication_notes(params.another_teacher),
    ]
