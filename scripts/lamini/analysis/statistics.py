"""Table 1, Table 2, text lengths and quality of a merged dataset, in one pass over its rows."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np

from lamini.analysis.columns import CsvRow, read_batches, write_csv
from lamini.analysis.intervals import MeanWithMargin, margin
from lamini.analysis.mattr import LexicalDiversity
from lamini.analysis.quality import COLUMNS as QUALITY_COLUMNS
from lamini.analysis.quality import TEXTS, Quality
from lamini.analysis.readability import COLUMNS as READABILITY_COLUMNS
from lamini.analysis.readability import Readability
from lamini.analysis.tokens import TokenCounter, mattr_cutter
from lamini.arrays import Integers
from lamini.dataset.manifest import DatasetManifest
from lamini.log import Progress
from lamini.settings.params.analysis import MeasureDataset

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
    readability: str | Path,
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
        readability: CSV to write, in `lamini.analysis.readability.COLUMNS`.
        settings: the rule's params: fields of `Analysis`, `tokenizer_location`, `symbols` (the
            paper's symbol of each source), and `seed` (order in which texts are joined).

    Raises:
        LaminiError: when the dataset does not match the manifest, or the tokenizer is missing.
    """
    dataset_manifest = DatasetManifest.read(manifest)
    counter = TokenCounter(settings.tokenizer_location)
    cutter = mattr_cutter(settings.mattr_tokens, counter, lower=settings.mattr_lower_case)
    lexical = {
        text: LexicalDiversity(
            settings.mattr_texts, settings.mattr_window, settings.seed, cutter=cutter
        )
        for text in TEXTS
    }
    quality_counts, readable = Quality(), Readability()
    tokens, histograms = TokenSums(), Histograms()
    columns = [*TEXTS, "flags"]
    # Splitting and counting words releases the GIL, so there is one thread per column.
    with (
        Progress(dataset_manifest.rows, "pairs") as progress,
        ThreadPoolExecutor(len(TEXTS)) as pool,
    ):
        for source, batch in read_batches(dataset, columns, manifest, whole=True):
            for text in TEXTS:
                counted = counter.count(batch[text])
                tokens.add(source, text, counted)
                histograms.add(source, text, counted)
                readable.add(source, batch[text])
            texts = (batch[text] for text in TEXTS)
            deque(pool.map(LexicalDiversity.add, lexical.values(), repeat(source), texts), 0)
            quality_counts.add(source, batch)
            progress.advance(len(batch))
        diverse = list(pool.map(LexicalDiversity.of_each, lexical.values()))
    rows = dataset_manifest.source_rows
    write_csv(
        statistics, STATISTICS_COLUMNS, statistics_rows(dataset_manifest, tokens, settings.symbols)
    )
    write_csv(diversity, DIVERSITY_COLUMNS, _diversity(dataset_manifest.mixture, rows, diverse))
    write_csv(quality, QUALITY_COLUMNS, quality_counts.rows(dataset_manifest))
    write_csv(lengths, LENGTH_COLUMNS, histograms.rows(rows))
    write_csv(readability, READABILITY_COLUMNS, readable.rows(dataset_manifest))


class TokenSums:
    """Sums of text lengths in tokens, by source and text (`instruction`, `response`)."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], Integers] = {}

    def add(self, source: str, text: str, lengths: Integers) -> None:
        """Add the lengths of texts, in tokens."""
        sums = np.array([len(lengths), lengths.sum(), (lengths.astype(np.int64) ** 2).sum()])
        self._sums[source, text] = self._sums.get((source, text), 0) + sums

    def of(self, sources: Iterable[str], text: str) -> tuple[int, MeanWithMargin]:
        """Total number of tokens of some sources, and the mean number per text."""
        parts = [self._sums[s, text] for s in sources if (s, text) in self._sums]
        count, total, squares = map(int, sum(parts, np.zeros(3, np.int64)))
        return total, MeanWithMargin(total / count if count else 0.0, margin(count, total, squares))


class Histograms:
    """Histograms of text lengths in tokens, by source and text (`instruction`, `response`)."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Integers] = {}

    def add(self, source: str, text: str, lengths: Integers) -> None:
        """Add the lengths of texts, in tokens."""
        bins = np.searchsorted(_BOUNDS, lengths, side="right") - 1
        counts = np.bincount(bins, minlength=len(_BOUNDS))
        self._counts[source, text] = self._counts.get((source, text), 0) + counts

    def rows(self, pairs: Mapping[str, int]) -> list[CsvRow]:
        """Rows in `LENGTH_COLUMNS`, of each text up to the longest one.

        Args:
            pairs: number of pairs of each source; one without pairs has no rows.
        """
        lines: list[CsvRow] = []
        for source in (name for name, count in pairs.items() if count):
            for text in TEXTS:
                counts = np.trim_zeros(self._counts[source, text], "b")
                lines += [
                    (source, text, int(first), int(count))
                    for first, count in zip(_BOUNDS, counts, strict=False)
                ]
        return lines


def statistics_rows(
    manifest: DatasetManifest, tokens: TokenSums, symbols: Mapping[str, str]
) -> list[CsvRow]:
    """Table 1, in `STATISTICS_COLUMNS`: one row per source of the mixture, and one of all.

    Args:
        manifest: the dataset's manifest.
        tokens: token sums of all texts.
        symbols: the paper's symbol of each source.
    """
    rows, name = manifest.source_rows, manifest.mixture
    groups = [*((s, symbols.get(s, ""), [s]) for s in rows), (name, name.upper(), [*rows])]
    lines: list[CsvRow] = []
    for name, symbol, sources in groups:
        count = sum(rows[source] for source in sources)
        counted = (tokens.of(sources, text) for text in TEXTS)
        cells = (
            cell
            for total, (mean, half) in counted
            for cell in (total, mean if count else None, half)
        )
        lines.append([name, symbol, count, *cells])
    return lines


def _diversity(
    mixture: str,
    rows: Mapping[str, int],
    diverse: Sequence[tuple[dict[str, MeanWithMargin], MeanWithMargin]],
) -> list[CsvRow]:
    """Table 2, values times 100: one row per source, and one of all."""
    lines: list[CsvRow] = []
    for source in (*(name for name, count in rows.items() if count), mixture):
        row: list[str | float | None] = [source]
        for each, of_all in diverse:
            value, half = of_all if source == mixture else each[source]
            row += [100 * value, None if half is None else 100 * half]
        lines.append(row)
    return lines
