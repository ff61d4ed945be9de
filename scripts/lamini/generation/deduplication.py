"""Deduplication of a source's instructions: exact, ROUGE-L and MinHash filters, in this order.

Each filter reads the files again. So memory holds hashes, words or shingles of the
instructions, but not their texts.
"""

from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lamini.files import read_jsonl
from lamini.generation.normalization import text_key
from lamini.log import Progress
from lamini.settings.dataset import Deduplication, Duplicates

_AT_ONCE = 1 << 14


class Unrepeated(NamedTuple):
    """Result of the filters over the rows of several files."""

    keep: bytearray
    """For each row, 1 if it is kept, else 0."""
    left: dict[str, int]
    """Rows left after each stage: `rows` (all rows), then the enabled filters in their order."""


def choose_unrepeated(inputs: Sequence[Path], settings: Deduplication) -> Unrepeated:
    """Select the instructions that are no duplicates of an earlier one.

    Args:
        inputs: JSONL files of rows with an `instruction`. Of duplicates, the first in the order of
            files and rows is kept.
        settings: the enabled filters and their thresholds.
    """
    with Progress(len(inputs), "files") as progress:
        keep = _first_ones(inputs, settings.exact, progress)
    left = {"rows": len(keep), "exact": sum(keep)}
    if settings.rouge_l is not None:
        _drop_rouge(inputs, keep, settings.rouge_l)
        left["rouge_l"] = sum(keep)
    if settings.minhash is not None:
        _drop_minhash(inputs, keep, settings.minhash)
        left["minhash"] = sum(keep)
    return Unrepeated(keep, left)


def _first_ones(inputs: Sequence[Path], exact: bool, progress: Progress) -> bytearray:
    """For each row, 1 if no earlier row has an equal normalized instruction."""
    seen: set[bytes] = set()
    keep = bytearray()
    for path in inputs:
        for row in read_jsonl(path):
            if exact:
                key = text_key(row["instruction"])
                keep.append(key not in seen)
                seen.add(key)
            else:
                keep.append(1)
        progress.advance()
    return keep


def _drop_rouge(inputs: Sequence[Path], keep: bytearray, threshold: float) -> None:
    from lamini.analysis.rouge import RougeTexts

    texts = RougeTexts()
    for part in _kept_texts(inputs, keep):
        texts.add(part)
    _clear(keep, texts.unrepeated(threshold).tolist())


def _drop_minhash(inputs: Sequence[Path], keep: bytearray, chosen: Duplicates) -> None:
    from lamini.analysis.minhash import Hashing, NearDuplicates

    hashing = Hashing(chosen.ngram, chosen.bands, chosen.band_rows)
    known = NearDuplicates(
        sum(keep),
        hashing=hashing,
        threshold=chosen.threshold,
        most_compared=chosen.most_compared,
    )
    stay: list[bool] = []
    for part in _kept_texts(inputs, keep):
        shingles = hashing.shingles(pa.array(part, pa.string()))
        stay += (known.add(shingles).original < 0).tolist()
    _clear(keep, stay)


def _kept_texts(inputs: Sequence[Path], keep: bytearray) -> Iterator[list[str]]:
    """Yield the kept instructions in lists of `_AT_ONCE`."""
    part: list[str] = []
    rows = (row["instruction"] for path in inputs for row in read_jsonl(path))
    for text in compress(rows, bytes(keep)):
        part.append(text)
        if len(part) == _AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _clear(keep: bytearray, stay: list[bool]) -> None:
    """Set `keep` of the kept rows to `stay`, which has one entry per kept row."""
    kept = [number for number, kept in enumerate(keep) if kept]
    for number, stays in zip(kept, stay, strict=True):
        keep[number] = stays
