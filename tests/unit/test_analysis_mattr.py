"""MATTR, compared with slow, obvious references and with the library `lexicalrichness`."""

import re
import unicodedata
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from lexicalrichness import LexicalRichness
from scipy import stats

from lamini.analysis.mattr import LexicalDiversity, mattr
from lamini.analysis.words import JOINERS, WITHOUT_SPACES, word_hashes
from lamini.generation.normalization import normalized, unified
from lamini.settings.dataset import MattrTexts

TEXT = st.text(
    st.one_of(
        st.sampled_from([*"abAB '’-_.1\n\x00", *"\u200béÉم\u064e字のกี🎉ẞ"]),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)
HOSTILE = ["", "\x00", "\u200b", "🎉👩‍👩‍👧", "مرحبًا", "-'-", "a-'b", "e\u0301", "x" * 10**6, "İI"]


def slow_words(text: str, *, signs: bool = False, lower: bool = True) -> list[str]:
    """Words of the unified text, cut as documented."""
    text = unified(text)

    def kind(character: str) -> str:
        found = "L" if character == "_" else unicodedata.category(character)[0]
        return "alone" if found in "LN" and regex.match(WITHOUT_SPACES, character) else found

    words, word, last = [], "", ""
    for place, character in enumerate(text):
        following = text[place + 1 : place + 2]
        now = kind(character)
        if now == "alone" or (signs and now in ("P", "S")):
            words += [word] * bool(word)
            word, last = character, "alone"
        elif now == "M" and word:
            word += character
        elif now in ("L", "N"):
            small = character.lower()
            if last == "alone":
                words, word = [*words, word], ""
            word += small if lower and len(small) == 1 else character
            last = "word"
        elif (
            character in JOINERS
            and word
            and last == "word"
            and following
            and kind(following) in ("L", "N", "M")
        ):
            word += character
        else:
            words += [word] * bool(word)
            word, last = "", ""
    return words + [word] * bool(word)


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


@given(texts=st.lists(TEXT, max_size=6), lower=st.booleans())
@settings(max_examples=200, deadline=None)
def test_punctuation_marks_are_words_of_their_own(texts: list[str], lower: bool) -> None:
    hashes, starts = word_hashes(pa.array(texts, pa.string()), punctuation=True, lower=lower)
    expected = [slow_words(text, signs=True, lower=lower) for text in texts]
    assert np.diff(starts).tolist() == [len(words) for words in expected]
    assert same_words([word for words in expected for word in words], hashes)


@pytest.mark.parametrize("lower", [True, False])
def test_tokens_of_english_are_those_of_a_regular_expression(lower: bool) -> None:
    text = "Don't re-use 'it': e.g. $3.14 (well_known)!! The the THE"
    found = re.findall(r"\w+|[^\w\s]", text.lower() if lower else text)
    hashes, _ = word_hashes(pa.array([text]), punctuation=True, lower=lower)
    assert len(found) == 26
    assert same_words(found, hashes)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:10]))
def test_hostile_texts_are_cut_the_same(text: str) -> None:
    hashes, _ = word_hashes(pa.array([text]))
    assert same_words(slow_words(text), hashes)


