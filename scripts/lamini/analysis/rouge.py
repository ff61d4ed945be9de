"""Near-duplicate texts by ROUGE-L, as self-instruct filters its instructions (Wang et al. 2023).

The answers are those of comparing each text with every earlier one that stayed, by `rouge_score`'s
F-measure; the work is not. Texts this similar share many words, and so one of their rarest ones: an
index of each text's rarest words names the few earlier texts that come into question (prefix
filtering, Chaudhuri et al. 2006, with the length and position bounds of Xiao et al. 2008). Those
are compared, all words of a text at once in the bits of a number (Hyyrö 2004).
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa

from lamini.analysis.words import Integers

Numbers = np.ndarray[Any, np.dtype[np.int32]]
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class RougeTexts:
    """Texts as ROUGE sees them, taken in part by part.

    As `rouge_score` without stemming: lower case, cut into runs of a-z and 0-9. Text in another
    script has no such run, and repeats nothing.
    """

    def __init__(self) -> None:
        self._marks: list[np.ndarray[Any, np.dtype[np.uint64]]] = []
        self._ends: list[Integers] = [np.zeros(1, np.int64)]
        self._words = 0

    def add(self, texts: list[str]) -> None:
        """Take in the next texts."""
        encoded = [text.lower().encode("utf-8", "surrogatepass") for text in texts]
        sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
        characters = np.frombuffer(b"".join(encoded), np.uint8)
        marks, ends = _cut(characters, np.cumsum(sizes))
        self._marks.append(marks)
        self._ends.append(ends + self._words)
        self._words += len(marks)

    def unrepeated(self, threshold: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """For each text, whether its ROUGE-L with all earlier ones that stay is below `threshold`.

        Args:
            threshold: F-measure, above 0.
        """
        marks = np.concatenate([*self._marks, np.zeros(0, np.uint64)])
        starts = np.concatenate(self._ends)
        features = _features(marks, starts)
        keep = np.ones(len(starts) - 1, np.bool_)
        if len(marks):
            _drop_repeats(_Texts(_numbered(marks), features, starts), threshold, keep)
        return keep


def _numbered(values: np.ndarray[Any, np.dtype[np.uint64]]) -> Numbers:
    """Equal values as equal numbers from 0, the rarest value's number first."""
    coded = pa.array(values).dictionary_encode()
    codes = coded.indices.to_numpy()
    counts = np.bincount(codes, minlength=len(coded.dictionary))
    ranks = np.empty(len(counts), np.int32)
    ranks[np.argsort(counts, kind="stable")] = np.arange(len(counts), dtype=np.int32)
    return ranks[codes]


def _features(marks: np.ndarray[Any, np.dtype[np.uint64]], starts: Integers) -> Numbers:
    """Each text's words as a set, the rarest first: a word's second occurrence is another word."""
    features = _numbered(_occurrences(marks, starts))
    _sort_each(features, starts)
    return features


