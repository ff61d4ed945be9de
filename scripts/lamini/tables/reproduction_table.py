"""Reproduction: number of the paper's scores and improvements that agree with ours.

A count of agreements has no meaning without a comparison. Each is shown with two other counts from
the same code: one of untrained students, and one with the other students in place of each student.

In a replication the students learned from another teacher's answers. It has no such counts for its
students, because their scores are not expected to be the paper's.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lamini.catalogue.paper import PAPER_TEACHER
from lamini.catalogue.params.evaluation import ReproducedImprovementParams, ReproductionParams
from lamini.evaluation.bootstrap import Interval
from lamini.evaluation.comparison import Comparison
from lamini.evaluation.conditions import conditions_of, differing, published_conditions
from lamini.evaluation.results import EvaluationResult, wilson
from lamini.files import derive_seed
from lamini.tables.chance import chance_notes, compare_pair
from lamini.tables.evaluation_tables import read_scores
from lamini.tables.footnotes import Footnotes
from lamini.tables.published import published_scores, read_csv
from lamini.tables.row_records import eval_files, pair_models
from lamini.tables.rows import cells, column, headings
from lamini.tables.table import Cell, Table, signed_interval, text_cell

PublishedScores = Mapping[str, Mapping[str, float]]
ALL = "All"
GROUPS = {"student": "students", "reference": "reference models"}
SEED_NOTE = (
    "Training that is faithful in everything cannot reach 95 %: the published students have random"
    " seeds of their own, which no interval here covers."
)


@dataclass(frozen=True)
class ReproductionRow:
    """A row of `reproduction_table`: students or reference models of one family, or of all."""

    family: str = column("Family", ours=False)
    group: str = column("Models", ours=False)
    models: int = column("How many")
    compared: int = column("Scores compared")
    within: int | None = column("Within our 95 % interval")
    share: float | None = column("Within, %", digits=1)
    untrained: int | None = column("If untrained", ours=False)
    another: float | None = column("If another student, %", ours=False, digits=1)
    mean_difference: float | None = column("Mean difference", digits=2, signed=True)
    mean_distance: float | None = column("Mean absolute difference", digits=2)


@dataclass
class PublishedAgreement:
    """Our values (scores or improvements), compared with the published ones."""

    differences: list[float] = field(default_factory=list)
    """Our value minus the published one, in points."""
    within: int = 0
    """Number of published values inside our 95 % confidence intervals."""

    def add(self, value: float, interval: Interval | None, published: float) -> None:
        """Count one model on one task; skip it if there is no interval."""
        if interval is not None:
            self.differences.append(value - published)
            self.within += interval[0] <= published <= interval[1]

    @property
    def share(self) -> float | None:
        """Percentage of published values inside our intervals; None without values."""
        return 100 * self.within / len(self.differences) if self.differences else None


@dataclass
class AgreementCounts:
    """Agreement of our students, and of two replacements of our values, for comparison."""

    ours: PublishedAgreement = field(default_factory=PublishedAgreement)
    untrained: PublishedAgreement = field(default_factory=PublishedAgreement)
    """Published values of the initializations in place of ours."""
    another: PublishedAgreement = field(default_factory=PublishedAgreement)
    """Published values of every other student of the paper in place of ours."""


@dataclass(frozen=True)
class Paper:
    """Published scores, and the initializations of the paper's students."""

    scores: PublishedScores
    initializations: Mapping[str, str]
    """Name of the initialization, by name of the student."""

    @classmethod
    def read(cls, published: Path, collection: Path) -> "Paper":
        """Read the CSV files of the published scores and of Table 3."""
        initializations = {row["name"]: row["initialization"] for row in read_csv(collection)}
        return cls(published_scores(published), initializations)

    def others(self, student: str) -> Iterator[str]:
        """All other students of the paper."""
        return (name for name in self.initializations if name != student)

    def improvement(self, student: str, task: str) -> float:
        """Published improvement of a student over its initialization, in points."""
        return self.scores[student][task] - self.scores[self.initializations[student]][task]


