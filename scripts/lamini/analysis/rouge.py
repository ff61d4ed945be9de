"""Near-duplicate texts by ROUGE-L, as in self-instruct's instruction filter (Wang et al. 2023).

The result equals comparing each text with every earlier kept text by `rouge_score`'s F-measure, but
fewer pairs are compared. Texts this similar share many words, and therefore one of their rarest
words. An index of each text's rarest words selects the few earlier texts that can be similar
(prefix filtering, Chaudhuri et al. 2006, with the length and position bounds of Xiao et al. 2008).
The longest common subsequence is computed bit-parallel (Hyyrö 2004).
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamini.analysis.compiled import compiled
from lamini.analysis.words import MULTIPLIER
from lamini.arrays import Hashes, Integers

Numbers = np.ndarray[Any, np.dtype[np.int32]]


class RougeTexts:
    """Texts, tokenized as for ROUGE and added batch by batch.

    Tokens are those of `rouge_score` without stemming: lower-cased runs of a-z and 0-9. A text in
    another script has no tokens and repeats no text.
    """

    def __init__(self) -> None:
        self._hashes: list[Hashes] = []
        self._ends: list[Integers] = [np.zeros(1, np.int64)]
        self._words = 0

    def add(self, texts: list[str]) -> None:
        """Add the next texts."""
        encoded = [text.lower().encode("utf-8", "surrogatepass") for text in texts]
        sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
        characters = np.frombuffer(b"".join(encoded), np.uint8)
        hashes, ends = _cut(characters, np.cumsum(sizes))
        self._hashes.append(hashes)
        self._ends.append(ends + self._words)
        self._words += len(hashes)

    def similarities(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """ROUGE-L (F-measure) of each pair of texts. Shape (texts, texts)."""
        hashes = np.concatenate([*self._hashes, np.zeros(0, np.uint64)])
        starts = np.concatenate(self._ends)
        count = len(starts) - 1
        if not len(hashes):
            return np.zeros((count, count))
        words = _numbered(hashes)
        return _similarities(words, starts, np.full(words.max() + 1, -1, np.int32))

    def unrepeated(self, threshold: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Per text: whether its ROUGE-L with every earlier kept text is below `threshold`.

        Args:
            threshold: F-measure, greater than 0.
        """
        hashes = np.concatenate([*self._hashes, np.zeros(0, np.uint64)])
        starts = np.concatenate(self._ends)
        features = _features(hashes, starts)
        keep = np.ones(len(starts) - 1, np.bool_)
        if len(hashes):
            _drop_repeats(_WordsOfTexts(_numbered(hashes), features, starts), threshold, keep)
        return keep


def _numbered(values: Hashes) -> Numbers:
    """Rank of each value by frequency, from 0 (the rarest); equal values have equal ranks."""
    coded = pa.array(values).dictionary_encode()
    codes = coded.indices.to_numpy()
    counts = np.bincount(codes, minlength=len(coded.dictionary))
    ranks = np.empty(len(counts), np.int32)
    ranks[np.argsort(counts, kind="stable")] = np.arange(len(counts), dtype=np.int32)
    return ranks[codes]


def _features(hashes: Hashes, starts: Integers) -> Numbers:
    """Each text's words as a set, rarest first; repetitions of a word count as different words."""
    features = _numbered(_occurrences(hashes, starts))
    _sort_each(features, starts)
    return features


