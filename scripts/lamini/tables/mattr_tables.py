"""Table 2, and its values with other tokens and other ways to combine the texts."""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from lamini.catalogue.params.dataset import DiversityParams, MattrReadingsParams
from lamini.tables.dataset_tables import INTERVALS, published_key, with_margin
from lamini.tables.published import number, read_csv
from lamini.tables.row_records import source_files
from lamini.tables.table import Cell, Table, text_cell

_Words = tuple[str, str, str]
"""A reading as the table names it: tokens, case, and how texts are combined."""
_Reading = list[dict[str, str]]
"""Records of one reading: of the sources in the table's order, then of the whole dataset."""
_TOKENS = {
    "words_and_punctuation": "words and punctuation marks",
    "words": "words without punctuation",
    "subwords": "subwords",
}
_COMBINATIONS = {
    "mean": "mean over texts; one shorter than the window counts with its type-token ratio",
    "concatenated": "over all texts joined in the dataset's order",
    "shuffled": "over all texts joined in a random order",
    "parts_in_order": "over a source's texts joined in the dataset's order, and over all sources'"
    " joined in a random order",
}

_SHORT = {
    "mean": "mean over texts",
    "concatenated": "joined in order",
    "shuffled": "shuffled",
    "parts_in_order": "sources in order, D_ALL shuffled",
}


def diversity_table(published: Path, diversity: Path, params: DiversityParams) -> Table:
    """Table 2: MATTR of instructions and responses, ours and published."""
    by_source = {row["instruction_source"]: row for row in read_csv(published)}
    rows = []
    for row in read_csv(diversity):
        theirs = by_source.get(published_key(row, params), {})
        rows.append(
            [
                text_cell(params.symbols.get(row["instruction_source"], "D_ALL")),
                text_cell(row["instruction_source"]),
                *with_margin(row, "instruction", "mattr"),
                Cell(number(theirs.get("instruction_mattr")), digits=2),
                *with_margin(row, "response", "mattr"),
                Cell(number(theirs.get("response_mattr")), digits=2),
            ]
        )
    case = "lower-cased" if params.lower_case else "as written"
    return Table(
        columns=[
            "Dataset",
            "Source",
            *("Instructions", "±", "published"),
            *("Responses", "±", "published"),
        ],
        rows=rows,
        notes=[
            f"Window of {params.window} tokens ({_TOKENS[params.tokens]}, {case}),"
            f" {_COMBINATIONS[params.texts]}.",
            INTERVALS,
        ],
        row_files=[source_files(row["instruction_source"]) for row in read_csv(diversity)],
    )


def mattr_readings_table(published: Path, readings: Path, params: MattrReadingsParams) -> Table:
    """MATTR of each source in all readings, below the published values.

    The last columns compare a reading with the published values. D_ALL above its sources: D_ALL
    minus the sources' mean, weighted by their published tokens; it separates ways to join texts.
    Difference: mean absolute difference of the sources from the published values; ±: half the width
    of its 95 % confidence interval.
    """
    by_source = {row["instruction_source"]: row for row in read_csv(published)}
    records = read_csv(readings)
    known = {record["instruction_source"] for record in records}
    sources = [source for source in params.sources if source in known]
    rows: list[list[Cell]] = []
    notes: list[str] = []
    for text in ("instruction", "response"):
        target = _Published(by_source, sources, text)
        here = [record for record in records if record["text"] == text]
        measured = _readings(here, [*sources, params.mixture])
        title = map(text_cell, (text, "published", None, None))
        rows.append([*title, *target.cells(), Cell(None), Cell(None)])
        rows += [
            [*map(text_cell, (text, *words)), *target.compared_cells(reading)]
            for words, reading in measured.items()
        ]
        notes += _closest(text, measured, target)
    return Table(
        columns=[
            *("Text", "Tokens", "Case", "Texts"),
            *(params.symbols[source] for source in sources),
            *("D_ALL", "D_ALL above its sources", "Difference", "±"),
        ],
        rows=rows,
        notes=[
            *notes,
            f"Window of {params.window} tokens; subwords are those of `{params.tokenizer}`.",
            "D_ALL above its sources: D_ALL minus the mean of its sources, weighted by their"
            " published tokens.",
            "Difference: mean absolute difference of the sources from the published values, and"
            " half the 95 % interval of its sampling error.",
        ],
    )