def reproduction_table(
    published: Path, collection: Path, params: ReproductionParams, evals: Sequence[Path] = ()
) -> Table:
    """Number of compared and of agreeing scores, by family and role, and in total.

    Args:
        published: CSV of the published scores.
        collection: CSV of the paper's students.
        params: models of the run that are in the paper, and tasks.
        evals: evaluation results of the models.
    """
    results, paper = read_scores(evals), Paper.read(published, collection)
    groups: dict[tuple[str, str], AgreementCounts] = {}
    members: dict[tuple[str, str], dict[str, str]] = {}
    footnotes = Footnotes("the published scores")
    marked: dict[tuple[str, str], str] = {}
    for model in params.models:
        for group in ((model.family, model.role), (ALL, model.role)):
            counts = groups.setdefault(group, AgreementCounts())
            members.setdefault(group, {})[model.name] = model.key
            for task, title in params.tasks.items():
                result = results[model.key][task]
                if title in paper.scores[model.name]:
                    _count_score(counts, paper, model.name, title, result)
                    differences = differing(published_conditions(result), conditions_of(result))
                    mark = footnotes.suffix(f"{model.name}, {title}", differences)
                    marked[group] = marked.get(group) or mark
    judged = params.another_teacher is None
    ordered = sorted(groups, key=lambda group: (group[0] == ALL, group[1] != "student"))
    return Table(
        columns=headings(ReproductionRow),
        rows=[
            cells(
                _row(
                    *group,
                    len(members[group]),
                    groups[group],
                    judged=judged or group[1] != "student",
                ),
                compared=marked.get(group, ""),
            )
            for group in ordered
        ],
        notes=[
            "One score is one model on one task. The published scores have no intervals.",
            "If untrained: the same count with the published scores of the initialisations in place"
            " of ours. If another student: with those of each other student of the paper, on"
            " average. Both have intervals for as many examples as ours.",
            SEED_NOTE,
            *replication_notes(params.another_teacher),
            *([] if ordered else ["None of the paper's models took part in this run."]),
            *footnotes.notes(),
        ],
        row_files=[eval_files(members[group].values(), params.tasks) for group in ordered],
    )


def _count_score(
    counts: AgreementCounts, paper: Paper, model: str, task: str, result: EvaluationResult
) -> None:
    before = paper.scores[model][task]
    counts.ours.add(result.score, result.interval, before)
    if model in paper.initializations and result.interval is not None:
        replacements = [(counts.untrained, paper.initializations[model])]
        replacements += [(counts.another, other) for other in paper.others(model)]
        for agreement, other in replacements:
            score = paper.scores[other][task]
            low, high = wilson(score / 100, result.examples)
            agreement.add(score, (100 * low, 100 * high), before)


def replication_notes(teacher: str | None) -> list[str]:
    """Note of a replication with this teacher; none for a reproduction (None)."""
    if teacher is None:
        return []
    return [
        f"Replication: the students of this run learned from answers of {teacher}, the paper's from"
        f" those of {PAPER_TEACHER}. Their scores are shown beside the paper's without a verdict."
    ]


def _row(
    family: str, role: str, models: int, counts: AgreementCounts, *, judged: bool
) -> ReproductionRow:
    """Row of a group; without `judged`, only the differences."""
    ours = counts.ours
    return ReproductionRow(
        family=family,
        group=GROUPS[role],
        models=models,
        compared=len(ours.differences),
        within=ours.within if judged else None,
        share=ours.share if judged else None,
        untrained=counts.untrained.within if judged and role == "student" else None,
        another=counts.another.share if judged else None,
        mean_difference=_mean(ours.differences),
        mean_distance=_mean([abs(difference) for difference in ours.differences]),
    )


