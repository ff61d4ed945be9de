"""Tables of the rating studies: shares of the levels, pairwise comparisons, agreement.

Ratings by people and by a judge model have separate rows; no row counts both together.
"""

from collections.abc import Iterator
from typing import Any

from lamini.catalogue.params import NoParams, RatingsParams
from lamini.evaluation.comparison import LEVEL, holm
from lamini.files import listed, read_json
from lamini.human_evaluation.protocol import LEVELS
from lamini.tables.table import Cell, Inputs, Table, text_cell

RATERS = {"human": "people", "machine": "a machine"}
INTERVALS = "Intervals: 95 %, from a bootstrap that resamples instructions."


def rating_shares_table(inputs: Inputs, params: RatingsParams) -> Table:
    """Counts per level, share of A, and mean rating, per model or source, and part.

    Args:
        inputs: `summaries` (JSON, one for each study).
        params: display names.
    """
    interval = ["estimate", "low", "high"]
    rows = [
        [
            text_cell(params.names.get(row["subject"], row["subject"])),
            text_cell(row["part"]),
            text_cell(RATERS[rater]),
            *(_number(row["counts"][level]) for level in LEVELS),
            *(_number(100 * row["shares"]["A"][end], 1) for end in interval),
            *(_number(row["mean"][end], 2) for end in interval),
        ]
        for _, rater, row in _rows(inputs, "shares")
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
        notes=["Mean: A = 3, B = 2, C = 1, D = 0.", INTERVALS, *_partial(inputs)],
    )


def rating_comparisons_table(inputs: Inputs, params: RatingsParams) -> Table:
    """Pairwise comparisons of models, on the instructions where both are rated.

    Args:
        inputs: `summaries` (JSON, one for each study).
        params: display names.
    """
    compared = list(_rows(inputs, "comparisons"))
    corrected = holm([row["p"] for *_, row in compared])
    rows = [
        [
            *(text_cell(params.names.get(row[who], row[who])) for who in ("first", "second")),
            text_cell(RATERS[rater]),
            *(_number(row[count]) for count in ("better", "equal", "worse")),
            Cell(row["difference"]["estimate"], ours=True, digits=2, bold=p < LEVEL),
            *(_number(row["difference"][end], 2) for end in ("low", "high")),
            *(_number(value, 4) for value in (row["p"], p)),
        ]
        for (_, rater, row), p in zip(compared, corrected, strict=True)
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
            *_partial(inputs),
        ],
    )


def rating_agreement_table(inputs: Inputs, params: NoParams) -> Table:
    """Agreement between two people on texts rated twice, and between people and the judge.

    Args:
        inputs: `summaries` (JSON, one for each study).
        params: not used.
    """
    rows = []
    for summary in _summaries(inputs):
        for between, key, count in (
            ("two people", "annotator_agreement", "items"),
            ("a person and the judge", "judge_agreement", "ratings"),
        ):
            if found := summary[key]:
                rows.append(
                    [
                        text_cell(summary["study"]),
                        text_cell(between),
                        _number(found[count]),
                        *(
                            _number(100 * found[share], 1)
                            for share in ("equal", "within_one_level")
                        ),
                        _number(found["krippendorff_alpha_ordinal"], 3),
                        _number(found["kappa_quadratic"], 3),
                    ]
                )
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
        notes=["No coefficient is defined where all ratings are equal.", *_partial(inputs)],
    )


def _summaries(inputs: Inputs) -> list[dict[str, Any]]:
    return [read_json(path) for path in listed(inputs["summaries"])]


def _rows(inputs: Inputs, part: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (study, rater, row) of one part of all summaries."""
    for summary in _summaries(inputs):
        for rater in RATERS:
            for row in summary[part][rater]:
                yield summary["study"], rater, row


def _partial(inputs: Inputs) -> list[str]:
    """One note per study that people have not rated completely."""
    return [
        f"{s['study']}: people have rated {s['rated']['human']} of {s['assigned']['human']} so far."
        for s in _summaries(inputs)
        if s["rated"]["human"] and not s["complete"]
    ]


def _number(value: float | int | None, digits: int = 0) -> Cell:
    return Cell(value, ours=True, digits=digits)
