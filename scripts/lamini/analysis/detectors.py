"""Precision and recall of the detectors on labelled samples, with Wilson's intervals.

The samples (`config/detectors`) have two halves: the authors of the detectors knew the half
`written`; only the half `measured` counts. A verb or a noun is right if it equals the label.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lamini.analysis.columns import CsvRow, write_csv
from lamini.analysis.language import LanguageDetector
from lamini.analysis.responses import is_non_answer, is_unfinished
from lamini.analysis.verbs import load_parser, verbs_and_nouns
from lamini.errors import LaminiError
from lamini.evaluation.results import wilson
from lamini.files import read_jsonl
from lamini.generation.refusals import is_refusal
from lamini.settings.params.analysis import MeasureDetectors

COLUMNS = (
    "detector",
    "rows",
    "labelled",
    "found",
    "right",
    *(f"{value}{end}" for value in ("precision", "recall") for end in ("", "_low", "_high")),
)
"""`rows`: of the measured half. `labelled`: rows with the property that is detected. `right`: rows
among the `found` ones that have it. Precision (`right` of `found`) and recall (`right` of
`labelled`) are percentages with their 95 % intervals."""
Outcome = tuple[str, str]
"""Label and finding of one row; empty if there is nothing to find."""


def measure_detectors(
    *,
    refusals: str | Path,
    non_answers: str | Path,
    unfinished: str | Path,
    languages: str | Path,
    verbs: str | Path,
    errors: str | Path,
    settings: MeasureDetectors,
) -> None:
    """Compare what the detectors find in labelled samples with the labels.

    Args:
        refusals, non_answers, unfinished, languages, verbs: JSONL with the labelled rows.
        errors: CSV to write, in `COLUMNS`.
        settings: the rule's params: `language_score`, parser model of the verbs.

    Raises:
        LaminiError: a sample cannot be read or lacks a label, or the parser cannot be loaded.
    """
    language = LanguageDetector(settings.language_score)
    responses: tuple[tuple[str, str | Path, Callable[[str], bool]], ...] = (
        ("refusal", refusals, is_refusal),
        ("non_answer", non_answers, is_non_answer),
        ("unfinished", unfinished, is_unfinished),
    )
    outcomes: dict[str, list[Outcome]] = {}
    for name, path, detect in responses:
        outcomes[name] = [
            (_if(row[name]), _if(detect(row["response"])))
            for row in measured_rows(path, [name, "response"])
        ]
    outcomes["other_language"] = [
        (_if(row["language"] == "other"), _if(language(row["instruction"]) == "other"))
        for row in measured_rows(languages, ["language", "instruction"])
    ]
    rows = measured_rows(verbs, ["verb", "noun", "instruction"])
    findings = verbs_and_nouns(load_parser(settings.model), [row["instruction"] for row in rows])
    outcomes["verb"] = [(row["verb"], verb) for row, (verb, _) in zip(rows, findings, strict=True)]
    outcomes["noun"] = [
        (row["noun"], noun)
        for row, (_, noun) in zip(rows, findings, strict=True)
        if row["noun"] is not None
    ]
    write_csv(errors, COLUMNS, [[name, *_measures(pairs)] for name, pairs in outcomes.items()])


def measured_rows(path: str | Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a sample's half `measured`.

    Raises:
        LaminiError: the file cannot be read, lacks a column, or has no such row.
    """
    rows = [row for row in read_jsonl(path) if row.get("half") == "measured"]
    if not rows or any(column not in row for row in rows for column in columns):
        raise LaminiError(
            f"{path}: each row needs `half` and {', '.join(columns)}, and some the half `measured`"
        )
    return rows


def _if(holds: bool) -> str:
    return "yes" if holds else ""


def _measures(outcomes: Sequence[Outcome]) -> CsvRow:
    labelled = sum(label != "" for label, _ in outcomes)
    found = sum(finding != "" for _, finding in outcomes)
    right = sum(label == finding != "" for label, finding in outcomes)
    shares = (share for whole in (found, labelled) for share in _percentages(right, whole))
    return [len(outcomes), labelled, found, right, *shares]


def _percentages(part: int, whole: int) -> Iterator[float | None]:
    """A share and the ends of its interval, in percent; None of nothing."""
    if not whole:
        yield from (None, None, None)
        return
    share = part / whole
    yield from (100 * value for value in (share, *wilson(share, whole)))
