"""Scores with and without the evaluated examples that share words with the data (ours only).

If a student is ahead of its baseline because it has read the examples in training, it is less ahead
on the examples that it has not read. A student that was trained without the sharing pairs shows the
same in another way, as everything that was learned from them is missing.
"""

from collections.abc import Sequence
from pathlib import Path

from lamini.catalogue.params.common import ModelPair
from lamini.catalogue.params.evaluation import CleanScoresParams
from lamini.evaluation.comparison import Comparison
from lamini.evaluation.conditions import same_examples
from lamini.evaluation.results import EvaluationResult, ResultsByModel
from lamini.files import derive_seed
from lamini.tables.chance import chance_notes, compare_pair
from lamini.tables.contaminated import Searched, mean_score, searched_examples, values_of
from lamini.tables.evaluation_tables import average, read_scores
from lamini.tables.row_records import eval_files, pair_models
from lamini.tables.table import Cell, Table, signed_interval, text_cell

_COLUMNS = [
    *("Model", "Baseline", "Task", "Examples", "Sharing"),
    *("Model, all", "Model, without", "Baseline, all", "Baseline, without"),
    *("Difference, all", "Difference, without", "95 % interval", "Difference, sharing"),
]


def clean_scores_table(
    evals: list[Path], contamination: Path, examples: Path, params: CleanScoresParams
) -> Table:
    """Each model against its baseline, on all examples and without those that share words.

    Args:
        evals: evaluation results.
        contamination: CSV of the analysis.
        examples: Parquet of the sharing examples.
        params: models with their baselines, tasks, and the minimum length of a shared run.
    """
    results = read_scores(evals)
    searched = searched_examples(contamination, examples, params.mixture, params.words)
    rows, row_files = [], []
    for pair in params.pairs:
        names = [text_cell(pair.student.name), text_cell(pair.baseline.name)]
        means: list[list[float | None]] = []
        for task, title in params.tasks.items():
            both = [results[model.key][task] for model in (pair.student, pair.baseline)]
            sharing = _usable(searched.get(task), both)
            scores = [score for result in both for score in _scores(result, sharing)]
            means.append(scores)
            if sharing is None or sharing:
                shown = [Cell(both[0].examples, ours=True), _count(sharing)]
                cells = _score_cells(scores, _compared(results, pair, task, sharing, keep=False))
                alone = _compared(results, pair, task, sharing, keep=True)
                last = Cell(alone.difference if alone else None, ours=True, digits=1, signed=True)
                rows.append([*names, text_cell(title), *shown, *cells, last])
                row_files.append(eval_files(pair_models(pair), [task]))
        mean = _score_cells([average(column) for column in zip(*means, strict=True)], None)
        rows.append([*names, text_cell("mean of all tasks"), *[Cell(None)] * 2, *mean, Cell(None)])
        row_files.append(eval_files(pair_models(pair), params.tasks))
    return Table(
        columns=_COLUMNS,
        rows=rows,
        notes=[
            f"Sharing: examples that share {params.words} words in a row with a pair of the dataset"
            f" `{params.mixture}`; tasks without such examples are left out, but for the mean."
            " Without: on all other examples. The interval belongs to the difference without"
            " them.",
            "A difference that is larger with the sharing examples than without them is what"
            " reading them in training may have brought. A baseline of the same start that was"
            " trained on a decontaminated mixture has not read them.",
            *chance_notes(pair.seeds for pair in params.pairs),
            "–: the evaluated examples are not those that were searched, or none is left.",
        ],
        row_files=row_files,
    )


def _usable(
    searched: Searched | None, results: Sequence[EvaluationResult]
) -> frozenset[int] | None:
    """Rows of the sharing examples; None if the results are of other examples."""
    if searched is None or not same_examples(*results):
        return None
    return searched.sharing if all(map(searched.fits, results)) else None


def _scores(result: EvaluationResult, sharing: frozenset[int] | None) -> list[float | None]:
    """Score on all examples and on those that do not share a run."""
    if sharing is None:
        return [result.score, None]
    return [result.score, mean_score(values_of(result, sharing, keep=False))]


def _compared(
    results: ResultsByModel,
    pair: ModelPair,
    task: str,
    sharing: frozenset[int] | None,
    *,
    keep: bool,
) -> Comparison | None:
    """Comparison on the sharing examples (`keep`) or on the others; None without any."""
    if sharing is None:
        return None

    def kept(result: EvaluationResult) -> list[float]:
        return values_of(result, sharing, keep=keep)

    if not kept(results[pair.student.key][task]):
        return None
    return compare_pair(results, pair, task, derive_seed("clean_scores", task, keep), kept)


def _score_cells(scores: Sequence[float | None], compared: Comparison | None) -> list[Cell]:
    """Cells of the two models' scores, of their differences, and of the last one's interval."""
    shown = [Cell(score, ours=True, digits=1) for score in scores]
    own, own_clean, other, other_clean = scores
    for one, two in ((own, other), (own_clean, other_clean)):
        apart = None if one is None or two is None else one - two
        shown.append(Cell(apart, ours=True, digits=1, signed=True))
    return [*shown, text_cell(signed_interval(compared.interval) if compared else None)]


def _count(sharing: frozenset[int] | None) -> Cell:
    return Cell(None if sharing is None else len(sharing), ours=True)
