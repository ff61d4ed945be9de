"""What the paper does not show of the scores: which differences are more than chance."""

from typing import Any

from lamini.evaluation.comparison import Comparison, compare
from lamini.files import derive_seed
from lamini.tables.evaluation_tables import average, read_scores
from lamini.tables.published import number, read_csv
from lamini.tables.table import Cell, Table, text_cell

Params = dict[str, Any]
Inputs = dict[str, Any]


def improvement_table(name: str, inputs: Inputs, params: Params) -> Table:
    """Each student against the model that it started from, task by task.

    Args:
        name: of the table.
        inputs: `evals` (JSON files), `contamination` (CSV of the analysis).
        params: `pairs` (of `student` and `baseline`: key and name each), `tasks` (key to name),
            `mixture`, `words` (length of the shared runs that count as contamination).
    """
    results = read_scores(inputs["evals"])
    shares = _contaminated(inputs["contamination"], params)
    rows = []
    for pair in params["pairs"]:
        student, baseline = pair["student"], pair["baseline"]
        after, before = results[student["key"]], results[baseline["key"]]
        for task, title in params["tasks"].items():
            compared = compare(
                before[task]["values"], after[task]["values"], derive_seed("improvement", task)
            )
            rows.append([
                text_cell(student["name"]), text_cell(baseline["name"]), text_cell(title),
                Cell(before[task]["score"], ours=True, digits=1),
                Cell(after[task]["score"], ours=True, digits=1),
                *_difference(compared),
                Cell(shares.get(task), ours=True, digits=1),
            ])  # fmt: skip
    return Table(
        name=name,
        title="Students against the models that they started from, example by example.",
        columns=[
            "Student", "Baseline", "Task", "Baseline's score", "Student's score", "Difference",
            "95 % interval", "p", "Contaminated examples, %",
        ],
        rows=rows,
        notes=[
            "p: exact McNemar test where an example is right or wrong, else a permutation of signs;"
            " not corrected for the number of comparisons.",
            f"Contaminated: examples that share {params['words']} words in a row with a pair of the"
            " dataset, of those with as many words.",
        ],
        reproduction=params["reproduction"],
    )  # fmt: skip


def _difference(compared: Comparison) -> list[Cell]:
    low, high = compared.interval
    sure = compared.p_value < 0.05
    return [
        Cell(compared.difference, ours=True, digits=1, bold=sure),
        text_cell(f"{low:+.1f} to {high:+.1f}"),
        Cell(compared.p_value, ours=True, digits=4),
    ]


def _contaminated(path: str, params: Params) -> dict[str, float | None]:
    """Share of contaminated examples by task, in percent."""
    shares: dict[str, float | None] = {}
    for row in read_csv(path):
        if row["instruction_source"] == params["mixture"]:
            found, of = (
                number(row[f"examples_{params['words']}"]),
                number(row["comparable_examples"]),
            )
            shares[row["task"]] = 100 * found / of if of and found is not None else None
    return shares


def acceptance_table(name: str, inputs: Inputs, params: Params) -> Table:
    """Public models that need no training, against the authors' own unrounded scores.

    Args:
        name: of the table.
        inputs: `evals` (JSON files), `published` (CSV of the authors' scores).
        params: `models` (key and name each), `tasks` (key to name).
    """
    results = read_scores(inputs["evals"])
    theirs: dict[str, dict[str, float]] = {}
    for row in read_csv(inputs["published"]):
        theirs.setdefault(row["model"], {})[row["task"]] = float(row["score"])
    rows, agreeing, compared = [], 0, 0
    for model in params["models"]:
        scores, published = results[model["key"]], theirs.get(model["name"], {})
        for task, title in params["tasks"].items():
            score, error = scores[task]["score"], scores[task]["standard_error"]
            before = published.get(title)
            within = before is not None and abs(score - before) <= error
            agreeing, compared = agreeing + within, compared + (before is not None)
            rows.append([
                text_cell(model["name"]), text_cell(title), text_cell(scores[task]["protocol"]),
                Cell(score, ours=True, digits=2), Cell(error, ours=True, digits=2),
                Cell(before, digits=2),
                text_cell(None if before is None else f"{score - before:+.2f}"),
                text_cell(None if before is None else ("yes" if within else "no")),
            ])  # fmt: skip
        mean = average(scores[task]["score"] for task in params["tasks"])
        before = average(published.get(title) for title in params["tasks"].values())
        apart = None if mean is None or before is None else f"{mean - before:+.2f}"
        rows.append([
            text_cell(model["name"]), text_cell("Average"), text_cell(None),
            Cell(mean, ours=True, digits=2), Cell(None), Cell(before, digits=2),
            text_cell(apart), text_cell(None),
        ])  # fmt: skip
    return Table(
        name=name,
        title="Acceptance: public models, ours against the authors' own scores.",
        columns=[
            "Model", "Task", "Protocol", "Ours", "Standard error", "Authors'", "Difference",
            "Within one standard error",
        ],
        rows=rows,
        notes=[f"{agreeing} of {compared} scores lie within one standard error of the authors'."],
        reproduction=params["reproduction"],
    )  # fmt: skip
