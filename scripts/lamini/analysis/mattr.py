"""Moving-average type-token ratio (Covington and McFall 2010; Table 2).

MATTR is the mean, over all windows of w words, of the distinct words in a window divided by w. A
word counts as distinct in those windows where it comes first, which are known from its last
occurrence alone, so each text is read once.

How texts are combined changes the value much (`Analysis.mattr_texts`). The paper does not say what
it did, but its numbers do: instructions of 14 tokens do not have a mean ratio of 0.72 one by one,
so texts were joined; and D_ALL, more diverse than each of its parts, needs texts of several parts
in one window, so they were joined in random order.
"""

from collections.abc import Iterable
from typing import Literal

import numba
import numpy as np
import pyarrow as pa

from lamini.analysis.intervals import Estimate, margin
from lamini.analysis.words import Integers, Marks, word_marks
from lamini.files import derive_seed

Combination = Literal["mean", "concatenated", "shuffled"]
_TEXTS_AT_ONCE = 1 << 16
_BLOCKS, _WINDOWS_A_BLOCK = 20, 10
"""Consecutive blocks of joined texts, whose values tell how exact the whole one is, and how many
windows' length a block has at least: neighbours share the windows at their border."""


def mattr(text: str, window: int) -> float:
    """MATTR of one text; of a text shorter than the window, its type-token ratio; 0 without words.

    Args:
        text: any text.
        window: words in the moving window.
    """
    mean = MeanOfTexts(window)
    mean.add(*word_marks(pa.array([text])))
    return mean.value()


class MeanOfTexts:
    """Mean of the texts' own values; texts without a word do not count."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._sum, self._squares, self._texts = 0.0, 0.0, 0

    def add(self, marks: Marks, starts: Integers) -> None:
        """Take more texts."""
        total, squares, texts = _sum_of_ratios(marks, starts, self._window)
        self._sum += total
        self._squares += squares
        self._texts += texts

    def value(self) -> float:
        """The mean so far."""
        return self._sum / self._texts if self._texts else 0.0

    def margin(self) -> float | None:
        """Half the width of its 95 % interval."""
        return margin(self._texts, self._sum, self._squares)


class Concatenated:
    """One value over all texts, joined in the order in which they come."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._tail: Marks = np.zeros(0, np.uint64)
        self._types, self._windows = 0, 0
        self._blocks: list[float] = []

    def add(self, marks: Marks, starts: Integers) -> None:
        """Take more texts; the last words before them open the first windows."""
        joined = np.concatenate([self._tail, marks])
        windows = len(joined) - self._window + 1
        if windows > 0:
            types = int(_types_in_windows(joined, self._window))
            self._types += types
            self._windows += windows
            self._blocks.append(types / (windows * self._window))
            joined = joined[windows:]
        self._tail = joined.copy()

    def value(self) -> float:
        """The value so far; the plain ratio while there are fewer words than the window holds."""
        if self._windows:
            return self._types / (self._windows * self._window)
        return len(np.unique(self._tail)) / len(self._tail) if len(self._tail) else 0.0

    def margin(self) -> float | None:
        """Half the width of its 95 % interval, from what was added at a time."""
        values = np.asarray(self._blocks)
        return margin(len(values), float(values.sum()), float((values**2).sum()))


class Shuffled:
    """Keeps all texts, 8 bytes a word, to join them in a random order."""

    def __init__(self) -> None:
        self.marks: list[Marks] = []
        self.lengths: list[Integers] = []

    def add(self, marks: Marks, starts: Integers) -> None:
        """Take more texts."""
        self.marks.append(marks.copy())
        self.lengths.append(np.diff(starts))


