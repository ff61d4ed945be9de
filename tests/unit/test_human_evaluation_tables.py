"""Tables of ratings have the numbers of the summaries, with separate rows for the judge."""

import csv
from pathlib import Path
from typing import Any

import pytest
from score_cases import item_params

from lamini.errors import LaminiError
from lamini.files import read_json, write_json
from lamini.human_evaluation.collection import summarize_ratings
from lamini.human_evaluation.summary import RatingSummary
from lamini.settings.params.human_evaluation import CollectRatings
from lamini.tables.make import make_table
from lamini.tables.table import DEMO_MARK

SETTINGS = CollectRatings(
    study="models",
    kind="models",
    annotators=["p", "q"],
    replicates=200,
    files=None,
    seed=1,
    version=1,
)
PARAMS = {"names": {"m1": "One", "m2": "Two"}}
Row = dict[str, str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def row(group: str, subject: str, rater: str, annotator: str, rating: str) -> Row:
    return {
        "item": f"{group}-{subject}",
        "group": group,
        "subject": subject,
        "part": "response",
        "rater": rater,
        "annotator": annotator,
        "skipped": "",
        "rating": rating,
    }


def ratings() -> tuple[list[Row], list[Row]]:
    human = [
        row(f"g{n}", m, "human", who, level)
        for n, levels in enumerate(("AB", "CC", "AD"))
        for m, level in zip(("m1", "m2"), levels, strict=True)
        for who in "pq"
    ]
    human.append(row("g9", "m1", "human", "p", ""))
    machine = [row(f"g{n}", m, "machine", "judge", "D") for n in range(3) for m in ("m1", "m2")]
    return human, machine


def table(name: str, human: list[Row], machine: list[Row]) -> tuple[list[list[str]], str]:
    summarize_ratings(human, machine, SETTINGS).write("summary.json")
    outputs: dict[str, Any] = {form: f"{name}.{form}" for form in ("csv", "md", "tex", "json")}
    params = {} if name == "rating_agreement" else PARAMS
    settings = item_params(params, reproduction=False)
    make_table(name, {"summaries": ["summary.json"]}, settings, outputs)
    with open(outputs["csv"], newline="") as handle:
        return list(csv.reader(handle)), Path(outputs["md"]).read_text()


def test_shares_of_people_and_machine_have_rows_of_their_own() -> None:
    (head, *rows), text = table("rating_shares", *ratings())
    assert head[:7] == ["Rated", "Part", "Rated by", "Rate-A", "Rate-B", "Rate-C", "Rate-D"]
    assert [row[:7] for row in rows] == [
        ["One", "response", "people", "4", "0", "2", "0"],
        ["Two", "response", "people", "0", "2", "2", "2"],
        ["One", "response", "a machine", "0", "0", "0", "3"],
        ["Two", "response", "a machine", "0", "0", "0", "3"],
    ]
    # People gave One 4 A and 2 C on three instructions, of which a resample may have only one.
    assert [row[7] for row in rows] == ["66.7", "0.0", "0.0", "0.0"]
    assert [row[10] for row in rows] == ["2.33", "1.00", "0.00", "0.00"]
    assert rows[0][8:10] == ["0.0", "100.0"] and rows[0][11:] == ["1.00", "3.00"]
    assert "people have rated 12 of 13 so far" in text and DEMO_MARK in text


def test_comparisons_and_agreement() -> None:
    (_, *rows), text = table("rating_comparisons", *ratings())
    assert [row[:6] for row in rows] == [
        ["One", "Two", "people", "2", "1", "0"],
        ["One", "Two", "a machine", "0", "3", "0"],
    ]
    # A and B, C and C, A and D: 1, 0 and 3 levels apart; half of all signs are as far out.
    assert [row[6:9] for row in rows] == [["1.33", "-3.00", "3.00"], ["0.00", "-2.12", "2.12"]]
    assert [float(p) for p in rows[0][9:]] == pytest.approx([0.5, 1.0], abs=0.02)
    assert rows[1][9:] == ["1.0000", "1.0000"]
    assert "corrected for the 2 comparisons of this table by Holm's method" in text
    (_, *rows), _ = table("rating_agreement", *ratings())
    # The judge says D to all: 2 of 12 are equal, and the 4 C's (of 12) are within one level.
    assert [row[:5] for row in rows] == [
        ["models", "two people", "6", "100.0", "100.0"],
        ["models", "a person and the judge", "12", "16.7", "50.0"],
    ]
    assert rows[0][5:] == ["1.000", "1.000"]


def test_a_summary_that_is_read_and_written_keeps_its_bytes() -> None:
    human, machine = ratings()
    human.append(row("g9", "m2", "human", "q", "B"))
    summarize_ratings(human, machine, SETTINGS).write("summary.json")
    before = Path("summary.json").read_bytes()
    RatingSummary.read("summary.json").write("summary.json")
    assert Path("summary.json").read_bytes() == before


@pytest.mark.parametrize(
    "entry", ["study", "rated.machine", "shares.human.0.mean.low", "judge_agreement.confusion.A.D"]
)
def test_missing_and_unknown_keys_of_a_summary_are_named(entry: str) -> None:
    summarize_ratings(*ratings(), SETTINGS).write("summary.json")
    *folders, key = entry.split(".")
    content = part = read_json("summary.json")
    for folder in folders:
        part = part[int(folder) if folder.isdigit() else folder]
    part["author"] = 1
    write_json("summary.json", content)
    unknown = ".".join([*folders, "author"])
    with pytest.raises(LaminiError, match=f"summary.json: {unknown}: Extra .*delete it"):
        RatingSummary.read("summary.json")
    del part["author"], part[key]
    write_json("summary.json", content)
    with pytest.raises(LaminiError, match=f"summary.json: {entry}: Field required.*delete it"):
        RatingSummary.read("summary.json")