def test_words_of_an_example_are_as_expected() -> None:
    text = "Don't re-use the well-known 'Quoted' word—really. 3.14 don’t"
    expected = ["don't", "re-use", "the", "well-known", "quoted", "word", "really", "3", "14"]
    assert slow_words(text) == [*expected, "don't"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("北京大学的学生, A级", [*"北京大学的学生", "a", "级"]),
        ("ひらがなとカタカナ", [*"ひらがなと", "カタカナ"]),
        ("กี่วัน", ["กี่", "วั", "น"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("❤\ufe0f ok \u0301x", ["ok", "x"]),
    ],
)
def test_scripts_without_spaces_are_cut_by_character(text: str, words: list[str]) -> None:
    assert slow_words(text) == words
    hashes, _ = word_hashes(pa.array([text]))
    assert same_words(words, hashes)


SENTENCE = "They didn't re-use the café's well-known menu 10 times a day"
VARIANTS = {
    "curly": SENTENCE.replace("'", "’"),
    "modifier letter": SENTENCE.replace("'", "ʼ"),
    "hyphen": SENTENCE.replace("-", "\u2011"),
    "NFD": unicodedata.normalize("NFD", SENTENCE),
    "full width": "".join(chr(ord(c) + 0xFEE0) if "!" < c < "~" else c for c in SENTENCE),
    "zero width": SENTENCE.replace("a", "a\u200b").replace("k", "k\u00ad"),
    "no-break space": SENTENCE.replace(" ", "\u00a0"),
    "HTML space": SENTENCE.replace(" ", "&nbsp;"),
    "HTML": SENTENCE.replace("'", "&#8217;").replace("é", "&eacute;"),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_a_sentence_have_its_words(name: str) -> None:
    texts = pa.array([SENTENCE, "plain", VARIANTS[name]])
    hashes, starts = word_hashes(texts.slice(1))
    assert hashes[starts[1] :].tolist() == word_hashes(texts)[0][: starts[2] - starts[1]].tolist()
    assert len(word_hashes(texts.slice(0, 1))[0]) == 11
    assert normalized(VARIANTS[name]) == normalized(SENTENCE)


@given(text=TEXT)
def test_unified_texts_stay_as_they_are(text: str) -> None:
    assert unified(unified(text)) == unified(text)
    assert normalized(normalized(text)) == normalized(text)


def test_other_entities_stay() -> None:
    assert unified("a &amp;nbsp; &unknown; &notit; R&D; 1 &lt; 2") == (
        "a &amp;nbsp; &unknown; &notit; R&D; 1 < 2"
    )


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
        assert mean.of_source(wanted).value == pytest.approx(expected, abs=1e-12)
        joint = slow_mattr([w for text in words for w in text], window)
        assert joined.of_source(wanted).value == pytest.approx(joint, abs=1e-12)
    words = [w for w in map(slow_words, everything) if w]
    expected = float(np.mean([slow_mattr(w, window) for w in words])) if words else 0.0
    assert mean.of_all().value == pytest.approx(expected, abs=1e-12)
    joint = slow_mattr([w for text in words for w in text], window)
    assert joined.of_all().value == pytest.approx(joint, abs=1e-12)


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
    assert one.of_source("alpaca").value == 0.5
    assert one.of_all().value > 0.6  # windows hold texts of both sources
    assert shuffled(texts, 7, seed=4).of_all() != one.of_all()
    in_order = LexicalDiversity("concatenated", 4, 3)
    for source, found in texts.items():
        in_order.add(source, pa.array(found))
    # 1,197 windows of four words, of which three hold words of both sources.
    assert in_order.of_all().value == pytest.approx((1194 * 0.5 + 0.75 + 1 + 0.75) / 1197)


def test_each_source_is_shuffled_on_its_own() -> None:
    texts = ["a b c d e", "a a a a a", "f g", "", "h i j k l m", "b b", "a b a b"] * 20
    once = shuffled({"alpaca": texts}, 7).of_source("alpaca")
    both = shuffled({"alpaca": texts, "original_p3": texts}, 7)
    assert both.of_source("alpaca") == once
    assert both.of_source("original_p3") != once


def test_shuffled_is_one_of_the_orders() -> None:
    texts = ["a b c", "d e", "a a a a a", "", "f g h i j k"]
    measured = shuffled({"alpaca": texts}, 2).of_source("alpaca").value
    from itertools import permutations

    orders = (" ".join(order) for order in permutations(texts))
    assert any(measured == pytest.approx(slow_mattr(o.split(), 4), abs=1e-12) for o in orders)


def test_parts_in_order_join_the_sources_in_order_and_the_whole_in_a_random_one() -> None:
    texts = {"alpaca": ["a b"] * 150 + ["c d"] * 150, "original_p3": ["e f"] * 300}
    measured, in_order = (
        LexicalDiversity(kind, 4, 3) for kind in ("parts_in_order", "concatenated")
    )
    for source, found in texts.items():
        measured.add(source, pa.array(found))
        in_order.add(source, pa.array(found))
    sources, everything = measured.of_each()
    assert sources == in_order.of_each()[0]
    assert everything == shuffled(texts, 300).of_all()
    assert in_order.of_all().margin is None, "blocks of joined sources are not drawn alike"


@pytest.mark.parametrize("window", [3, 10])
def test_margins_of_joined_texts_do_not_depend_on_batches(window: int) -> None:
    words = np.random.default_rng(2).integers(0, 40, 9_000)
    texts = [" ".join(map(str, part)) for part in np.split(words, 300)]
    found = set()
    for batch in (1, 7, 300):
        measured = LexicalDiversity("concatenated", window, 1)
        for first in range(0, 300, batch):
            measured.add("alpaca", pa.array(texts[first : first + batch]))
        found.add(measured.of_source("alpaca"))
    ((value, margin),) = found
    assert value == pytest.approx(slow_mattr(list(map(str, words)), window))
    # 8,998 windows of 3 words give 37 blocks of 240 windows; 8,991 of 10 words, 22 blocks of 400.
    size = {3: 240, 10: 400}[window]
    tokens = list(map(str, words))
    blocks = [
        slow_mattr(tokens[first : first + size + window - 1], window)
        for first in range(0, len(words) - window + 1 - size + 1, size)
    ]
    low, high = stats.t.interval(0.95, len(blocks) - 1, np.mean(blocks), stats.sem(blocks))
    assert margin == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("kind", ["shuffled", "concatenated", "mean"])
def test_intervals_hold_the_value_of_other_texts(
    kind: Literal["shuffled", "concatenated", "mean"],
) -> None:
    """About 95 of 100 samples; fewer than 85, or all 100, would prove a wrong width."""
    random = np.random.default_rng(7)

    def sample(texts: int) -> LexicalDiversity:
        measured = LexicalDiversity(kind, 10, 1)
        # Each text has its own topic, so its words are similar.
        words = random.integers(0, 30, (texts, 1)) * 5 + random.integers(0, 12, (texts, 20))
        lines = [" ".join(f"w{word}" for word in row) for row in words.tolist()]
        measured.add("alpaca", pa.array(lines))
        return measured

    truth = sample(40_000).of_source("alpaca").value
    held = 0
    for _ in range(100):
        value, margin = sample(200).of_source("alpaca")
        assert margin is not None
        held += abs(value - truth) <= margin
    assert 85 <= held < 100
    assert sample(3).of_source("alpaca").margin is None


def test_the_margin_of_a_mean_is_that_of_students_t() -> None:
    texts = [" ".join("abcdefgh"[: 2 + n % 6] * 3) for n in range(40)]
    measured = LexicalDiversity("mean", 5, 1)
    for part in (texts[:25], texts[25:]):
        measured.add("alpaca", pa.array(part))
    values = [slow_mattr(text.split(), 5) for text in texts]
    value, margin = measured.of_each()[1]
    low, high = stats.t.interval(0.95, 39, np.mean(values), stats.sem(values))
    assert (value - (margin or 0), value + (margin or 0)) == pytest.approx((low, high))


def test_no_words_give_zero() -> None:
    for kind in get_args(MattrTexts):
        measured = LexicalDiversity(kind, 5, 0)
        measured.add("alpaca", pa.array(["", "!?"]))
        assert measured.of_source("alpaca").value == measured.of_all().value == 0.0
