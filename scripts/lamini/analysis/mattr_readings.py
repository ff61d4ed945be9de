"""MATTR in all readings of "words" and "texts", which the paper does not state (Table 2)."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product, repeat
from pathlib import Path
from typing import get_args

import pyarrow as pa

from lamini.analysis.columns import CsvRow, read_batches, write_csv
from lamini.analysis.intervals import MeanWithMargin
from lamini.analysis.mattr import Cutter, LexicalDiversity
from lamini.analysis.quality import TEXTS
from lamini.analysis.tokens import TokenCounter, mattr_cutter
from lamini.dataset.manifest import DatasetManifest
from lamini.log import Progress
from lamini.settings.dataset import MattrTexts, MattrTokens
from lamini.settings.params.analysis import MeasureMattrReadings

COLUMNS = ("tokens", "lower_case", "texts", "text", "instruction_source", "mattr", "margin")
"""`tokens`, `lower_case` (1 or 0) and `texts` are a reading; `text` is `instruction` or `response`.
MATTR is multiplied by 100; the margin is half the width of its 95 % confidence interval."""


def measure_mattr_readings(
    *,
    manifest: str | Path,
    dataset: str | Path,
    readings: str | Path,
    settings: MeasureMattrReadings,
) -> None:
    """Measure the lexical diversity of a merged dataset in all readings, per source and in total.

    The dataset is read once for each kind of tokens.

    Args:
        manifest: the dataset's manifest.
        dataset: the mixture's Parquet file.
        readings: CSV to write, in `COLUMNS`.
        settings: the rule's params: window of MATTR, tokenizer of the subwords, random seed.

    Raises:
        LaminiError: when the dataset does not match the manifest, or the tokenizer is missing.
    """
    dataset_manifest = DatasetManifest.read(manifest)
    counter = TokenCounter(settings.tokenizer_location)
    kinds = list(product(get_args(MattrTokens), (True, False)))
    rows: list[CsvRow] = []
    with (
        Progress(dataset_manifest.rows * len(kinds), "pairs") as progress,
        ThreadPoolExecutor(len(TEXTS)) as pool,
    ):
        for tokens, lower in kinds:
            cutter = mattr_cutter(tokens, counter, lower=lower)
            columns = {text: _TextColumn(settings, cutter) for text in TEXTS}
            for source, batch in read_batches(dataset, TEXTS, manifest, whole=True):
                texts = (batch[text] for text in TEXTS)
                deque(pool.map(_TextColumn.add, columns.values(), repeat(source), texts), 0)
                progress.advance(len(batch))
            for text, column in columns.items():
                for combination, name, estimate in column.estimates(dataset_manifest.mixture):
                    half = None if estimate.margin is None else 100 * estimate.margin
                    reading = (tokens, int(lower), combination, text, name)
                    rows.append((*reading, 100 * estimate.value, half))
    write_csv(readings, COLUMNS, rows)


class _TextColumn:
    """One column's texts, cut into words once and combined in all ways."""

    def __init__(self, settings: MeasureMattrReadings, cutter: Cutter) -> None:
        self._cutter = cutter
        # `parts_in_order` has the sources of `concatenated`, and the whole of `shuffled`.
        ways: tuple[MattrTexts, ...] = ("mean", "concatenated", "shuffled")
        self._ways = {
            way: LexicalDiversity(way, settings.mattr_window, settings.seed) for way in ways
        }

    def add(self, source: str, texts: pa.StringArray) -> None:
        """Add texts of one source, in the dataset's order."""
        words = self._cutter(texts)
        for way in self._ways.values():
            way.add_words(source, *words)

    def estimates(self, mixture: str) -> Iterator[tuple[MattrTexts, str, MeanWithMargin]]:
        """Combination of the texts, source or mixture, and MATTR."""
        measured = {way: diversity.of_each() for way, diversity in self._ways.items()}
        measured["parts_in_order"] = (measured["concatenated"][0], measured["shuffled"][1])
        for combination, (sources, everything) in measured.items():
            named: Mapping[str, MeanWithMargin] = {**sources, mixture: everything}
            for name, estimate in named.items():
                yield combination, name, estimate
