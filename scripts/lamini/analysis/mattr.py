"""Moving-average type-token ratio (Covington and McFall 2010; Table 2).

MATTR is the mean, over all windows of w words, of the number of distinct words in a window divided
by w. A word counts in the windows in which it is the first occurrence. These windows follow from
the word's previous occurrence alone, so each text is read once.

The value depends strongly on the tokens that count as words (`Analysis.mattr_tokens`) and on how
texts are combined (`Analysis.mattr_texts`). The paper states neither; docs/dataset.md has the
readings that were compared with its numbers.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from lamini.analysis.compiled import compiled
from lamini.analysis.intervals import MeanWithMargin, margin
from lamini.analysis.spill import Spilled
from lamini.analysis.words import word_hashes
from lamini.arrays import Hashes, Integers
from lamini.files import derive_seed
from lamini.settings.dataset import MattrTexts

Cutter = Callable[[pa.StringArray], tuple[Hashes, Integers]]
"""Returns the tokens of texts that count as words, as `word_hashes` does."""
_TEXTS_AT_ONCE = 1 << 16
_BLOCKS, _WINDOWS_A_BLOCK = 20, 10
"""Minimum number of consecutive blocks of joined texts whose values give the margin of many texts;
and a block's minimum length in multiples of the window, because neighbouring blocks share the words
at their border."""


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
    """One MATTR over all texts, joined in the order in which they are added.

    The margin is that of the mean of 20 to 39 consecutive blocks of windows. Whenever there are
    40, each two become one, so the blocks depend on the words alone, not on the calls of `add`.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._tail: Hashes = np.zeros(0, np.uint64)
        self._types, self._windows = 0, 0
        self._blocks: list[int] = []
        self._block_windows = _WINDOWS_A_BLOCK * window
        self._counted_types, self._counted_windows = 0, 0  # of the last, unfinished block

    def add(self, hashes: Hashes, starts: Integers) -> None:
        """Add texts; their first windows begin in the last words of the texts before them."""
        joined = np.concatenate([self._tail, hashes])
        windows = max(len(joined) - self._window + 1, 0)
        first = 0
        while first < windows:
            count = min(self._block_windows - self._counted_windows, windows - first)
            words = joined[first : first + count + self._window - 1]
            self._count(int(_types_in_windows(words, self._window)), count)
            first += count
        self._tail = joined[windows:].copy()

    def _count(self, types: int, windows: int) -> None:
        self._types += types
        self._windows += windows
        self._counted_types += types
        self._counted_windows += windows
        if self._counted_windows == self._block_windows:
            self._blocks.append(self._counted_types)
            self._counted_types = self._counted_windows = 0
            if len(self._blocks) == 2 * _BLOCKS:
                pairs = zip(self._blocks[::2], self._blocks[1::2], strict=True)
                self._blocks = [one + other for one, other in pairs]
                self._block_windows *= 2

    def value(self) -> float:
        """MATTR so far; the type-token ratio while there are fewer words than one window."""
        if self._windows:
            return self._types / (self._windows * self._window)
        return len(np.unique(self._tail)) / len(self._tail) if len(self._tail) else 0.0

    def margin(self) -> float | None:
        """Half the width of the 95 % confidence interval."""
        values = np.array(self._blocks) / (self._block_windows * self._window)
        return margin(len(values), float(values.sum()), float((values**2).sum()))


