"""Tables of a sweep: scores by size, the law of size, and which student beats which."""

from pathlib import Path

from lamini.catalogue.params.sweeps import SweepTableParams
from lamini.evaluation.comparison import LEVEL
from lamini.sweeps.results import Compared, HeldBack, SweepResult
from lamini.tables.footnotes import Footnotes
from lamini.tables.row_records import trained_files
from lamini.tables.table import Cell, Table, signed_interval, text_cell

_DIGITS = {"score": 1, "held_out_loss": 3}
_MEASURES = {"score": "score", "held_out_loss": "held-out loss"}


def sweep_table(fitted: Path, params: SweepTableParams) -> Table:
    """Score and held-out loss of each student at each size.

    Args:
        fitted: JSON of the sweep.
        params: names of the students and of the mixtures.
    """
    sweep = SweepResult.read(fitted)
    rows = [
        [
            text_cell(params.label((size.student, size.mixture))),
            Cell(round(100 * size.samples, 10), digits=_share_digits(size.samples), suffix=" %"),
            Cell(round(size.pairs), ours=True),
            Cell(size.seeds),
            Cell(size.score, ours=True, digits=1),
            _interval(size.interval, 1),
            Cell(size.seed_deviation, ours=True, digits=2),
            Cell(size.example_error, ours=True, digits=2),
            Cell(size.held_out_loss, ours=True, digits=3),
            Cell(size.loss_deviation, ours=True, digits=3),
        ]
        for size in sweep.sizes
    ]
    return Table(
        columns=[
            "Student",
            "Size",
            "Pairs",
            "Seeds",
            "Score",
            "95 % interval",
            "Between seeds",
            "By examples",
            "Held-out loss",
            "Loss between seeds",
        ],
        rows=rows,
        notes=[
            "Size: share of the training pairs, the same of each source; a smaller one is part of a"
            " larger one of the same seed.",
            *_score_notes(sweep),
            "Held-out loss: nats per supervised token; compare within a tokenizer and a mixture.",
        ],
        row_files=[
            trained_files(fitted, [(size.student, size.mixture)], size.samples)
            for size in sweep.sizes
        ],
    )


def _score_notes(sweep: SweepResult) -> list[str]:
    if not sweep.tasks:
        return ["A seed draws the pairs of a size, their order and the dropout."]
    return [
        f"Score: mean of {len(sweep.tasks)} tasks and all seeds; its interval is that of a"
        " mixed model of seeds and examples. Between seeds: standard deviation of the score,"
        " from all sizes of a student. By examples: standard error from the choice of the"
        " examples. A seed draws the pairs of a size, their order and the dropout.",
    ]


def law_table(fitted: Path, params: SweepTableParams) -> Table:
    """The fitted law of each student, and the largest size as the smaller ones predict it.

    Args:
        fitted: JSON of the sweep.
        params: names of the students and of the mixtures.
    """
    sweep = SweepResult.read(fitted)
    rows = [
        [
            text_cell(params.label((law.student, law.mixture))),
            text_cell(_MEASURES[law.measure]),
            text_cell(f"{law.a:.4g}"),
            text_cell(f"{law.b:.4g}"),
            text_cell(f"{law.c:.3g}"),
            Cell(law.deviation, ours=True, digits=_DIGITS[law.measure] + 1),
            *_held_back(law.held_back, _DIGITS[law.measure]),
        ]
        for law in sweep.laws
    ]
    held = [law.held_back for law in sweep.laws if law.held_back]
    inside = sum(_is_inside(back) for back in held)
    return Table(
        columns=[
            "Student",
            "Measure",
            "a",
            "b",
            "c",
            "Around the law",
            "Largest size: predicted",
            "95 % interval",
            "Measured",
            "Within",
        ],
        rows=rows,
        summary=f"The largest size lies within the interval that the smaller ones predict in"
        f" {inside} of {len(held)} laws."
        if held
        else "The sweep has too few sizes to predict one from the others.",
        notes=[
            "Law: a + b n^-c, n in training pairs, fitted by least squares to all trainings."
            " c is at least 0.01, where the law is nearly a + b log n, and at most 3. Around the"
            " law: standard deviation of a training.",
            "Predicted: by the law of the smaller sizes alone, with the 95 % interval of the mean"
            " of the seeds on the same examples (profile likelihood; seeds are taken to differ as"
            " much at all sizes).",
        ],
        row_files=[trained_files(fitted, [(law.student, law.mixture)]) for law in sweep.laws],
    )


def _held_back(back: HeldBack | None, digits: int) -> list[Cell]:
    if back is None:
        return [Cell(None)] * 4
    return [
        Cell(back.predicted, ours=True, digits=digits),
        _interval(back.interval, digits),
        Cell(back.measured, ours=True, digits=digits),
        text_cell("yes" if _is_inside(back) else "no"),
    ]


def _interval(ends: tuple[float, float] | None, digits: int) -> Cell:
    return text_cell(None if ends is None else " to ".join(f"{end:.{digits}f}" for end in ends))


def _is_inside(back: HeldBack) -> bool:
    return back.interval[0] <= back.measured <= back.interval[1]


def _share_digits(share: float) -> int:
    """Decimals of a share in percent."""
    return len(f"{100 * share:.10g}".partition(".")[2])


def compared_table(fitted: Path, params: SweepTableParams) -> Table:
    """All students of one mixture against each other, and the mixtures of one student.

    Args:
        fitted: JSON of the sweep.
        params: names of the students and of the mixtures.
    """
    sweep = SweepResult.read(fitted)
    footnotes = Footnotes("the second student")
    rows = [_compared_row(pair, params, footnotes) for pair in sweep.compared]
    tested = sum(pair.p_holm is not None for pair in sweep.compared)
    beating = sum(map(_beats, sweep.compared))
    largest = max(size.samples for size in sweep.sizes)
    return Table(
        columns=[
            "First",
            "Second",
            "Difference",
            "95 % interval",
            "p",
            "p (Holm)",
            "Between seeds",
            "By examples",
        ],
        rows=rows,
        summary=f"At the largest size ({100 * largest:g} %), the first beats the second in"
        f" {beating} of {tested} comparisons."
        if tested
        else "One seed says nothing of chance: no comparison is tested.",
        notes=[
            "p and interval: mixed model with seeds and examples as random factors, seeds paired,"
            " their variance from all sizes; a difference in bold is larger than both kinds of"
            " chance explain.",
            f"p (Holm): corrected for the {tested} comparisons of this table.",
            "Between seeds: standard deviation of the difference. By examples: its standard error"
            " from the choice of the examples.",
            *footnotes.notes(),
        ],
        row_files=[trained_files(fitted, (pair.first, pair.second)) for pair in sweep.compared],
    )


def _compared_row(pair: Compared, params: SweepTableParams, footnotes: Footnotes) -> list[Cell]:
    names = [params.label(group) for group in (pair.first, pair.second)]
    return [
        *map(text_cell, names),
        Cell(
            pair.difference,
            ours=True,
            digits=1,
            bold=_beats(pair),
            signed=True,
            suffix=footnotes.suffix(" against ".join(names), pair.differing),
        ),
        text_cell(signed_interval(pair.interval)),
        Cell(pair.p_value, ours=True, digits=4),
        Cell(pair.p_holm, ours=True, digits=4),
        Cell(pair.seed_deviation, ours=True, digits=2),
        Cell(pair.example_error, ours=True, digits=2),
    ]


def _beats(pair: Compared) -> bool:
    """Whether the first student's advantage is larger than chance explains."""
    return pair.p_holm is not None and pair.p_holm < LEVEL
