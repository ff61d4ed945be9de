"""Significance tests of the students' improvements over their initializations (ours only)."""

from pathlib import Path

from lamini.catalogue.params.evaluation import ImprovementParams
from lamini.evaluation.comparison import LEVEL, Comparison, holm
from lamini.evaluation.conditions import conditions_of, differing
from lamini.files import derive_seed
from lamini.tables.chance import chance_notes, compare_pair
from lamini.tables.evaluation_tables import read_scores
from lamini.tables.footnotes import Footnotes
from lamini.tables.published import number, read_csv
from lamini.tables.row_records import eval_files, pair_models
from lamini.tables.table import Cell, Table, signed_interval, text_cell


def improvement_table(evals: list[Path], contamination: Path, params: ImprovementParams) -> Table:
    """Each student against its initialization (`baseline`), task by task.

    Args:
        evals: evaluation results.
        contamination: CSV of the analysis.
        params: students with their initializations, tasks, and the meaning of contamination.
    """
    results = read_scores(evals)
    shares = _contaminated(contamination, params)
    footnotes = Footnotes("the baseline")
    measured = []
    for pair in params.pairs:
        for task, title in params.tasks.items():
            before, after = (results[m.key][task] for m in (pair.baseline, pair.student))
            differences = differing(conditions_of(before), conditions_of(after))
            mark = footnotes.suffix(f"{pair.student.name}, {title}", differences)
            compared = compare_pair(results, pair, task, derive_seed("improvement", task))
            measured.append((pair, task, title, before, after, compared, mark))
    tested = [compared.p_value for *_, compared, _ in measured if compared]
    corrected = iter(holm(tested))
    rows = [
        [
            *map(text_cell, (pair.student.name, pair.baseline.name, title)),
            Cell(before.score, ours=True, digits=1),
            Cell(after.score, ours=True, digits=1),
            *_difference(compared, next(corrected) if compared else None, mark),
            Cell(shares.get(task), ours=True, digits=1),
        ]
        for pair, task, title, before, after, compared, mark in measured
    ]
    return Table(
        columns=[
            "Student",
            "Baseline",
            "Task",
            "Baseline's score",
            "Student's score",
            "Difference",
            "95 % interval",
            "p",
            "p (Holm)",
            "Contaminated examples, %",
        ],
        rows=rows,
        notes=[
            "p: exact McNemar test where an example is right or wrong, else a permutation of signs;"
            " with several seeds, that of a mixed model. The interval belongs to this test: it"
            " leaves out 0 exactly where p is below 0.05.",
            *chance_notes(pair.seeds for pair in params.pairs),
            f"p (Holm): p corrected for the {len(tested)} comparisons of this table by Holm's"
            " method; bold where it is below 0.05.",
            f"Contaminated: examples that share {params.words} words in a row with a pair of the"
            " dataset, of those with as many words.",
            *footnotes.notes(),
        ],
        row_files=[eval_files(pair_models(pair), [task]) for pair, task, *_ in measured],
    )


def _difference(compared: Comparison | None, corrected: float | None, mark: str) -> list[Cell]:
    if compared is None or corrected is None:
        return [Cell(None, suffix=mark), *[Cell(None)] * 3]
    return [
        Cell(
            compared.difference,
            ours=True,
            digits=1,
            bold=corrected < LEVEL,
            signed=True,
            suffix=mark,
        ),
        text_cell(signed_interval(compared.interval)),
        Cell(compared.p_value, ours=True, digits=4),
        Cell(corrected, ours=True, digits=4),
    ]


def _contaminated(path: Path, params: ImprovementParams) -> dict[str, float | None]:
    """Percentage of contaminated examples, by task."""
    shares: dict[str, float | None] = {}
    for row in read_csv(path):
        if row["instruction_source"] == params.mixture:
            shared = number(row[f"examples_{params.words}"])
            of = number(row["comparable_examples"])
            shares[row["task"]] = 100 * shared / of if of and shared is not None else None
    return shares