def shuffled_estimate(parts: Iterable[Shuffled], window: int, seed: int) -> Estimate:
    """The value over the texts of all parts, joined in one random order.

    Args:
        parts: their order counts.
        window: words in the moving window.
        seed: of the random order.
    """
    parts = list(parts)
    marks = np.concatenate([block for part in parts for block in part.marks])
    lengths = np.concatenate([block for part in parts for block in part.lengths])
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    order = np.random.default_rng(seed).permutation(len(lengths))
    joined = Concatenated(window)
    blocks = min(_BLOCKS, len(marks) // (_WINDOWS_A_BLOCK * window))
    at_once = min(_TEXTS_AT_ONCE, -(-len(order) // max(blocks, 1)) or 1)
    for first in range(0, len(order), at_once):
        chosen = order[first : first + at_once]
        joined.add(_gather(marks, starts, chosen), chosen)
    return Estimate(joined.value(), joined.margin())


class LexicalDiversity:
    """MATTR of one column: of each source, and of all sources together.

    Args:
        texts: how texts are combined (`Analysis.mattr_texts`).
        window: words in the moving window.
        seed: of the random order, where there is one.
    """

    def __init__(self, texts: Combination, window: int, seed: int) -> None:
        self._texts, self._window, self._seed = texts, window, seed
        self._sources: dict[str, MeanOfTexts | Concatenated | Shuffled] = {}
        self._all = self._new()
        self.words = 0
        """How many words were read."""

    def _new(self) -> MeanOfTexts | Concatenated | Shuffled:
        if self._texts == "shuffled":
            return Shuffled()
        kind = MeanOfTexts if self._texts == "mean" else Concatenated
        return kind(self._window)

    def add(self, source: str, texts: pa.StringArray) -> None:
        """Take more texts of one source, in the dataset's order."""
        marks, starts = word_marks(texts)
        self.words += len(marks)
        self._sources.setdefault(source, self._new()).add(marks, starts)
        if not isinstance(self._all, Shuffled):
            self._all.add(marks, starts)

    def of_each(self) -> tuple[dict[str, Estimate], Estimate]:
        """The MATTR of each source's texts, and that of all texts, with their margins."""
        each = {source: self._of(texts, [source]) for source, texts in self._sources.items()}
        return each, self._of(self._all, list(self._sources))

    def of_source(self, source: str) -> float:
        """The MATTR of a source's texts, between 0 and 1; 0 without words."""
        return self._of(self._sources[source], [source]).value

    def of_all(self) -> float:
        """The MATTR of all texts."""
        return self._of(self._all, list(self._sources)).value

    def _of(self, texts: MeanOfTexts | Concatenated | Shuffled, sources: list[str]) -> Estimate:
        if not isinstance(texts, Shuffled):
            return Estimate(texts.value(), texts.margin())
        parts = [part for s in sources if isinstance(part := self._sources[s], Shuffled)]
        return shuffled_estimate(parts, self._window, derive_seed("mattr", self._seed, *sources))


@numba.njit(cache=True, nogil=True)
def _types_in_windows(marks, window):  # type: ignore[no-untyped-def]
    """Distinct words summed over all windows; of fewer words than a window, their number of types.

    Word i is the first of its kind in the windows that start after its last occurrence before i,
    and that hold i.
    """
    total = 0
    words = len(marks)
    last_start = max(words - window, 0)
    for i in range(words):
        oldest = max(i - window + 1, 0)
        first_start = oldest
        for j in range(i - 1, oldest - 1, -1):
            if marks[j] == marks[i]:
                first_start = j + 1
                break
        if words <= window:
            total += first_start == 0
        else:
            total += max(min(i, last_start) - first_start + 1, 0)
    return total


@numba.njit(cache=True, nogil=True)
def _sum_of_ratios(marks, starts, window):  # type: ignore[no-untyped-def]
    """The texts' values and their squares summed, and the number of texts with words."""
    total, squares, texts = 0.0, 0.0, 0
    for text in range(len(starts) - 1):
        words = starts[text + 1] - starts[text]
        if words == 0:
            continue
        types = _types_in_windows(marks[starts[text] : starts[text + 1]], window)
        windows = max(words - window + 1, 1)
        ratio = types / (windows * min(words, window))
        total += ratio
        squares += ratio * ratio
        texts += 1
    return total, squares, texts


@numba.njit(cache=True, nogil=True)
def _gather(marks, starts, chosen):  # type: ignore[no-untyped-def]
    """The words of the chosen texts, in that order."""
    size = 0
    for text in chosen:
        size += starts[text + 1] - starts[text]
    joined = np.empty(size, np.uint64)
    at = 0
    for text in chosen:
        for word in range(starts[text], starts[text + 1]):
            joined[at] = marks[word]
            at += 1
    return joined
