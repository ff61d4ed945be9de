"""Tables of the rating studies: shares of the levels, pairwise comparisons, agreement.

Ratings by people and by a judge model have separate rows; no row counts both together.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from lamini.catalogue.params.common import NoParams
from lamini.catalogue.params.human_evaluation import JudgedQualityParams, RatingsParams
from lamini.evaluation.comparison import LEVEL, holm
from lamini.evaluation.results import wilson
from lamini.human_evaluation.rating_protocols import LEVELS
from lamini.human_evaluation.summary import MACHINE, Agreement, Estimate, RatingSummary
from lamini.tables.chance import one_seed_note
from lamini.tables.published import read_csv
from lamini.tables.row_records import rated_files, source_files
from lamini.tables.table import MISSING, Cell, Table, text_cell

INTERVALS = "Intervals: 95 %, from a bootstrap that resamples instructions."


def rating_shares_table(summaries: list[Path], params: RatingsParams) -> Table:
    """Counts per level, share of A, and mean rating, per model or source, and part.

    Args:
        summaries: summaries of the ratings, one for each study.
        params: display names.
    """
    studies = _read(summaries)
    rows = [
        [
            text_cell(params.names.get(row.subject, row.subject)),
            text_cell(row.part),
            text_cell(rater),
            *map(_number, row.counts.values),
            *_estimate(row.shares.A, 1, times=100),
            *_estimate(row.mean, 2),
        ]
        for summary in studies
        for rater, shares in summary.shares.labelled
        for row in shares
    ]
    return Table(
        columns=[
            "Rated",
            "Part",
            "Rated by",
            *(f"Rate-{level}" for level in LEVELS),
            "A, %",
            "from",
            "to",
            "Mean",
            "from",
            "to",
        ],
        rows=rows,
        notes=["Mean: A = 3, B = 2, C = 1, D = 0.", INTERVALS, *_partial(studies)],
        row_files=[
            rated_files(summary.study, [row.subject], machine=rater == MACHINE)
            for summary in studies
            for rater, shares in summary.shares.labelled
            for row in shares
        ],
    )


def judged_quality_table(ratings: Path, params: JudgedQualityParams) -> Table:
    """Levels that the judge gave to a sample of each source's instructions and responses.

    Args:
        ratings: CSV of the study.
        params: the sampled sources.
    """
    verdicts: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    judges = set()
    for row in read_csv(ratings):
        if row["rater"] == "machine":
            verdicts[row["subject"], row["part"]].append(row["rating"])
            judges.add(row["annotator"])
    return Table(
        columns=[
            *("Dataset", "Text", "Sampled", "Judged"),
            *(head for level in LEVELS for head in (f"{level}, %", "from", "to")),
        ],
        rows=[
            [
                text_cell(params.symbols.get(source, source)),
                text_cell(part),
                *_levels(verdicts[source, part]),
            ]
            for source in params.sources
            for part in ("instruction", "response")
        ],
        row_files=[source_files(source) for source in params.sources for _ in range(2)],
        notes=[
            f"Judge: {', '.join(sorted(judges)) or MISSING}, blind to the source. Not judged:"
            " answers of the judge without a level.",
            "Intervals: 95 %, Wilson's, of other samples; the judge's own errors are not in them"
            " (`table_rating_agreement` compares it with people, if there are any).",
        ],
    )


def _levels(ratings: Sequence[str]) -> list[Cell]:
    """Number of verdicts, of those with a level, and the share of each level; – if not judged."""
    judged = [rating for rating in ratings if rating in LEVELS]
    cells = [_number(len(ratings) or None), _number(len(judged) if ratings else None)]
    for level in LEVELS:
        if not judged:
            cells += [_number(None)] * 3
            continue
        share = judged.count(level) / len(judged)
        cells += [_number(100 * value, 1) for value in (share, *wilson(share, len(judged)))]
    return cells


def rating_comparisons_table(summaries: list[Path], params: RatingsParams) -> Table:
    """Pairwise comparisons of models, on the instructions where both are rated.

    Args:
        summaries: summaries of the ratings, one for each study.
        params: display names.
    """
    studies = _read(summaries)
    compared = [
        (rater, row, summary.study)
        for summary in studies
        for rater, comparisons in summary.comparisons.labelled
        for row in comparisons
    ]
    corrected = holm([row.p for _, row, _ in compared])
    rows = [
        [
            *(text_cell(params.names.get(key, key)) for key in (row.first, row.second)),
            text_cell(rater),
            *map(_number, (row.better, row.equal, row.worse)),
            *_estimate(row.difference, 2, bold=p < LEVEL),
            *(_number(value, 4) for value in (row.p, p)),
        ]
        for (rater, row, _), p in zip(compared, corrected, strict=True)
    ]
    return Table(
        columns=[
            "First",
            "Second",
            "Rated by",
            "First better",
            "Equal",
            "Second better",
            "Difference",
            "from",
            "to",
            "p",
            "p (Holm)",
        ],
        rows=rows,
        notes=[
            "Difference: of the mean ratings, in levels, with its 95 % interval.",
            "p: of a permutation of signs by instruction, or McNemar's exact test where all"
            " differences are of three levels. The interval leaves out 0 exactly where p is below"
            " 0.05.",
            f"p (Holm): p corrected for the {len(compared)} comparisons of this table by Holm's"
            " method; bold where it is below 0.05.",
            one_seed_note("instructions"),
            *_partial(studies),
        ],
        row_files=[
            rated_files(study, (row.first, row.second), machine=rater == MACHINE)
            for rater, row, study in compared
        ],
    )


def rating_agreement_table(summaries: list[Path], params: NoParams) -> Table:
    """Agreement between two people on texts rated twice, and between people and the judge.

    Args:
        summaries: summaries of the ratings, one for each study.
        params: not used.
    """
    studies, rows = _read(summaries), []
    for summary in studies:
        if people := summary.annotator_agreement:
            rows.append(_agreement(summary.study, "two people", people.items, people))
        if judge := summary.judge_agreement:
            rows.append(_agreement(summary.study, "a person and the judge", judge.ratings, judge))
    return Table(
        columns=[
            "Study",
            "Between",
            "Texts",
            "Equal, %",
            "Within one level, %",
            "Krippendorff's alpha (ordinal)",
            "Kappa (quadratic weights)",
        ],
        rows=rows,
        notes=["No coefficient is defined where all ratings are equal.", *_partial(studies)],
    )


def _read(summaries: list[Path]) -> list[RatingSummary]:
    return [RatingSummary.read(path) for path in summaries]


def _agreement(study: str, between: str, texts: int, agreement: Agreement) -> list[Cell]:
    return [
        text_cell(study),
        text_cell(between),
        _number(texts),
        _number(100 * agreement.equal, 1),
        _number(100 * agreement.within_one_level, 1),
        _number(agreement.krippendorff_alpha_ordinal, 3),
        _number(agreement.kappa_quadratic, 3),
    ]


def _partial(summaries: list[RatingSummary]) -> list[str]:
    """One note per study that people have not rated completely."""
    return [
        f"{s.study}: people have rated {s.rated.human} of {s.assigned.human} so far."
        for s in summaries
        if s.rated.human and not s.complete
    ]


def _estimate(estimate: Estimate, digits: int, *, times: int = 1, bold: bool = False) -> list[Cell]:
    """An estimate and the ends of its interval, multiplied by `times`."""
    value, *ends = (
        None if number is None else times * number
        for number in (estimate.estimate, estimate.low, estimate.high)
    )
    cell = Cell(value, ours=True, digits=digits, bold=bold)
    return [cell, *(_number(end, digits) for end in ends)]


def _number(value: float | int | None, digits: int = 0) -> Cell:
    return Cell(value, ours=True, digits=digits)
