"""Which of a source's instructions are answered: each filter takes what the one before it left.

Every filter reads the files once more, so that memory holds fingerprints, shingles or words of the
instructions, but no text.
"""

from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lamini.files import read_jsonl
from lamini.generation.normalization import fingerprint
from lamini.log import Progress
from lamini.settings.dataset import Deduplication, Duplicates

_AT_ONCE = 1 << 14


class Selection(NamedTuple):
    """What is left of the rows of some files."""

    keep: bytearray
    """For each row, 1 when it stays."""
    left: dict[str, int]
    """Rows left after each stage: `rows`, and the filters that are on, in their order."""


def choose_unrepeated(inputs: Sequence[Path], settings: Deduplication) -> Selection:
    """Find the instructions that repeat no earlier one.

    Args:
        inputs: JSONL files of rows with an `instruction`, in the order in which the first counts.
        settings: the filters that are on.
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
    return Selection(keep, left)


def _first_ones(inputs: Sequence[Path], exact: bool, progress: Progress) -> bytearray:
    """For each row, 1 when no row before it is the same after normalisation."""
    seen: set[bytes] = set()
    keep = bytearray()
    for path in inputs:
        for row in read_jsonl(path):
            if exact:
                mark = fingerprint(row["instruction"])
                keep.append(mark not in seen)
                seen.add(mark)
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
    """The instructions that stayed so far, some thousands at a time."""
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
    """Take the kept rows out of which `stay` says so, one entry per kept row."""
    kept = [number for number, kept in enumerate(keep) if kept]
    for number, stays in zip(kept, stay, strict=True):
        keep[number] = stays
