"""Selection of instructions: the filters, compared with their references, and the funnel."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from test_generation_pairs import rows, select

from lamini.analysis.rouge import RougeTexts
from lamini.files import write_jsonl
from lamini.settings.dataset import Deduplication

WORDS = ["a", "B", "b", "c3", "dog", "the", "don't", "Straße", "İx", "\u212aelvin", "!", "中"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join), max_size=12)


def slow_unrepeated(texts: list[str], threshold: float) -> list[bool]:
    """As in self-instruct: compare each text with all earlier kept texts."""
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    kept: list[str] = []
    stay = []
    for text in texts:
        scores = (scorer.score(other, text)["rougeL"].fmeasure for other in kept)
        stay.append(all(score < threshold for score in scores))
        if stay[-1]:
            kept.append(text)
    return stay


def unrepeated(texts: list[str], threshold: float, part: int = 5) -> list[bool]:
    together = RougeTexts()
    for first in range(0, len(texts), part):
        together.add(texts[first : first + part])
    return together.unrepeated(threshold).tolist()


@given(texts=TEXTS, threshold=st.sampled_from([0.3, 0.5, 0.7, 0.75, 1.0]))
@settings(max_examples=300, deadline=None)
def test_rouge_filter_answers_as_rouge_score(texts: list[str], threshold: float) -> None:
    assert unrepeated(texts, threshold) == slow_unrepeated(texts, threshold)


def test_rouge_filter_answers_as_rouge_score_on_long_texts() -> None:
    draw = random.Random(3)
    texts = []
    for _ in range(60):
        source = draw.choice(texts).split() if texts and draw.random() < 0.6 else []
        words = [w for w in source if draw.random() < 0.8] or draw.choices("abcdefgh", k=150)
        texts.append(" ".join([*words, *draw.choices("ijk", k=draw.randrange(30))]))
    stay = unrepeated(texts, 0.7)
    assert stay == slow_unrepeated(texts, 0.7)
    assert 5 < sum(stay) < 55


def test_each_filter_takes_what_the_one_before_left_and_is_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_jsonl(
        "a.jsonl",
        rows(
            "Name three trees of the northern forest and say why they grow there.",
            "name three TREES of the northern forest and say why they grow there.",
            "Name four trees of the northern forest and say why they grow there.",
            "Sing of the sea, the wind, the rain, the snow, the sun and the moon tonight.",
            "Sing of the sea, the wind, the rain, the snow, the sun and the moon tonight, please.",
            "Dance!",
        ),
    )

    def left(**filters: object) -> tuple[list[str], dict[str, int]]:
        shards, funnel = select([Path("a.jsonl")], 1, Deduplication(**filters))
        stages = {stage["stage"]: stage["left"] for stage in funnel["stages"]}
        return [row["id"].removeprefix("some/id") for row in shards[0]], stages

    assert left() == (["0", "2", "3", "4", "5"], {"rows": 6, "exact": 5})
    assert left(rouge_l=0.7) == (["0", "3", "5"], {"rows": 6, "exact": 5, "rouge_l": 3})
    assert left(minhash={"threshold": 0.85}) == (
        ["0", "2", "3", "5"],
        {"rows": 6, "exact": 5, "minhash": 4},
    )
    assert left(exact=False, rouge_l=0.7, minhash={})[1] == {
        "rows": 6,
        "exact": 6,
        "rouge_l": 3,
        "minhash": 3,
    }


@pytest.mark.parametrize("threshold", [0, 1.1])
def test_thresholds_out_of_range_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="rouge_l"):
        Deduplication(rouge_l=threshold)
