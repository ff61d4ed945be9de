"""Acceptance: scores of public models, ours against the authors' own unrounded scores.

These models need no training. Weights, examples and greedy decoding are the same, so only a few
examples may change. A score is therefore judged by its number of changed examples. Its sampling
error is larger than the effect of most changes of a prompt, so it would hide them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lamini.catalogue.params.evaluation import AcceptanceParams
from lamini.evaluation.conditions import conditions_of, differing, published_conditions
from lamini.tables.evaluation_tables import average, read_scores
from lamini.tables.published import read_csv
from lamini.tables.row_records import eval_files
from lamini.tables.table import Cell, Table, text_cell

MAX_EXAMPLES = 2
MAX_POINTS = 0.5
"""Largest accepted difference, in examples and in points; the larger of both applies."""
PRECISION = "fp32"
"""Precision of every judged score; lower precisions change examples by themselves."""
_ROUNDING = 1e-4
"""Tolerance in points; the authors' scores and ours have at least 4 decimals."""


@dataclass(frozen=True)
class Judgement:
    """One of our scores, compared with the authors'."""

    model: str
    task: str
    protocol: str
    precision: str
    ours: float
    theirs: float | None
    examples: int
    unlike: list[str]
    """Differences between our measurement and the authors'."""

    @property
    def difference(self) -> float | None:
        """Our score minus the authors', in points."""
        return None if self.theirs is None else self.ours - self.theirs

    @property
    def changed(self) -> float | None:
        """The difference in examples."""
        return None if self.difference is None else self.difference * self.examples / 100

    @property
    def verdict(self) -> str:
        """`accepted`, `rejected`, or the reason why the score is not judged."""
        if self.difference is None:
            return "not judged: the authors have no score"
        if self.unlike:
            return f"not judged: {'; '.join(self.unlike)}"
        allowed = max(MAX_POINTS, 100 * MAX_EXAMPLES / self.examples)
        return "accepted" if abs(self.difference) <= allowed + _ROUNDING else "rejected"


def judge_scores(
    evals: list[Path], published: Path, params: AcceptanceParams
) -> Iterator[Judgement]:
    """Judge every score of the input models, model by model.

    Args:
        evals: evaluation results.
        published: CSV of the authors' scores.
        params: models and tasks.
    """
    results = read_scores(evals)
    theirs = {(row["model"], row["task"]): row["score"] for row in read_csv(published)}
    for model in params.models:
        for task, title in params.tasks.items():
            result = results[model.key][task]
            score = theirs.get((model.name, title))
            wanted = published_conditions(result) | {"precision": PRECISION}
            yield Judgement(
                model=model.name,
                task=title,
                protocol=result.protocol,
                precision=result.precision,
                ours=result.score,
                theirs=None if score is None else float(score),
                examples=result.examples,
                unlike=differing(wanted, conditions_of(result)),
            )


def acceptance_table(evals: list[Path], published: Path, params: AcceptanceParams) -> Table:
    """Verdict on every score, and on all scores together.

    Args:
        evals: evaluation results.
        published: CSV of the authors' scores.
        params: models and tasks.
    """
    judgements = list(judge_scores(evals, published, params))
    rows, row_files = [], []
    for model in params.models:
        own = [judgement for judgement in judgements if judgement.model == model.name]
        rows += [_row(judgement) for judgement in own]
        row_files += [eval_files([model.key], [task]) for task in params.tasks]
        row_files.append(eval_files([model.key], params.tasks))
        ours, theirs = average(j.ours for j in own), average(j.theirs for j in own)
        apart = None if ours is None or theirs is None else ours - theirs
        rows.append(
            [
                text_cell(model.name),
                text_cell("Average"),
                text_cell(None),
                text_cell(None),
                Cell(ours, ours=True, digits=2),
                Cell(theirs, digits=2),
                Cell(apart, ours=True, digits=2, signed=True),
                Cell(None),
                text_cell(None),
            ]
        )
    return Table(
        columns=[
            "Model",
            "Task",
            "Protocol",
            "Precision",
            "Ours",
            "Authors'",
            "Difference",
            "Changed examples",
            "Verdict",
        ],
        rows=rows,
        summary=summary(judgements),
        notes=[
            f"Accepted: the difference is at most {MAX_EXAMPLES} examples or {MAX_POINTS:g}"
            " points, whichever is larger. Changed examples: the difference as a number of them.",
            f"Judged are scores in {PRECISION} by the protocol `paper` on all examples of Table 8.",
        ],
        row_files=row_files,
    )


def summary(judgements: Sequence[Judgement]) -> str:
    """Verdict on all scores in one line."""
    count = [j.verdict for j in judgements].count
    accepted, rejected = count("accepted"), count("rejected")
    open_ = len(judgements) - accepted - rejected
    verdict = "Accepted" if accepted == len(judgements) > 0 else "Not accepted"
    counts = f"{accepted} of {len(judgements)} scores are as the authors'"
    return f"{verdict}: {counts}, {rejected} differ, {open_} could not be judged."


def _row(judgement: Judgement) -> list[Cell]:
    return [
        text_cell(judgement.model),
        text_cell(judgement.task),
        text_cell(judgement.protocol),
        text_cell(judgement.precision),
        Cell(judgement.ours, ours=True, digits=2),
        Cell(judgement.theirs, digits=2),
        Cell(judgement.difference, ours=True, digits=2, signed=True),
        Cell(judgement.changed, ours=True, digits=1, signed=True),
        text_cell(judgement.verdict),
    ]
