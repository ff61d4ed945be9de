"""MATTR, compared with slow, obvious references and with the library `lexicalrichness`."""

import unicodedata
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lexicalrichness import LexicalRichness
from scipy import stats

from lamini.analysis.mattr import LexicalDiversity, mattr
from lamini.analysis.words import JOINERS, word_hashes

TEXT = st.text(
    st.one_of(
        st.sampled_from([*"abAB '’-_.1\n\x00", "\u200b", "é", "É", "م", "َ", "字", "🎉", "ẞ"]),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)
HOSTILE = ["", "\x00", "\u200b", "🎉👩‍👩‍👧", "مرحبًا", "-'-", "a-'b", "e\u0301", "x" * 10**6, "İI"]


def slow_words(text: str) -> list[str]:
    """Words, split as documented."""

    def inside(character: str) -> bool:
        return character == "_" or unicodedata.category(character)[0] in "LNM"

    words, word = [], ""
    for place, character in enumerate(text):
        after = text[place + 1 : place + 2]
        if inside(character):
            lower = character.lower()
            word += lower if len(lower) == 1 else character
        elif character in JOINERS and word and after and inside(after):
            word += character
        elif word:
            words.append(word)
            word = ""
    return [*words, word] if word else words


def slow_mattr(words: list[str], window: int) -> float:
    if len(words) < window:
        return len(set(words)) / len(words) if words else 0.0
    windows = [words[i : i + window] for i in range(len(words) - window + 1)]
    return float(np.mean([len(set(w)) / window for w in windows]))


def same_words(words: list[str], hashes: np.ndarray) -> bool:
    """Whether two hashes are equal exactly if their words are equal."""
    names = dict(zip(words, hashes.tolist(), strict=True))
    return [names[w] for w in words] == hashes.tolist() and len(set(names.values())) == len(names)


@given(texts=st.lists(TEXT, max_size=6), skipped=st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_words_are_cut_as_documented(texts: list[str], skipped: int) -> None:
    hashes, starts = word_hashes(pa.array(texts, pa.string()).slice(skipped))
    expected = [slow_words(text) for text in texts[skipped:]]
    assert np.diff(starts).tolist() == [len(words) for words in expected]
    assert same_words([word for words in expected for word in words], hashes)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:10]))
def test_hostile_texts_are_cut_the_same(text: str) -> None:
    hashes, _ = word_hashes(pa.array([text]))
    assert same_words(slow_words(text), hashes)


def test_words_of_an_example_are_as_expected() -> None:
    text = "Don't re-use the well-known 'Quoted' word—really. 3.14 don’t"
    expected = ["don't", "re-use", "the", "well-known", "quoted", "word", "really", "3", "14"]
    assert slow_words(text) == [*expected, "don’t"]


@given(text=st.lists(st.sampled_from(list("abcdefgh")), max_size=120), window=st.integers(2, 60))
@settings(max_examples=300, deadline=None)
def test_one_text_is_the_mean_over_its_windows(text: list[str], window: int) -> None:
    assert mattr(" ".join(text), window) == pytest.approx(slow_mattr(text, window), abs=1e-12)


@given(
    text=st.lists(st.text(st.sampled_from("abcxyz"), min_size=1, max_size=3), min_size=50),
    window=st.integers(2, 50),
)
@settings(max_examples=60, deadline=None)
def test_agrees_with_lexicalrichness(text: list[str], window: int) -> None:
    expected = LexicalRichness(" ".join(text)).mattr(window_size=window)
    assert mattr(" ".join(text), window) == pytest.approx(expected, abs=1e-9)


BATCHES = st.lists(
    st.tuples(st.sampled_from(["alpaca", "original_p3"]), st.lists(TEXT, max_size=5)),
    min_size=1,
    max_size=6,
)


