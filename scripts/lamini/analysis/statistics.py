"""Table 1, Table 2, text lengths and quality of a merged dataset, in one pass over its rows."""

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from lamini.analysis.columns import read_batches, write_csv
from lamini.analysis.intervals import Estimate, margin
from lamini.analysis.mattr import LexicalDiversity
from lamini.analysis.quality import COLUMNS as QUALITY_COLUMNS
from lamini.analysis.quality import TEXTS, Quality
from lamini.analysis.tokens import TokenCounter
from lamini.analysis.words import Integers
from lamini.files import read_json
from lamini.log import Progress
from lamini.settings.params import MeasureDataset

STATISTICS_COLUMNS = (
    "instruction_source",
    "symbol",
    "samples",
    *(f"{text}_{value}" for text in TEXTS for value in ("tokens", "mean_tokens", "margin")),
)
"""A margin is half the width of the mean's 95 % confidence interval."""
LENGTH_COLUMNS = ("instruction_source", "text", "tokens_from", "samples")
"""A histogram: `samples` texts have `tokens_from` tokens or more, but fewer than the next row's."""
_BOUNDS = np.unique(np.append(0, np.round(2 ** np.arange(0, 14.5, 0.5)).astype(np.int64)))
DIVERSITY_COLUMNS = (
    "instruction_source",
    *(f"{text}_{value}" for text in TEXTS for value in ("mattr", "margin")),
)


def measure_dataset(
    *,
    manifest: str | Path,
    dataset: str | Path,
    statistics: str | Path,
    diversity: str | Path,
    quality: str | Path,
    lengths: str | Path,
    settings: MeasureDataset,
) -> None:
    """Measure a merged dataset per source and in total.

    The last row of each CSV except `lengths` is that of the whole mixture.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        statistics: CSV to write (Table 1): samples, tokens and mean tokens per text.
        diversity: CSV to write (Table 2): MATTR, times 100.
        quality: CSV to write, in `lamini.analysis.quality.COLUMNS`.
        lengths: CSV to write, in `LENGTH_COLUMNS`: histograms of instruction and response lengths.
        settings: the rule's params: fields of `Analysis`, `tokenizer_location`, `symbols` (the
            paper's symbol of each source), and `seed` (order in which texts are joined for
            `mattr_texts: shuffled`).

    Raises:
        LaminiError: when the dataset does not match the manifest, or the tokenizer is missing.
    """
    facts = read_json(manifest)
    counter = TokenCounter(settings.tokenizer_location)
    lexical = {
        text: LexicalDiversity(settings.mattr_texts, settings.mattr_window, settings.seed)
        for text in TEXTS
    }
    found, tokens = Quality(), TokenSums()
    histograms: dict[tuple[str, str], Integers] = {}
    columns = [*TEXTS, "flags"]
    # Splitting and counting words releases the GIL, so there is one thread per column.
    with Progress(facts["rows"], "pairs") as progress, ThreadPoolExecutor(len(TEXTS)) as pool:
        for source, batch in read_batches(dataset, columns, manifest):
            for text in TEXTS:
                counted = counter.count(batch[text])
                tokens.add(source, text, counted)
                bins = np.searchsorted(_BOUNDS, counted, side="right") - 1
                histogram = np.bincount(bins, minlength=len(_BOUNDS))
                histograms[source, text] = histograms.get((source, text), 0) + histogram
            texts = (batch[text] for text in TEXTS)
            deque(pool.map(LexicalDiversity.add, lexical.values(), repeat(source), texts), 0)
            found.add(source, batch)
            progress.advance(len(batch))
        diverse = dict(
            zip(TEXTS, pool.map(LexicalDiversity.of_each, lexical.values()), strict=True)
        )
    rows = source_rows(facts)
    write_csv(statistics, STATISTICS_COLUMNS, statistics_rows(facts, tokens, settings.symbols))
    write_csv(diversity, DIVERSITY_COLUMNS, _diversity(facts["mixture"], rows, diverse))
    write_csv(quality, QUALITY_COLUMNS, found.rows(facts))
    write_csv(lengths, LENGTH_COLUMNS, _lengths(rows, histograms))


def source_rows(facts: Mapping[str, Any]) -> dict[str, int]:
    """Number of samples of each source of a mixture, from its manifest."""
    return {source: facts["sources"][source]["rows"] for source in facts["settings"]["sources"]}


class TokenSums:
    """Sums of text lengths in tokens, by source and text (`instruction`, `response`)."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], Integers] = {}

    def add(self, source: str, text: str, lengths: Integers) -> None:
        """Add the lengths of texts, in tokens."""
        sums = np.array([len(lengths), lengths.sum(), (lengths.astype(np.int64) ** 2).sum()])
        self._sums[source, text] = self._sums.get((source, text), 0) + sums

    def of(self, sources: Iterable[str], text: str) -> tuple[int, Estimate]:
        """Total number of tokens of some sources, and the mean number per text."""
        parts = [self._sums[s, text] for s in sources if (s, text) in self._sums]
        count, total, squares = map(int, sum(parts, np.zeros(3, np.int64)))
        return total, Estimate(total / count if count else 0.0, margin(count, total, squares))


def statistics_rows(
    facts: Mapping[str, Any], tokens: TokenSums, symbols: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Table 1, in `STATISTICS_COLUMNS`: one row per source of the mixture, and one of all.

    Args:
        facts: the dataset's manifest.
        tokens: token sums of all texts.
        symbols: the paper's symbol of each source.
    """
    rows = source_rows(facts)
    name = facts["mixture"]
    groups = [*((s, symbols.get(s, ""), [s]) for s in rows), (name, name.upper(), [*rows])]
    lines = []
    for name, symbol, sources in groups:
        samples = sum(rows[source] for source in sources)
        row: dict[str, Any] = {"instruction_source": name, "symbol": symbol, "samples": samples}
        for text in TEXTS:
            row[f"{text}_tokens"], mean = tokens.of(sources, text)
            row[f"{text}_mean_tokens"], row[f"{text}_margin"] = mean
        lines.append(row)
    return lines


def _lengths(
    rows: Mapping[str, int], histograms: Mapping[tuple[str, str], Integers]
) -> list[dict[str, Any]]:
    """Rows of the histograms, each up to its longest text."""
    lines = []
    for source in (name for name, samples in rows.items() if samples):
        for text in TEXTS:
            counts = np.trim_zeros(histograms[source, text], "b")
            lines += [
                dict(zip(LENGTH_COLUMNS, (source, text, int(first), int(count)), strict=True))
                for first, count in zip(_BOUNDS, counts, strict=False)
            ]
    return lines


def _diversity(
    mixture: str,
    rows: Mapping[str, int],
    diverse: Mapping[str, tuple[dict[str, Estimate], Estimate]],
) -> list[dict[str, Any]]:
    """Table 2, values times 100: one row per source, and one of all."""
    lines: list[dict[str, Any]] = []
    for source in (*(name for name, samples in rows.items() if samples), mixture):
        row: dict[str, Any] = {"instruction_source": source}
        for text, (each, of_all) in diverse.items():
            value, half = of_all if source == mixture else each[source]
            row[f"{text}_mattr"] = 100 * value
            row[f"{text}_margin"] = None if half is None else 100 * half
        lines.append(row)
    return lines
