"""Funnel, languages, verbs and topics of texts whose result is obvious."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from test_analysis_contamination import PASSAGE, contamination_params
from test_analysis_mattr import HOSTILE
from test_dataset_merge import merge, pair, params, write_shards

from lamini.analysis.contamination import find_contamination
from lamini.analysis.funnel import count_funnel
from lamini.analysis.near_duplicates import find_near_duplicates
from lamini.analysis.topic_coverage import measure_topic_coverage, named_topics
from lamini.analysis.verbs import count_verbs, load_parser, verbs_and_nouns
from lamini.errors import LaminiError
from lamini.files import read_json, write_jsonl
from lamini.settings.dataset import Verbs
from lamini.settings.evaluation import TaskData
from lamini.settings.params.analysis import CountFunnel, CountVerbs, FindNearDuplicates

PACKAGE = Path(__file__).parents[2] / "scripts/lamini"
MODEL = Verbs().model
FRENCH = "Pouvez-vous m'expliquer comment préparer une bonne soupe à l'oignon ?"
GERMAN = "Bitte erkläre mir, warum der Himmel am Abend rot und am Tage blau ist."


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def merged(rows: list[dict[str, Any]]) -> None:
    root = Path.cwd()
    sources = list(dict.fromkeys(row["instruction_source"] for row in rows))
    shards = []
    for source in sources:
        own = [row for row in rows if row["instruction_source"] == source]
        shards += write_shards(root, source, own, 1)
    merge(root, shards, params(*sources))


def table(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def funnel(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    merged(rows)
    dataset = {"manifest": "mix.manifest.json", "dataset": "mix.parquet"}
    write_jsonl("mirror/rte/default/test.jsonl", [{"text": PASSAGE}])
    find_near_duplicates(
        **dataset, near_duplicates="near.parquet", counts="n.csv", settings=FindNearDuplicates()
    )
    find_contamination(
        **dataset,
        contamination="c.csv",
        hits="hits.parquet",
        examples="e.parquet",
        settings=contamination_params({"rte": TaskData(repo="rte", split="test")}),
    )
    count_funnel(
        **dataset,
        near_duplicates="near.parquet",
        hits="hits.parquet",
        funnel="f.csv",
        settings=CountFunnel(),
    )
    return table("f.csv")


def test_each_stage_takes_out_its_pairs() -> None:
    plain = "Describe the way from the station to the old museum by the river"
    rows = [
        pair("alpaca", 0, instruction=plain),
        pair("alpaca", 1, instruction=f"{plain}."),
        pair("alpaca", 2, instruction=FRENCH, response="Faites revenir les oignons."),
        pair("alpaca", 3, instruction="Tell me a secret.", flags=["refusal", "truncated"]),
        pair("alpaca", 4, instruction="Name all the rivers of Europe.", flags=["truncated"]),
        pair("alpaca", 5, instruction=f"Is this true? {PASSAGE}"),
        pair("alpaca", 6, response=" "),
        pair("original_p3", 0, instruction=plain),
        pair("original_p3", 1, instruction=GERMAN, response="Das liegt an der Luft."),
    ]
    first, second, everything = funnel(rows)
    numbers = ["read", "samples", "english", "answered", "whole", "unrepeated", "unseen"]
    assert [int(first[name]) for name in numbers] == [7, 6, 5, 4, 3, 2, 1]
    assert [int(second[name]) for name in numbers] == [2, 2, 1, 1, 1, 0, 0]
    assert [int(everything[name]) for name in numbers] == [9, 8, 6, 5, 4, 2, 1]
    assert float(everything["left_percent"]) == pytest.approx(100 / 8)
    assert float(everything["non_english_percent"]) == pytest.approx(25)
    alone = ["non_english", "unanswered", "truncated", "repeated", "seen"]
    assert [int(everything[name]) for name in alone] == [2, 1, 2, 2, 1]
    counted = ["refused", "non_answers", "unfinished", "foreign_responses"]
    assert [int(everything[name]) for name in counted] == [1, 0, 0, 2]
    before = Path("f.csv").read_bytes()
    funnel(rows)
    assert Path("f.csv").read_bytes() == before


def test_the_first_of_near_duplicates_that_is_left_stays() -> None:
    """A near-duplicate goes only if one that stays is before it, in whatever source."""
    way = "Describe the way from the station to the old museum by the river"
    other = f"{way} in the town, and name the streets and bridges on it"
    rows = [
        pair("alpaca", 0, instruction=way, flags=["refusal"]),
        pair("alpaca", 1, instruction=f"{way}."),
        pair("alpaca", 2, instruction=f"{way}!"),
        pair("alpaca", 3, instruction=other, response=PASSAGE),
        pair("original_p3", 0, instruction=f"{way}?"),
        pair("original_p3", 1, instruction=other, flags=["truncated"]),
        pair("original_p3", 2, instruction=f"{other}."),
    ]
    first, second, everything = funnel(rows)
    numbers = ["samples", "answered", "whole", "unrepeated", "unseen", "repeated", "seen"]
    assert [int(first[name]) for name in numbers] == [4, 3, 3, 2, 1, 2, 1]
    assert [int(second[name]) for name in numbers] == [3, 3, 2, 1, 1, 3, 0]
    assert [int(everything[name]) for name in numbers] == [7, 6, 5, 3, 2, 5, 1]


def test_responses_are_judged_by_their_text_too() -> None:
    rows = [
        pair("alpaca", 0, instruction="Who was he?", response="No context was provided."),
        pair("alpaca", 1, instruction="Where was he born?", response="He was born in the"),
        pair("alpaca", 2, instruction="3 + 4", response="7"),
        pair("alpaca", 3, instruction="Say it in German.", response="Das liegt nur an der Luft."),
    ]
    everything = funnel(rows)[-1]
    counted = ["non_answers", "unfinished", "undetermined_language", "foreign_responses"]
    assert [int(everything[name]) for name in counted] == [1, 1, 1, 1]
    numbers = ["english", "answered", "whole", "non_english", "refused"]
    assert [int(everything[name]) for name in numbers] == [4, 3, 3, 0, 0]


def test_files_of_another_dataset_are_refused() -> None:
    funnel([pair("alpaca", n, instruction="Name all rivers of Europe.") for n in range(2)])
    merged([pair("alpaca", 7)])
    with pytest.raises(LaminiError, match=r"near.parquet: alpaca/00001 is not in the dataset"):
        count_funnel(
            manifest="mix.manifest.json",
            dataset="mix.parquet",
            near_duplicates="near.parquet",
            hits="hits.parquet",
            funnel="f.csv",
            settings=CountFunnel(),
        )


def test_truncation_and_shares_without_data_are_missing() -> None:
    unknown = [pair("alpaca", n, finish_reason=None, model=None) for n in range(2)]
    whole = [pair("original_p3", 0, response=" "), pair("generated_p3", 8)]
    first, second, third, everything = funnel([*unknown, *whole])
    assert [first["whole"], first["truncated"], first["unseen"]] == ["", "", "2"]
    assert [second["samples"], second["whole"], second["truncated"]] == ["0", "0", "0"]
    assert second["left_percent"] == second["non_english_percent"] == ""
    assert [third["whole"], third["truncated"]] == ["1", "0"]
    assert [everything["whole"], everything["truncated"], everything["unseen"]] == ["", "", "3"]
    manifest = read_json("mix.manifest.json")["sources"]
    assert manifest["alpaca"]["finish_reasons"] is manifest["alpaca"]["models"] is None
    assert manifest["original_p3"]["finish_reasons"] == {}
    card = Path("mix.card.md").read_text()
    assert "| alpaca | 2 | 0 | 0 | – |" in card
    assert "| generated_p3 | 1 | 0 | 0 | 0 |" in card
    assert "does not tell why a response ended" in card


def test_verbs_are_the_roots_and_nouns_their_objects() -> None:
    texts = [
        "Write a short story about a lonely lighthouse keeper.",
        "Can you explain the theory of relativity to a child?",
        "Give me three examples of renewable energy. Then compare them.",
        "The capital of France",
        "",
    ]
    found = verbs_and_nouns(load_parser(MODEL), texts)
    assert found[:3] == [("write", "story"), ("explain", "theory"), ("give", "example")]
    assert found[3:] == [("", ""), ("", "")]
    assert len(verbs_and_nouns(load_parser(MODEL), [t[:500] for t in HOSTILE])) == len(HOSTILE)


def test_verbs_are_counted_per_source() -> None:
    rows = [pair("alpaca", n, instruction="Write a poem about the sea.") for n in range(3)]
    rows += [pair("original_p3", 0, instruction="Paint a picture of the sea.")]
    merged(rows)
    settings = CountVerbs(samples=2, seed=1)
    count_verbs(
        manifest="mix.manifest.json", dataset="mix.parquet", verbs="v.csv", settings=settings
    )
    assert [list(row.values()) for row in table("v.csv")] == [
        ["alpaca", "write", "poem", "2", "2"],
        ["original_p3", "paint", "picture", "1", "1"],
        ["mix", "write", "poem", "2", "3"],
        ["mix", "paint", "picture", "1", "3"],
    ]
    with pytest.raises(LaminiError, match="nowhere: no spaCy model"):
        load_parser("nowhere")


def test_topics_are_named_by_all_their_words() -> None:
    topics = ["Film directors", "Cats", "C++", "!"]
    assert named_topics("Which DIRECTOR of films has a cat?", topics) == topics[:2]
    assert named_topics("Which direction do films take?", topics) == []


def test_topics_shown_and_reached_are_counted() -> None:
    write_jsonl("topics.jsonl", [{"topic": t} for t in ("Cats", "Rivers", "Old maps", "Bells")])
    rows = [
        {"instruction": "Draw a cat.", "topics": ["Cats", "Rivers"]},
        {"instruction": "Draw something.", "topics": ["Cats", "Rivers"]},
        {"instruction": "Find a bell on a map that is old.", "topics": ["Old maps"]},
    ]
    shards = ["instructions/guided/0000.jsonl", "instructions/guided/0001.jsonl"]
    write_jsonl(shards[0], rows[:2])
    write_jsonl(shards[1], rows[2:])
    measure_topic_coverage(topics="topics.jsonl", instructions=shards, coverage="t.csv")
    (row,) = table("t.csv")
    assert list(row.values()) == ["guided", "4", "3", "2", "3", "2", str(200 / 3)]


def test_every_module_imports_what_it_uses() -> None:
    """Imports by other modules hide a missing import in tests, but not in a job's process."""
    wanted = re.compile(r"\bpa\.(compute|parquet|json|ipc|csv|dataset)\b")
    for name in ("analysis", "dataset"):
        for path in (PACKAGE / name).glob("*.py"):
            used = set(wanted.findall(path.read_text()))
            assert not used - {"ipc"}, f"{path.name}: import pyarrow's {used} by name"
