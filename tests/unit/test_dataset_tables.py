"""Numbers in the tables of dataset and students: scale, rounding and column."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from score_cases import PAPER, made_table, student

SYMBOLS = {"alpaca": "D_A"}
PARAMS = {"symbols": SYMBOLS, "mixture": "mix"}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _csv(name: str, *rows: dict[str, Any]) -> str:
    with open(name, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return name


def _lines(name: str) -> list[list[str]]:
    with open(f"{name}.csv", newline="") as handle:
        return list(csv.reader(handle))[1:]


def _published(**changes: Any) -> str:
    row = {"samples_millions": "0.05", "instruction_tokens_millions": "1.5"}
    row |= {"instruction_mean_tokens": "20.21", "response_tokens_millions": "2.5"}
    row |= {"response_mean_tokens": "40.41", "instruction_mattr": "71.5", "response_mattr": "72.5"}
    whole = dict.fromkeys(row, "") | {"samples_millions": "2.58"}
    return _csv(
        "published.csv",
        {"instruction_source": "alpaca", **row},
        {"instruction_source": "", **whole},
    )


def test_statistics_stand_beside_the_published_ones() -> None:
    row = {"instruction_source": "alpaca", "samples": 4, "instruction_tokens": 1234}
    row |= {"instruction_mean_tokens": 308.5, "response_tokens": 5678}
    row |= {"response_mean_tokens": 1419.5, "instruction_margin": 1.25, "response_margin": ""}
    statistics = _csv("statistics.csv", row, row | {"instruction_source": "mix", "samples": 9})
    inputs = {"statistics": statistics, "published": _published()}
    _, text, _ = made_table("01", inputs, PARAMS | {"tokenizer": "gpt2"})
    assert _lines("01") == [
        [
            "D_A",
            "alpaca",
            "4",
            "50000",
            "1234",
            "1500000",
            "308.50",
            "1.25",
            "20.21",
            "5678",
            "2500000",
            "1419.50",
            "",
            "40.41",
        ],
        [
            *["D_ALL", "mix", "9", "2580000", "1234"],
            "",
            "308.50",
            "1.25",
            "",
            "5678",
            "",
            "1419.50",
            "",
            "",
        ],
    ]
    assert "| 308.50 | 1.25 | 20.21 |" in text
    assert "tokens of the tokenizer `gpt2`" in text


def test_diversity_is_shown_as_measured() -> None:
    row = {"instruction_source": "alpaca", "instruction_mattr": 70.125, "response_mattr": 80.5}
    diversity = _csv("diversity.csv", row | {"instruction_margin": 0.5, "response_margin": ""})
    inputs = {"diversity": diversity, "published": _published()}
    reading = {"window": 50, "tokens": "words", "lower_case": True, "texts": "shuffled"}
    _, text, _ = made_table("02", inputs, PARAMS | reading)
    assert _lines("02") == [["D_A", "alpaca", "70.12", "0.50", "71.50", "80.50", "", "72.50"]]
    assert (
        "Window of 50 tokens (words without punctuation, lower-cased), over all texts joined in a"
        " random order." in text
    )


def test_readings_of_diversity_stand_below_the_published_values() -> None:
    sources = ("alpaca", "original_p3", "")
    published = [
        {
            "instruction_source": source,
            "instruction_mattr": mattr,
            "response_mattr": "",
            "instruction_tokens_millions": tokens,
        }
        for source, mattr, tokens in zip(sources, (77, 74, 78), (1, 3, ""), strict=True)
    ]
    readings = [
        {
            "tokens": "words",
            "lower_case": lower,
            "texts": "shuffled",
            "text": text,
            "instruction_source": source,
            "mattr": value,
            "margin": margin,
        }
        for text in ("instruction", "response")
        for lower, values in ((1, (78, 74.5, 80)), (0, (80, 76, 79)))
        for source, value, margin in zip(
            ("alpaca", "original_p3", "mix"), values, (0.3, 0.4, ""), strict=True
        )
    ]
    inputs = {
        "published": _csv("published.csv", *published),
        "readings": _csv("readings.csv", *readings),
    }
    params = {"mixture": "mix", "symbols": {"alpaca": "D_A", "original_p3": "D_P3"}}
    params |= {"sources": ["alpaca", "original_p3"], "window": 50, "tokenizer": "gpt2"}
    _, text, _ = made_table("mattr_readings", inputs, params)
    words = "words without punctuation"
    assert _lines("mattr_readings")[:4] == [
        ["instruction", "published", "", "", "77.00", "74.00", "78.00", "3.25", "", ""],
        # The sources' mean is (78 + 3 * 74.5) / 4 = 75.375; the error is hypot(0.3, 0.4) / 2.
        *(
            ["instruction", words, case, "shuffled", *values]
            for case, *values in (
                ["lower", "78.00", "74.50", "80.00", "4.62", "0.75", "0.25"],
                ["as written", "80.00", "76.00", "79.00", "2.00", "2.50", "0.25"],
            )
        ),
        ["response", "published", *[""] * 8],
    ]
    assert (
        f"Closest to the published instructions: {words}, lower, shuffled (0.75, ± 0.25)." in text
    )
    assert "Closest to the published responses" not in text


def test_generation_counts_and_shares() -> None:
    row = {"source": "a", "stage": "pairs", "requests": 5000, "wanted": 40, "accepted": 30}
    row |= {"parse_rate": 0.75, "rejected_empty": 3, "rejected_long": 0, "flagged_refusal": 2}
    row |= {"prompt_tokens": 1000, "completion_tokens": 2000, "dollars": 1.255}
    row |= {"model": "m"}
    plain = row | {"stage": "instructions", "parse_rate": "", "rejected_empty": 0, "dollars": ""}
    path = _csv("generation.csv", row, plain, row | {"stage": "queries"})
    made_table("generation", {"generation": path}, {})
    assert _lines("generation") == [
        ["a", "pairs", "m", "5000", "40", "30", "75.0", "empty 3", "1000", "2000", "1.25"],
        ["a", "instructions", "m", "5000", "40", "30", "", "refusal 2", "1000", "2000", ""],
    ]


def test_training_shows_losses_and_what_was_left_out() -> None:
    facts = {"steps": 12, "pairs_used": 900, "pairs_left_out": {"prompt": 3, "response": 4}}
    facts |= {"tokens": 5000, "loss_first": 4.5, "loss_last": 2.0625}
    facts |= {"held_out_before": 4.75, "held_out_after": None, "pairs_held_out": 8}
    facts |= {"model": "mine", "initialization": {"path": "start", "revision": None}}
    facts |= {"supervised_tokens": 9, "dataset_sha256": "0"}
    for name, steps in (("a.json", 12), ("b.json", 34)):
        Path(name).write_text(json.dumps(facts | {"steps": steps}))
    students = [student("mine", "Mine"), student("other", "Other")]
    made_table("training", {"manifests": ["a.json", "b.json"]}, {"students": students})
    assert _lines("training") == [
        ["Mine", "12", "900", "7", "5000", "4.500", "2.062", "4.750", ""],
        ["Other", "34", "900", "7", "5000", "4.500", "2.062", "4.750", ""],
    ]
    facts |= {"kept_step": 6, "kept_epoch": 2.0, "steps_planned": 15}
    adapter = {"parameters_trained": 3072, "parameters_frozen": 44512, "modules": ["c_attn"]}
    facts |= {"adapter": adapter}
    Path("b.json").write_text(json.dumps(facts))
    _, text, _ = made_table("training", {"manifests": ["a.json", "b.json"]}, {"students": students})
    assert "Other: weights of epoch 2, with the lowest held-out loss." in text
    assert "Other: stopped after 12 of 15 steps, because the held-out loss" in text
    assert "Other: a LoRA adapter of 3,072 parameters; 44,512 are not trained." in text
    assert "Mine: a LoRA adapter" not in text
    assert "Mine: weights" not in text
    assert "Mine: stopped" not in text


def test_the_collection_says_which_students_were_trained() -> None:
    students = [student("theirs", "LaMini-T5-61M"), student("mine", "Mine")]
    params = {"students": students, "trained": True}
    made_table("03", {"published": str(PAPER / "models.csv")}, params)
    rows = {row[0].rstrip("*"): row for row in _lines("03")}
    assert len(rows) == 16
    trained = ["LaMini-T5-61M", "enc-dec", "T5-small", "5e-4", "trained"]
    assert rows["LaMini-T5-61M"] == trained
    assert rows["LaMini-GPT-1.5B"][4] == "not in this run"
    assert rows["Mine"] == ["Mine", "dec-only", "Start", "2e-5", "trained; not of the paper"]
    assert sum(row[0].endswith("*") for row in rows.values()) == 6


def test_plain_tables_keep_numbers_as_numbers() -> None:
    path = _csv("quality.csv", {"source": "a", "pairs_read": "1200", "share": "12.345", "none": ""})
    params = {"title": "T", "notes": [], "digits": 1, "columns": []}
    rows, text, _ = made_table("quality", {"analysis": path}, params)
    assert rows == [{"Source": "a", "Pairs read": "1200", "Share": "12.3", "None": ""}]
    assert "| a | 1,200 | 12.3 | – |" in text


def test_contaminated_examples_in_percent() -> None:
    row = {"task": "rte", "instruction_source": "mix", "examples": 8, "comparable_examples": 6}
    row |= {"pairs_8": 5, "pairs_13": 3, "examples_8": 2, "examples_13": 1}
    path = _csv("contamination.csv", row, row | {"instruction_source": "alpaca", "pairs_13": 4})
    params = PARAMS | {"sources": ["alpaca"], "ngrams": [8, 13], "tasks": {"rte": "RTE"}}
    made_table("contamination", {"analysis": path}, params)
    # The intervals by hand: Wilson's of 2 and of 1 of 8 examples.
    shares = ["25.0", "7.1", "59.1", "12.5", "2.2", "47.1"]
    assert _lines("contamination") == [["RTE", "8", "6", *shares, "4", "3"]]