def reproduced_improvement_table(
    evals: list[Path], published: Path, collection: Path, params: ReproducedImprovementParams
) -> Table:
    """Each student's improvement over its initialization, ours and the paper's, task by task.

    The interval is that of our improvement, from the examples on which student and baseline differ.
    The published improvement was measured on the same examples, so both improvements differ only
    as the two students differ. Two students of one recipe differ on fewer examples than a student
    and its baseline, so the interval is too wide rather than too narrow.

    Args:
        evals: evaluation results.
        published: CSV of the published scores.
        collection: CSV of the paper's students.
        params: students with their initializations, and tasks.
    """
    results, paper = read_scores(evals), Paper.read(published, collection)
    counts, rows, footnotes = AgreementCounts(), [], Footnotes("the published scores")
    row_files = []
    judged = params.another_teacher is None
    for pair in params.pairs:
        student, baseline = pair.student, pair.baseline
        for task, title in params.tasks.items():
            if title not in paper.scores[student.name]:
                continue
            after, before = results[student.key][task], results[baseline.key][task]
            theirs = paper.improvement(student.name, title)
            compared = compare_pair(results, pair, task, derive_seed("improvement", task))
            if compared is not None:
                _count_improvement(counts, paper, student.name, title, compared)
            differences = [
                difference
                for result in (before, after)
                for difference in differing(published_conditions(result), conditions_of(result))
            ] + differing(conditions_of(before), conditions_of(after))
            mark = footnotes.suffix(f"{student.name}, {title}", differences)
            row_files.append(eval_files(pair_models(pair), [task]))
            rows.append(
                [
                    *map(text_cell, (student.name, baseline.name, title)),
                    *_improvement(compared, theirs, mark, judged=judged),
                ]
            )
    return Table(
        columns=[
            "Student",
            "Baseline",
            "Task",
            "Ours",
            "Published",
            "Ours less published",
            "95 % interval",
            "Match",
        ],
        rows=rows,
        summary=_improvement_summary(counts) if judged else None,
        notes=[
            "Match: the interval of the difference of both improvements contains 0. It is that of"
            " our improvement, example by example; the published one has none.",
            *chance_notes(pair.seeds for pair in params.pairs),
            SEED_NOTE,
            *replication_notes(params.another_teacher),
            *footnotes.notes(),
        ],
        row_files=row_files,
    )


def _count_improvement(
    counts: AgreementCounts, paper: Paper, student: str, task: str, compared: Comparison
) -> None:
    theirs = paper.improvement(student, task)
    counted = [(counts.ours, compared.difference), (counts.untrained, 0.0)]
    counted += [(counts.another, paper.improvement(o, task)) for o in paper.others(student)]
    for agreement, value in counted:
        agreement.add(value, _moved(compared, value - compared.difference), theirs)


def _moved(compared: Comparison, by: float) -> Interval | None:
    """Interval of a comparison, shifted by `by`; None without an interval."""
    if compared.interval is None:
        return None
    return compared.interval[0] + by, compared.interval[1] + by


def _improvement(
    compared: Comparison | None, theirs: float, mark: str, *, judged: bool
) -> list[Cell]:
    if compared is None:
        missing = [Cell(None, suffix=mark), Cell(None), Cell(None)]
        return [Cell(None), Cell(theirs, digits=1, signed=True), *missing]
    ends = _moved(compared, -theirs)
    match = None if ends is None or not judged else ("yes" if ends[0] <= 0 <= ends[1] else "no")
    return [
        Cell(compared.difference, ours=True, digits=1, signed=True),
        Cell(theirs, digits=1, signed=True),
        Cell(compared.difference - theirs, ours=True, digits=1, signed=True, suffix=mark),
        text_cell(signed_interval(ends)),
        text_cell(match),
    ]


def _improvement_summary(counts: AgreementCounts) -> str:
    ours, compared = counts.ours, len(counts.ours.differences)
    if ours.share is None or counts.another.share is None:
        return "No improvement could be compared with the paper's."
    return (
        f"{ours.within:,} of {compared:,} published improvements over the initialisation match ours"
        f" ({ours.share:.0f} %). By the same count {counts.untrained.within:,} would match if"
        f" nothing had been trained, and {counts.another.share:.0f} % with another student's"
        " improvement in place of the right one."
    )


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