@numba.njit(cache=True, nogil=True)
def _cut(characters, ends):  # type: ignore[no-untyped-def]
    """The words of some texts as 64-bit FNV-1a, and how many there are up to each text's end."""
    marks = np.empty(len(characters) // 2 + len(ends) + 1, np.uint64)
    counts = np.empty(len(ends), np.int64)
    seed, prime = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
    used = at = 0
    for text in range(len(ends)):
        mark = seed
        while at < ends[text]:
            code = characters[at]
            at += 1
            if (97 <= code <= 122) or (48 <= code <= 57):
                mark = (mark ^ np.uint64(code)) * prime
            elif mark != seed:
                marks[used] = mark
                used += 1
                mark = seed
        if mark != seed:
            marks[used] = mark
            used += 1
        counts[text] = used
    return marks[:used].copy(), counts


@numba.njit(cache=True, nogil=True)
def _occurrences(marks, starts):  # type: ignore[no-untyped-def]
    """Hashes of each word and of how often it stood in its text before."""
    hashes = np.empty(len(marks), np.uint64)
    for text in range(len(starts) - 1):
        begin, end = starts[text], starts[text + 1]
        own = np.sort(marks[begin:end])
        repeat = np.uint64(0)
        for place in range(len(own)):
            again = place > 0 and own[place] == own[place - 1]
            repeat = repeat + np.uint64(1) if again else np.uint64(0)
            hashes[begin + place] = own[place] ^ (repeat * _MULTIPLIER)
    return hashes


@numba.njit(cache=True, nogil=True)
def _sort_each(features, starts):  # type: ignore[no-untyped-def]
    for text in range(len(starts) - 1):
        features[starts[text] : starts[text + 1]].sort()


class _Texts(NamedTuple):
    """All texts, one after the other."""

    words: Numbers
    features: Numbers
    """The same words, as `_features` orders them."""
    starts: Integers


class _Index(NamedTuple):
    """Where texts that stay have their rarest words; one posting is one word of one text."""

    newest: Numbers
    """Per word, the last posting with it; -1: none."""
    before: Numbers
    """Per posting, the one before it with the same word; -1: none."""
    text: Numbers
    place: Numbers
    """Per posting, its text, and the word's place among that text's words, the rarest first."""
    compared: Numbers
    """Per text, the last one that it was compared with."""
    rows: Numbers
    """Per word, its row in the bits of the text at hand; -1: not in that text."""


@numba.njit(cache=True, nogil=True)
def _least_shared(size, other, threshold):  # type: ignore[no-untyped-def]
    """Words that two texts of these sizes must share, as 2 * shared / (size + other) is F."""
    return int(np.ceil(threshold * (size + other) / 2 - 1e-6))


@numba.njit(cache=True, nogil=True)
def _drop_repeats(texts, threshold, keep):  # type: ignore[no-untyped-def]
    """Clear `keep` for each text that repeats an earlier one that is kept."""
    most = len(texts.features)
    index = _Index(
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
        # A text shorter than this one needs the most of its words in the index.
        shortest = int(np.ceil(size * threshold / (2 - threshold) - 1e-6))
        for place in range(min(size, size - _least_shared(size, shortest, threshold) + 1)):
            index.before[postings] = index.newest[own[place]]
            index.text[postings], index.place[postings] = text, place
            index.newest[own[place]] = postings
            postings += 1


@numba.njit(cache=True, nogil=True)
def _repeats(text, texts, threshold, index):  # type: ignore[no-untyped-def]
    """Whether a text repeats one that is in the index."""
    words, features, starts = texts.words, texts.features, texts.starts
    own = features[starts[text] : starts[text + 1]]
    mine = words[starts[text] : starts[text + 1]]
    size = len(own)
    shortest = size * threshold / (2 - threshold) - 1e-6
    longest = size * (2 - threshold) / threshold + 1e-6
    bits = np.empty((0, 0), np.uint64)
    found = False
    last = size - _least_shared(size, shortest, threshold)
    for place in range(min(size, last + 1)):
        posting = index.newest[own[place]]
        while posting >= 0 and not found:
            other = index.text[posting]
            there = index.place[posting]
            posting = index.before[posting]
            if index.compared[other] == text:
                continue
            theirs = features[starts[other] : starts[other + 1]]
            if not shortest <= len(theirs) <= longest:
                continue
            index.compared[other] = text
            needed = _least_shared(size, len(theirs), threshold)
            if not _share_enough(own, theirs, place, there, needed):
                continue
            if bits.size == 0:
                bits = _word_bits(mine, index.rows)
            common = _common_subsequence(bits, words[starts[other] : starts[other + 1]], index.rows)
            if common >= needed:
                precision, recall = common / size, common / len(theirs)
                # As rouge_score rounds it.
                found = 2 * precision * recall / (precision + recall) >= threshold
        if found:
            break
    if bits.size:
        for word in mine:
            index.rows[word] = -1
    return found


@numba.njit(cache=True, nogil=True)
def _share_enough(own, theirs, at, there, needed):  # type: ignore[no-untyped-def]
    """Whether two ascending arrays share `needed` values; their first shared one is given."""
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


@numba.njit(cache=True, nogil=True)
def _word_bits(words, rows):  # type: ignore[no-untyped-def]
    """The places of each different word of a text, as bits; `rows` gets the words' rows."""
    different = 0
    for word in words:
        if rows[word] < 0:
            rows[word] = different
            different += 1
    bits = np.zeros((different, (len(words) + 63) // 64), np.uint64)
    for place in range(len(words)):
        bits[rows[words[place]], place // 64] |= np.uint64(1) << np.uint64(place % 64)
    return bits


@numba.njit(cache=True, nogil=True)
def _common_subsequence(bits, words, rows):  # type: ignore[no-untyped-def]
    """Length of the longest common subsequence of the text of `bits` and `words`."""
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
            # An unsigned sum that is smaller than a summand has overflowed.
            carry = np.uint64(added < old) | np.uint64(total < added)
            state[part] = total | (old & ~matched)
    common = 0
    for value in state:
        cleared = ~value
        while cleared:
            cleared &= cleared - np.uint64(1)
            common += 1
    return common