@compiled
def _cut(characters, ends):  # type: ignore[no-untyped-def]
    """64-bit FNV-1a hashes of the texts' words, and the number of words up to each text's end."""
    hashes = np.empty(len(characters) // 2 + len(ends) + 1, np.uint64)
    counts = np.empty(len(ends), np.int64)
    seed, prime = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
    used = at = 0
    for text in range(len(ends)):
        value = seed
        while at < ends[text]:
            code = characters[at]
            at += 1
            if (97 <= code <= 122) or (48 <= code <= 57):
                value = (value ^ np.uint64(code)) * prime
            elif value != seed:
                hashes[used] = value
                used += 1
                value = seed
        if value != seed:
            hashes[used] = value
            used += 1
        counts[text] = used
    return hashes[:used].copy(), counts


@compiled
def _occurrences(words, starts):  # type: ignore[no-untyped-def]
    """Hash of each word together with the number of its earlier occurrences in the text."""
    hashes = np.empty(len(words), np.uint64)
    for text in range(len(starts) - 1):
        begin, end = starts[text], starts[text + 1]
        own = np.sort(words[begin:end])
        repeat = np.uint64(0)
        for position in range(len(own)):
            again = position > 0 and own[position] == own[position - 1]
            repeat = repeat + np.uint64(1) if again else np.uint64(0)
            hashes[begin + position] = own[position] ^ (repeat * MULTIPLIER)
    return hashes


@compiled
def _sort_each(features, starts):  # type: ignore[no-untyped-def]
    for text in range(len(starts) - 1):
        features[starts[text] : starts[text + 1]].sort()


class _WordsOfTexts(NamedTuple):
    """All texts, concatenated."""

    words: Numbers
    features: Numbers
    """The same words in the order of `_features`."""
    starts: Integers


class _RareWordIndex(NamedTuple):
    """Inverted index of the kept texts' rarest words; a posting is one word of one text."""

    newest: Numbers
    """Per word: its latest posting; -1 if none."""
    before: Numbers
    """Per posting: the previous posting of the same word; -1 if none."""
    text: Numbers
    position: Numbers
    """Per posting: its text, and the word's position among the text's words, rarest first."""
    compared: Numbers
    """Per text: the last text that it was compared with."""
    rows: Numbers
    """Per word: its row in the bit matrix of the current text; -1 if not in that text."""


@compiled
def _least_shared(size, other, threshold):  # type: ignore[no-untyped-def]
    """Minimum number of shared words for F = 2 * shared / (size + other) >= threshold."""
    return int(np.ceil(threshold * (size + other) / 2 - 1e-6))


@compiled
def _drop_repeats(texts, threshold, keep):  # type: ignore[no-untyped-def]
    """Set `keep` to False for each text that repeats an earlier kept text."""
    most = len(texts.features)
    index = _RareWordIndex(
        np.full(texts.features.max() + 1, -1, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.full(len(keep), -1, np.int32),
        np.full(texts.words.max() + 1, -1, np.int32),
    )
    postings = 0
    for text in range(len(keep)):
        own = texts.features[texts.starts[text] : texts.starts[text + 1]]
        size = len(own)
        if size == 0:
            continue
        if _repeats(text, texts, threshold, index):
            keep[text] = False
            continue
        # The shortest text that can be similar needs the most words in the index.
        shortest = int(np.ceil(size * threshold / (2 - threshold) - 1e-6))
        for position in range(min(size, size - _least_shared(size, shortest, threshold) + 1)):
            index.before[postings] = index.newest[own[position]]
            index.text[postings], index.position[postings] = text, position
            index.newest[own[position]] = postings
            postings += 1


@compiled
def _repeats(text, texts, threshold, index):  # type: ignore[no-untyped-def]
    """Whether a text repeats a text in the index."""
    words, features, starts = texts.words, texts.features, texts.starts
    own = features[starts[text] : starts[text + 1]]
    mine = words[starts[text] : starts[text + 1]]
    size = len(own)
    shortest = size * threshold / (2 - threshold) - 1e-6
    longest = size * (2 - threshold) / threshold + 1e-6
    bits = np.empty((0, 0), np.uint64)
    is_repeat = False
    last = size - _least_shared(size, shortest, threshold)
    for position in range(min(size, last + 1)):
        posting = index.newest[own[position]]
        while posting >= 0 and not is_repeat:
            other = index.text[posting]
            their_position = index.position[posting]
            posting = index.before[posting]
            if index.compared[other] == text:
                continue
            theirs = features[starts[other] : starts[other + 1]]
            if not shortest <= len(theirs) <= longest:
                continue
            index.compared[other] = text
            needed = _least_shared(size, len(theirs), threshold)
            if not _share_enough(own, theirs, position, their_position, needed):
                continue
            if bits.size == 0:
                bits = _word_bits(mine, index.rows)
            common = _common_subsequence(bits, words[starts[other] : starts[other + 1]], index.rows)
            if common >= needed:
                precision, recall = common / size, common / len(theirs)
                # Computed in the same order as in rouge_score, for equal rounding.
                is_repeat = 2 * precision * recall / (precision + recall) >= threshold
        if is_repeat:
            break
    if bits.size:
        for word in mine:
            index.rows[word] = -1
    return is_repeat


@compiled
def _similarities(words, starts, rows):  # type: ignore[no-untyped-def]
    count = len(starts) - 1
    similar = np.zeros((count, count))
    for one in range(count):
        mine = words[starts[one] : starts[one + 1]]
        bits = _word_bits(mine, rows)
        for other in range(count):
            theirs = words[starts[other] : starts[other + 1]]
            if len(mine) and len(theirs):
                common = _common_subsequence(bits, theirs, rows)
                similar[one, other] = 2 * common / (len(mine) + len(theirs))
        for word in mine:
            rows[word] = -1
    return similar


@compiled
def _share_enough(own, theirs, at, there, needed):  # type: ignore[no-untyped-def]
    """Whether two sorted arrays share `needed` values; `at`, `there`: the first shared one."""
    shared = 0
    while at < len(own) and there < len(theirs):
        if shared + min(len(own) - at, len(theirs) - there) < needed:
            return False
        if own[at] == theirs[there]:
            shared, at, there = shared + 1, at + 1, there + 1
        elif own[at] < theirs[there]:
            at += 1
        else:
            there += 1
    return shared >= needed


@compiled
def _word_bits(words, rows):  # type: ignore[no-untyped-def]
    """Bit matrix of the positions of each distinct word; writes each word's row to `rows`."""
    different = 0
    for word in words:
        if rows[word] < 0:
            rows[word] = different
            different += 1
    bits = np.zeros((different, (len(words) + 63) // 64), np.uint64)
    for position in range(len(words)):
        bits[rows[words[position]], position // 64] |= np.uint64(1) << np.uint64(position % 64)
    return bits


@compiled
def _common_subsequence(bits, words, rows):  # type: ignore[no-untyped-def]
    """Length of the longest common subsequence of `words` and the text of `bits`."""
    state = np.full(bits.shape[1], ~np.uint64(0), np.uint64)
    for word in words:
        row = rows[word]
        if row < 0:
            continue
        carry = np.uint64(0)
        for part in range(len(state)):
            old = state[part]
            matched = old & bits[row, part]
            added = old + matched
            total = added + carry
            # An unsigned sum smaller than a summand has overflowed.
            carry = np.uint64(added < old) | np.uint64(total < added)
            state[part] = total | (old & ~matched)
    common = 0
    for value in state:
        cleared = ~value
        while cleared:
            cleared &= cleared - np.uint64(1)
            common += 1
    return common