class Stored:
    """All texts of a column, in temporary files (8 bytes per word), to join in random order."""

    def __init__(self) -> None:
        self._hashes, self._starts = Spilled(), Spilled()
        self._starts.add(np.zeros(1, np.uint64))
        self._words = self._texts = 0
        self._spans: dict[str, list[tuple[int, int]]] = {}

    def add(self, source: str, hashes: Hashes, starts: Integers) -> None:
        """Add texts of one source: word hashes and start offsets, from `word_hashes`."""
        self._hashes.add(hashes)
        self._starts.add((self._words + starts[1:]).astype(np.uint64))
        first = self._texts
        self._words += len(hashes)
        self._texts += len(starts) - 1
        self._spans.setdefault(source, []).append((first, self._texts))

    @property
    def sources(self) -> list[str]:
        """The sources, in the order in which they were first added."""
        return list(self._spans)

    def shuffled(self, sources: Sequence[str], window: int, seed: int) -> MeanWithMargin:
        """MATTR over the texts of some sources, joined in one random order.

        Args:
            sources: names of the sources; their order changes the result.
            window: words in the moving window.
            seed: seed of the random order.
        """
        spans = (span for source in sources for span in self._spans[source])
        texts = np.concatenate([np.arange(*span) for span in spans])
        np.random.default_rng(seed).shuffle(texts)
        hashes, starts = self._hashes.added(), self._starts.added().view(np.int64)
        joined = Concatenated(window)
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            chosen = texts[first : first + _TEXTS_AT_ONCE]
            joined.add(_gather(hashes, starts, chosen), chosen)
        return MeanWithMargin(joined.value(), joined.margin())


class LexicalDiversity:
    """MATTR of one column: per source, and of all sources together.

    Args:
        texts: how texts are combined (`Analysis.mattr_texts`).
        window: words in the moving window.
        seed: seed of the random order, if texts are joined in one.
        cutter: cuts texts into words.
    """

    def __init__(
        self, texts: MattrTexts, window: int, seed: int, *, cutter: Cutter = word_hashes
    ) -> None:
        self._texts, self._window, self._seed, self._cutter = texts, window, seed, cutter
        self._in_order: dict[str, MeanOfTexts | Concatenated] = {}
        self._all_in_order = self._new()
        self._stored = Stored()
        self.words = 0
        """Number of words read."""

    def _new(self) -> MeanOfTexts | Concatenated:
        return (MeanOfTexts if self._texts == "mean" else Concatenated)(self._window)

    def add(self, source: str, texts: pa.StringArray) -> None:
        """Add texts of one source, in the dataset's order."""
        self.add_words(source, *self._cutter(texts))

    def add_words(self, source: str, hashes: Hashes, starts: Integers) -> None:
        """Add texts of one source, cut into words: word hashes, and each text's first word."""
        self.words += len(hashes)
        if self._texts != "shuffled":
            self._in_order.setdefault(source, self._new()).add(hashes, starts)
        if self._texts in ("shuffled", "parts_in_order"):
            self._stored.add(source, hashes, starts)
        else:
            self._all_in_order.add(hashes, starts)

    def of_each(self) -> tuple[dict[str, MeanWithMargin], MeanWithMargin]:
        """MATTR by source, and MATTR of all texts, each with its margin."""
        sources = self._stored.sources if self._texts == "shuffled" else self._in_order
        return {source: self.of_source(source) for source in sources}, self.of_all()

    def of_source(self, source: str) -> MeanWithMargin:
        """MATTR of a source's texts, between 0 and 1; 0 without words."""
        if self._texts == "shuffled":
            return self._shuffled([source])
        texts = self._in_order[source]
        return MeanWithMargin(texts.value(), texts.margin())

    def of_all(self) -> MeanWithMargin:
        """MATTR of all texts, between 0 and 1; 0 without words.

        Texts that are joined in order of the sources have no margin: blocks are of different
        sources, so they are not drawn alike.
        """
        if self._stored.sources:
            return self._shuffled(self._stored.sources)
        everything = self._all_in_order
        in_blocks = isinstance(everything, Concatenated)
        return MeanWithMargin(everything.value(), None if in_blocks else everything.margin())

    def _shuffled(self, sources: list[str]) -> MeanWithMargin:
        seed = derive_seed("mattr", self._seed, *sources)
        return self._stored.shuffled(sources, self._window, seed)


@compiled
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


@compiled
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


@compiled
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
