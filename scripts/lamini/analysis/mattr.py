"""Moving-average type-token ratio (Covington and McFall 2010; Table 2).

MATTR is the mean, over all windows of w words, of the number of distinct words in a window divided
by w. A word counts in the windows in which it is the first occurrence. These windows follow from
the word's previous occurrence alone, so each text is read once.

The value depends strongly on how texts are combined (`Analysis.mattr_texts`). The paper does not
state its method, but its numbers show it. Single instructions of 14 tokens do not have a mean ratio
of 0.72, so texts were joined. D_ALL is more diverse than each of its parts, which needs texts of
several parts in one window, so texts were joined in random order.
"""

from collections.abc import Iterable
from typing import Literal

import numba
import numpy as np
import pyarrow as pa

from lamini.analysis.intervals import Estimate, margin
from lamini.analysis.words import Hashes, Integers, word_hashes
from lamini.files import derive_seed

Combination = Literal["mean", "concatenated", "shuffled"]
_TEXTS_AT_ONCE = 1 << 16
_BLOCKS, _WINDOWS_A_BLOCK = 20, 10
"""Number of consecutive blocks of joined texts, whose values give the margin; and a block's minimum
length in multiples of the window, because neighbouring blocks share the windows at their border."""


def mattr(text: str, window: int) -> float:
    """MATTR of one text; the type-token ratio if it is shorter than the window; 0 without words.

    Args:
        text: any text.
        window: words in the moving window.
    """
    mean = MeanOfTexts(window)
    mean.add(*word_hashes(pa.array([text])))
    return mean.value()


class MeanOfTexts:
    """Mean of the MATTR of each text; texts without words are not counted."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._sum, self._squares, self._texts = 0.0, 0.0, 0

    def add(self, hashes: Hashes, starts: Integers) -> None:
        """Add texts: word hashes and start offsets, from `word_hashes`."""
        total, squares, texts = _sum_of_ratios(hashes, starts, self._window)
        self._sum += total
        self._squares += squares
        self._texts += texts

    def value(self) -> float:
        """The mean of the texts added so far."""
        return self._sum / self._texts if self._texts else 0.0

    def margin(self) -> float | None:
        """Half the width of the mean's 95 % confidence interval."""
        return margin(self._texts, self._sum, self._squares)


