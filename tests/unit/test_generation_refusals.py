"""The detector of refusals, measured on a labelled sample, and texts that only look like refusals.

The sample `refusals.jsonl` has two halves of equal kinds: the patterns were written with the half
`written` in view; precision and recall are those of the half `measured`.
"""

import json
from pathlib import Path

import pytest

from lamini.generation.refusals import is_refusal

SAMPLE = Path(__file__).parents[2] / "config/detectors/refusals.jsonl"
MINIMUM = {"precision": 0.95, "recall": 0.95}


def sample(half: str) -> list[dict]:
    rows = map(json.loads, SAMPLE.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["half"] == half]


@pytest.mark.parametrize("half", ["written", "measured"])
def test_precision_and_recall(half):
    rows = sample(half)
    wrong = [row["response"] for row in rows if is_refusal(row["response"]) != row["refusal"]]
    found = [row for row in rows if is_refusal(row["response"])]
    right = sum(row["refusal"] for row in found)
    measured = {
        "precision": right / len(found),
        "recall": right / sum(row["refusal"] for row in rows),
    }
    print(half, len(rows), "rows:", measured)
    below = {name: value for name, value in measured.items() if value < MINIMUM[name]}
    assert not below, wrong


def test_the_sample_is_large_and_nothing_is_in_both_halves():
    written, measured = sample("written"), sample("measured")
    assert len(written) >= 200
    assert len(measured) >= 200
    for rows in (written, measured):
        assert 0.4 < sum(row["refusal"] for row in rows) / len(rows) < 0.6
    texts = [row["response"] for row in (*written, *measured)]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(
    ("full", "contracted"),
    [
        ("I am unable to assist with that.", "I'm unable to assist with that."),
        ("I cannot share this.", "I can't share this."),
        ("I cannot share this.", "I can’t share this."),
        ("I will not write that.", "I won't write that."),
        ("I do not have access to real-time data.", "I don't have access to real-time data."),
        ("I am not able to do that.", "I'm not able to do that."),
        ("I would rather not say that.", "I'd rather not say that."),
    ],
)
def test_both_forms_of_a_verb_refuse(full, contracted):
    assert is_refusal(full)
    assert is_refusal(contracted)
    assert is_refusal(f"I am sorry, but {full}")
    assert is_refusal(f"I'm sorry, but {contracted}")


def test_a_quoted_refusal_is_a_text_and_a_response_in_quotes_is_not():
    assert is_refusal('"I cannot help with that."')
    assert not is_refusal('"I cannot help with that," said the clerk.')
    assert not is_refusal('"I cannot help with that." She left. "Come back!"')


def test_only_the_start_of_a_response_is_read():
    story = "The fox ran over the hill. " * 20_000
    assert not is_refusal(f"{story}I'm sorry, but I can't help with that.")
    assert not is_refusal("")
    assert not is_refusal(" \n")