@given(batches=BATCHES, window=st.integers(2, 9))
@settings(max_examples=200, deadline=None)
def test_mean_and_concatenated_do_not_depend_on_batches(
    batches: list[tuple[str, list[str]]], window: int
) -> None:
    mean, joined = (LexicalDiversity(kind, window, 1) for kind in ("mean", "concatenated"))
    for source, texts in batches:
        mean.add(source, pa.array(texts, pa.string()))
        joined.add(source, pa.array(texts, pa.string()))
    everything = [text for _, texts in batches for text in texts]
    for wanted in {source for source, _ in batches}:
        texts = [text for source, found in batches if source == wanted for text in found]
        words = [w for w in map(slow_words, texts) if w]
        expected = float(np.mean([slow_mattr(w, window) for w in words])) if words else 0.0
        assert mean.of_source(wanted) == pytest.approx(expected, abs=1e-12)
        joint = slow_mattr([w for text in words for w in text], window)
        assert joined.of_source(wanted) == pytest.approx(joint, abs=1e-12)
    words = [w for w in map(slow_words, everything) if w]
    expected = float(np.mean([slow_mattr(w, window) for w in words])) if words else 0.0
    assert mean.of_all() == pytest.approx(expected, abs=1e-12)
    joint = slow_mattr([w for text in words for w in text], window)
    assert joined.of_all() == pytest.approx(joint, abs=1e-12)


def shuffled(texts: dict[str, list[str]], batch: int, seed: int = 3) -> LexicalDiversity:
    measured = LexicalDiversity("shuffled", 4, seed)
    for source, found in texts.items():
        for first in range(0, len(found), batch):
            measured.add(source, pa.array(found[first : first + batch]))
    return measured


def test_shuffled_is_seeded_and_mixes_the_sources() -> None:
    texts = {"alpaca": ["a b"] * 300, "original_p3": ["c d"] * 300}
    one, other = shuffled(texts, 7), shuffled(texts, 100)
    assert one.words == other.words == 1200
    assert one.of_all() == other.of_all()
    assert one.of_source("alpaca") == 0.5
    assert one.of_all() > 0.6  # windows hold texts of both sources
    assert shuffled(texts, 7, seed=4).of_all() != one.of_all()
    in_order = LexicalDiversity("concatenated", 4, 3)
    for source, found in texts.items():
        in_order.add(source, pa.array(found))
    # 1,197 windows of four words, of which three hold words of both sources.
    assert in_order.of_all() == pytest.approx((1194 * 0.5 + 0.75 + 1 + 0.75) / 1197)


def test_shuffled_is_one_of_the_orders() -> None:
    texts = ["a b c", "d e", "a a a a a", "", "f g h i j k"]
    measured = shuffled({"alpaca": texts}, 2).of_source("alpaca")
    from itertools import permutations

    orders = (" ".join(order) for order in permutations(texts))
    assert any(measured == pytest.approx(slow_mattr(o.split(), 4), abs=1e-12) for o in orders)


@pytest.mark.parametrize("kind", ["shuffled", "mean"])
def test_intervals_hold_the_value_of_other_texts(kind: Literal["shuffled", "mean"]) -> None:
    """About 95 of 100 samples; fewer than 85, or all 100, would prove a wrong width."""
    random = np.random.default_rng(7)

    def sample(texts: int) -> LexicalDiversity:
        measured = LexicalDiversity(kind, 10, 1)
        # Each text has its own topic, so its words are similar.
        words = random.integers(0, 30, (texts, 1)) * 5 + random.integers(0, 12, (texts, 20))
        lines = [" ".join(f"w{word}" for word in row) for row in words.tolist()]
        measured.add("alpaca", pa.array(lines))
        return measured

    truth = sample(40_000).of_all()
    held = 0
    for _ in range(100):
        value, margin = sample(200).of_each()[1]
        assert margin is not None
        held += abs(value - truth) <= margin
    assert 85 <= held < 100
    assert sample(3).of_each()[1].margin is None


def test_the_margin_of_a_mean_is_that_of_students_t() -> None:
    texts = [" ".join("abcdefgh"[: 2 + n % 6] * 3) for n in range(40)]
    measured = LexicalDiversity("mean", 5, 1)
    measured.add("alpaca", pa.array(texts))
    values = [slow_mattr(text.split(), 5) for text in texts]
    value, margin = measured.of_each()[1]
    low, high = stats.t.interval(0.95, 39, np.mean(values), stats.sem(values))
    assert (value - (margin or 0), value + (margin or 0)) == pytest.approx((low, high))


def test_no_words_give_zero() -> None:
    for kind in ("mean", "concatenated", "shuffled"):
        measured = LexicalDiversity(kind, 5, 0)  # type: ignore[arg-type]
        measured.add("alpaca", pa.array(["", "!?"]))
        assert measured.of_source("alpaca") == measured.of_all() == 0.0