def _readings(records: list[dict[str, str]], sources: list[str]) -> dict[_Words, _Reading]:
    """The readings of one text, in the order of their records.

    Args:
        records: records of this text.
        sources: names of the sources in each reading, then of the whole dataset.
    """
    readings = {}
    for key, of_reading in groupby(records, lambda r: (r["tokens"], r["lower_case"], r["texts"])):
        values = {record["instruction_source"]: record for record in of_reading}
        words = (_TOKENS[key[0]], "lower" if key[1] == "1" else "as written", _SHORT[key[2]])
        readings[words] = [values[source] for source in sources]
    return readings


def _closest(text: str, readings: dict[_Words, _Reading], target: "_Published") -> list[str]:
    """A note on the reading with the smallest difference; none without published values."""
    differences = [(*target.difference(reading), words) for words, reading in readings.items()]
    known = [(mean, half, words) for mean, half, words in differences if mean is not None]
    if not known:
        return []
    mean, half, words = min(known, key=lambda difference: difference[0])
    error = "unknown" if half is None else f"{half:.2f}"
    return [f"Closest to the published {text}s: {', '.join(words)} ({mean:.2f}, ± {error})."]


class _Published:
    """Published values of one text (`instruction` or `response`), which readings are compared with.

    Args:
        rows: rows of the published CSV by source; the whole dataset's key is empty.
        sources: sources of the mixture, in the order of the table's columns.
        text: `instruction` or `response`.
    """

    def __init__(self, rows: dict[str, dict[str, str]], sources: list[str], text: str) -> None:
        of = [rows.get(source, {}) for source in (*sources, "")]
        self._values = [number(row.get(f"{text}_mattr")) for row in of]
        self._tokens = [number(row.get(f"{text}_tokens_millions")) for row in of[:-1]]

    def cells(self) -> list[Cell]:
        """The values, and D_ALL's excess over its sources."""
        values = [Cell(value, digits=2) for value in self._values]
        return [*values, Cell(self.excess(self._values), digits=2)]

    def compared_cells(self, reading: _Reading) -> list[Cell]:
        """The values of a reading, D_ALL's excess over its sources, and their difference."""
        values = [number(record["mattr"]) for record in reading]
        compared = (*values, self.excess(values), *self.difference(reading))
        return [Cell(value, ours=True, digits=2) for value in compared]

    def excess(self, values: Sequence[float | None]) -> float | None:
        """Last value minus the others' mean, weighted by tokens; None if one is missing."""
        pairs = [
            (value, tokens)
            for value, tokens in zip(values, self._tokens, strict=False)
            if value is not None and tokens is not None
        ]
        if len(pairs) < len(self._tokens) or not pairs or values[-1] is None:
            return None
        total = sum(tokens for _, tokens in pairs)
        return values[-1] - sum(value * tokens for value, tokens in pairs) / total

    def difference(self, reading: _Reading) -> tuple[float | None, float | None]:
        """Mean absolute difference of the sources, and half the width of its 95 % interval."""
        pairs = list(zip(reading[:-1], self._values, strict=False))
        apart = [abs(float(r["mattr"]) - value) for r, value in pairs if value is not None]
        halves = [number(record["margin"]) for record, value in pairs if value is not None]
        known = [half for half in halves if half is not None]
        if not apart:
            return None, None
        mean = sum(apart) / len(apart)
        return mean, math.hypot(*known) / len(apart) if len(known) == len(apart) else None