class Concatenated:
    """One MATTR over all texts, joined in the order in which they are added."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._tail: Hashes = np.zeros(0, np.uint64)
        self._types, self._windows = 0, 0
        self._blocks: list[float] = []

    def add(self, hashes: Hashes, starts: Integers) -> None:
        """Add texts; their first windows begin in the last words of the texts before them."""
        joined = np.concatenate([self._tail, hashes])
        windows = len(joined) - self._window + 1
        if windows > 0:
            types = int(_types_in_windows(joined, self._window))
            self._types += types
            self._windows += windows
            self._blocks.append(types / (windows * self._window))
            joined = joined[windows:]
        self._tail = joined.copy()

    def value(self) -> float:
        """MATTR so far; the type-token ratio while there are fewer words than one window."""
        if self._windows:
            return self._types / (self._windows * self._window)
        return len(np.unique(self._tail)) / len(self._tail) if len(self._tail) else 0.0

    def margin(self) -> float | None:
        """Half the width of the 95 % confidence interval; each call of `add` is one block."""
        values = np.asarray(self._blocks)
        return margin(len(values), float(values.sum()), float((values**2).sum()))


class Shuffled:
    """Stores all texts (8 bytes per word), to join them in random order later."""

    def __init__(self) -> None:
        self.hashes: list[Hashes] = []
        self.lengths: list[Integers] = []

    def add(self, hashes: Hashes, starts: Integers) -> None:
        """Add texts: word hashes and start offsets, from `word_hashes`."""
        self.hashes.append(hashes.copy())
        self.lengths.append(np.diff(starts))


def shuffled_estimate(parts: Iterable[Shuffled], window: int, seed: int) -> Estimate:
    """MATTR over the texts of all parts, joined in one random order.

    Args:
        parts: stored texts; the order of the parts changes the result.
        window: words in the moving window.
        seed: seed of the random order.
    """
    parts = list(parts)
    hashes = np.concatenate([block for part in parts for block in part.hashes])
    lengths = np.concatenate([block for part in parts for block in part.lengths])
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    order = np.random.default_rng(seed).permutation(len(lengths))
    joined = Concatenated(window)
    blocks = min(_BLOCKS, len(hashes) // (_WINDOWS_A_BLOCK * window))
    at_once = min(_TEXTS_AT_ONCE, -(-len(order) // max(blocks, 1)) or 1)
    for first in range(0, len(order), at_once):
        chosen = order[first : first + at_once]
        joined.add(_gather(hashes, starts, chosen), chosen)
    return Estimate(joined.value(), joined.margin())


class LexicalDiversity:
    """MATTR of one column: per source, and of all sources together.

    Args:
        texts: how texts are combined (`Analysis.mattr_texts`).
        window: words in the moving window.
        seed: seed of the random order; used if `texts` is `shuffled`.
    """

    def __init__(self, texts: Combination, window: int, seed: int) -> None:
        self._texts, self._window, self._seed = texts, window, seed
        self._sources: dict[str, MeanOfTexts | Concatenated | Shuffled] = {}
        self._all = self._new()
        self.words = 0
        """Number of words read."""

    def _new(self) -> MeanOfTexts | Concatenated | Shuffled:
        if self._texts == "shuffled":
            return Shuffled()
        kind = MeanOfTexts if self._texts == "mean" else Concatenated
        return kind(self._window)

    def add(self, source: str, texts: pa.StringArray) -> None:
        """Add texts of one source, in the dataset's order."""
        hashes, starts = word_hashes(texts)
        self.words += len(hashes)
        self._sources.setdefault(source, self._new()).add(hashes, starts)
        if not isinstance(self._all, Shuffled):
            self._all.add(hashes, starts)

    def of_each(self) -> tuple[dict[str, Estimate], Estimate]:
        """MATTR by source, and MATTR of all texts, each with its margin."""
        each = {source: self._of(texts, [source]) for source, texts in self._sources.items()}
        return each, self._of(self._all, list(self._sources))

    def of_source(self, source: str) -> float:
        """MATTR of a source's texts, between 0 and 1; 0 without words."""
        return self._of(self._sources[source], [source]).value

    def of_all(self) -> float:
        """MATTR of all texts, between 0 and 1; 0 without words."""
        return self._of(self._all, list(self._sources)).value

    def _of(self, texts: MeanOfTexts | Concatenated | Shuffled, sources: list[str]) -> Estimate:
        if not isinstance(texts, Shuffled):
            return Estimate(texts.value(), texts.margin())
        parts = [part for s in sources if isinstance(part := self._sources[s], Shuffled)]
        return shuffled_estimate(parts, self._window, derive_seed("mattr", self._seed, *sources))


@numba.njit(cache=True, nogil=True)
def _types_in_windows(hashes, window):  # type: ignore[no-untyped-def]
    """Number of distinct words, summed over all windows; of all words if they fill no window.

    Word i is a first occurrence in the windows that contain i and start after the previous
    occurrence of the same word.
    """
    total = 0
    words = len(hashes)
    last_start = max(words - window, 0)
    for i in range(words):
        oldest = max(i - window + 1, 0)
        first_start = oldest
        for j in range(i - 1, oldest - 1, -1):
            if hashes[j] == hashes[i]:
                first_start = j + 1
                break
        if words <= window:
            total += first_start == 0
        else:
            total += max(min(i, last_start) - first_start + 1, 0)
    return total


@numba.njit(cache=True, nogil=True)
def _sum_of_ratios(hashes, starts, window):  # type: ignore[no-untyped-def]
    """Sum and sum of squares of the texts' values, and the number of texts with words."""
    total, squares, texts = 0.0, 0.0, 0
    for text in range(len(starts) - 1):
        words = starts[text + 1] - starts[text]
        if words == 0:
            continue
        types = _types_in_windows(hashes[starts[text] : starts[text + 1]], window)
        windows = max(words - window + 1, 1)
        ratio = types / (windows * min(words, window))
        total += ratio
        squares += ratio * ratio
        texts += 1
    return total, squares, texts


@numba.njit(cache=True, nogil=True)
def _gather(hashes, starts, chosen):  # type: ignore[no-untyped-def]
    """Words of the chosen texts, joined in the order of `chosen`."""
    size = 0
    for text in chosen:
        size += starts[text + 1] - starts[text]
    joined = np.empty(size, np.uint64)
    at = 0
    for text in chosen:
        for word in range(starts[text], starts[text + 1]):
            joined[at] = hashes[word]
            at += 1
    return joined
