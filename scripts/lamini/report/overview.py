"""The first screen: the result, agreement with the paper, and costs."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from lamini.human_evaluation.summary import RatingSummary
from lamini.tables.average_tables import AverageRow
from lamini.tables.cost_table import ALL as ALL_RULES
from lamini.tables.cost_table import CostRow
from lamini.tables.dataset_tables import GenerationRow
from lamini.tables.evaluation_tables import average
from lamini.tables.reproduction_table import ALL as ALL_FAMILIES
from lamini.tables.reproduction_table import GROUPS, ReproductionRow
from lamini.tables.rows import known_sum, read_rows
from lamini.tables.table_file import TableFile, number_of
from lamini.tables.task_tables import TaskRow

SIZES = ((100, "under 100M"), (300, "100M to 300M"), (1000, "300M to 1B"), (3000, "1B to 3B"))
"""Classes of sizes: upper end in millions of parameters, and name."""
LARGEST = "3B and more"


@dataclass(frozen=True)
class Result:
    """What the students reach, on average over the tasks. None: not measured."""

    students: int
    average: float | None
    """Mean of the students' averages."""
    gain: float | None
    """Mean gain over the initializations, over the students whose initialization was evaluated."""
    gained: int
    """Number of students that are better than their initialization."""
    with_initialization: int
    """Number of students whose initialization was evaluated."""
    distances: dict[str, float | None]
    """Mean distance of the students to each reference model, by heading of the column."""
    published: float | None
    """Mean published average of the same students; None if one is not in the paper."""
    best: dict[str, AverageRow]
    """Best student of each class of sizes, by the name of the class."""


def result(averages: TableFile) -> Result:
    """The result, from the table `averages` (JSON)."""
    fixed = len(fields(AverageRow))
    lines = [
        (row, line[fixed:]) for row, line in zip(_averages(averages), averages["rows"], strict=True)
    ]
    students = [(row, more) for row, more in lines if row.group == GROUPS["student"]]
    rows = [row for row, _ in students]
    gains = [row.gain for row in rows if row.gain is not None]
    return Result(
        students=len(rows),
        average=average(row.average for row in rows),
        gain=average(gains),
        gained=sum(gain > 0 for gain in gains),
        with_initialization=len(gains),
        distances={
            heading: average(number_of(more[index]) for _, more in students)
            for index, heading in enumerate(averages["columns"][fixed:])
        },
        published=average(row.published for row in rows),
        best=_best(rows),
    )


def _averages(table: TableFile) -> list[AverageRow]:
    fixed = len(fields(AverageRow))
    return read_rows(AverageRow, (line[:fixed] for line in table["rows"]))


def _best(rows: list[AverageRow]) -> dict[str, AverageRow]:
    """Row with the highest average of each class of sizes, from small to large."""
    best: dict[str, AverageRow] = {}
    for row in sorted(rows, key=lambda row: row.parameters):
        if row.average is None:
            continue
        size = next((name for end, name in SIZES if row.parameters < end), LARGEST)
        before = best.get(size)
        if before is None or before.average is None or row.average > before.average:
            best[size] = row
    return best


def task_rows(by_task: TableFile) -> list[TaskRow]:
    """Rows of the table `by_task` (JSON)."""
    return read_rows(TaskRow, by_task["rows"])


def differing_tasks(rows: Iterable[TaskRow]) -> list[TaskRow]:
    """Tasks with published scores outside our 95 % intervals, the largest differences first.

    Of the students; of the reference models if no student can be judged.
    """
    judged = [row for row in rows if row.outside is not None]
    students = [row for row in judged if row.group == GROUPS["student"]]
    outside = [row for row in students or judged if row.outside]
    return sorted(outside, key=lambda row: -abs(row.difference or 0))


def agreement(reproduction: TableFile) -> dict[str, list[ReproductionRow]]:
    """Rows of the table `reproduction` (JSON) with compared scores, as `all` and `families`."""
    rows = [row for row in read_rows(ReproductionRow, reproduction["rows"]) if row.compared]
    every = [row for row in rows if row.family == ALL_FAMILIES]
    return {"all": every, "families": [row for row in rows if row not in every]}


def verdict(row: ReproductionRow) -> str:
    """Whether our students are closer to the paper's than untrained and other students are.

    Args:
        row: of the students, with the counts if nothing had been trained and with other students.
    """
    if row.share is None or row.untrained is None or row.another is None:
        return "No verdict: nothing to compare with."
    yardsticks = max(100 * row.untrained / row.compared, row.another)
    closer = "closer" if row.share > yardsticks else "no closer"
    return f"Our students are {closer} to the paper's than untrained or other students are."


@dataclass(frozen=True)
class Asked:
    """Number of requests to the teacher, tokens and dollars. None: not measured."""

    requests: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    dollars: float | None


def asked(generation: TableFile) -> Asked:
    """Totals of the table `generation` (JSON)."""
    rows = read_rows(GenerationRow, generation["rows"])
    return Asked(
        requests=known_sum(row.requests for row in rows),
        prompt_tokens=known_sum(row.prompt_tokens for row in rows),
        completion_tokens=known_sum(row.completion_tokens for row in rows),
        dollars=known_sum(row.dollars for row in rows),
    )


def costs(cost: TableFile) -> CostRow:
    """Total row (all rules) of the table `cost` (JSON)."""
    return next(row for row in read_rows(CostRow, cost["rows"]) if row.rule == ALL_RULES)


def summary_line(summary: RatingSummary) -> str:
    """Number of ratings of a study, of how many assigned, by people and by a machine."""
    counts = zip(summary.rated.labelled, summary.assigned.labelled, strict=True)
    said = [
        f"{rated:,} of {assigned:,} by {rater}" for (rater, rated), (_, assigned) in counts if rated
    ]
    return ", ".join(said) or "no ratings yet"
