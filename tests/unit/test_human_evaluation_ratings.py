"""Rating files are checked item by item, and people's ratings never mix with the judge's."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamini.errors import LaminiError
from lamini.files import write_json, write_jsonl
from lamini.human_evaluation.collection import collect_ratings
from lamini.human_evaluation.items import Item, make_item, read_items
from lamini.human_evaluation.organise import RatingFiles, add_rating_files
from lamini.human_evaluation.rating_files import FORMAT, rating_problems, read_ratings
from lamini.human_evaluation.shown import read_shown
from lamini.settings.params.human_evaluation import CollectRatings

SETTINGS = CollectRatings(
    study="models",
    kind="models",
    annotators=["annotator_1", "annotator_2"],
    replicates=200,
    files=None,
    seed=1,
    version=1,
)
GROUPS = {"g1": ("annotator_1",), "g2": ("annotator_2",), "g3": ("annotator_1", "annotator_2")}
SUBJECTS = ("good", "bad")
File = dict[str, Any]


@pytest.fixture(autouse=True)
def items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Item]:
    """A study of three instructions and two models, the third instruction rated twice."""
    monkeypatch.chdir(tmp_path)
    rows, key = [], {}
    for group, annotators in GROUPS.items():
        for subject in SUBJECTS:
            item = make_item(
                study="models",
                seed=1,
                group=group,
                subject=subject,
                part="response",
                instruction=f"Do {group}.",
                text=f"{subject} {group}",
            )
            rows.append(item.as_row() | {"annotators": annotators})
            key[item.item] = {"subject": subject, "stratum": "app", "source_id": group}
    write_jsonl("items.jsonl", rows)
    write_json("key.json", key)
    return read_items("items.jsonl")


def export(items: list[Item], annotator: str, rating: Callable[[Item], str | None]) -> File:
    """A rating file, as the page of an annotator exports it."""
    own = [item for item in items if annotator in item.annotators]
    rows = [{"item": i.item, "digest": i.digest, "rating": rating(i), "comment": ""} for i in own]
    return {"format": FORMAT, "study": "models", "annotator": annotator, "ratings": rows}


def by_subject(good: str, bad: str) -> Callable[[Item], str | None]:
    return lambda item: good if item.text.startswith("good") else bad


def verdict(items: list[Item], rating: str | None) -> None:
    rows = [{"item": i.item, "digest": i.digest, "rating": rating, "model": "judge"} for i in items]
    write_jsonl("verdicts.jsonl", rows)


def collect(*files: str, verdicts: tuple[str, ...] = ()) -> tuple[list[dict[str, str]], Any]:
    collect_ratings(
        rated="items.jsonl",
        key="key.json",
        verdicts=verdicts,
        rating_files=files,
        ratings="ratings.csv",
        summary="summary.json",
        settings=SETTINGS,
    )
    with open("ratings.csv", newline="") as handle:
        return list(csv.DictReader(handle)), json.loads(Path("summary.json").read_text())


def change_rating(number: int, **changes: Any) -> Callable[[File], Any]:
    def damage(file: File) -> Any:
        file["ratings"][number] |= changes
        return file

    return damage


def without(field: str) -> Callable[[File], Any]:
    def damage(file: File) -> Any:
        del file["ratings"][0][field]
        return file

    return damage


ASK = "request the unchanged file that the page exported"
REEXPORT = "open the file in the current page with Import, check what is left, and export again"
# The damage, and the message without the file's name. {0}, {1}: ids of the first items.
DAMAGES: dict[str, tuple[Callable[[File], Any], str]] = {
    "cut off": (
        lambda f: json.dumps(f, indent=1).partition("[")[0] + "[",
        f", line 5, column 14: not valid JSON: Expecting value; {ASK}",
    ),
    "another encoding": (
        lambda f: json.dumps(f, indent=1).replace('""', '"\u00e9"', 1).encode("latin-1"),
        f", line 10: byte 0xe9 is not UTF-8; {ASK}",
    ),
    "UTF-16": (
        lambda f: json.dumps(f).encode("utf-16"),
        f": the text is in UTF-16, and not in UTF-8; {ASK}",
    ),
    "another kind of file": (
        lambda f: [1, 2],
        f": is no export of a rating sheet (no field `format`); {ASK}",
    ),
    "newer format": (
        lambda f: f | {"format": "ratings/9"},
        f": has format 'ratings/9', but 'lamini-ratings/2' is expected; {ASK}",
    ),
    "no ratings": (lambda f: f | {"ratings": None}, f": lacks `ratings`; {ASK}"),
    "other study": (
        lambda f: f | {"study": "dataset"},
        ": is of study 'dataset', but among the rating files of 'models'; move it",
    ),
    "unknown annotator": (
        lambda f: f | {"annotator": "annotator_9"},
        ": unknown annotator 'annotator_9'; the study has annotator_1, annotator_2",
    ),
    "seconds that are no number": (
        change_rating(0, seconds="1"),
        f": rating 1 (item {{0}}): `seconds` is of another type; {ASK}",
    ),
    "item that is no text": (
        change_rating(0, item=5),
        f": rating 1 (item 5): item 5 is no text; {ASK}",
    ),
    "no such level": (
        change_rating(1, rating="E"),
        ": rating 2 (item {1}): rating 'E' is none of A, B, C, D, null; correct it",
    ),
    "level of another kind": (
        change_rating(0, rating=["A"]),
        ": rating 1 (item {0}): rating ['A'] is none of A, B, C, D, null; correct it",
    ),
    "missing field": (without("digest"), f": rating 1 (item {{0}}): lacks `digest`; {ASK}"),
    "missing id": (without("item"), f": rating 1: lacks `item`; {ASK}"),
    "rated twice": (
        lambda f: f | {"ratings": [*f["ratings"], f["ratings"][0]]},
        ": rating 5 (item {0}): is rated twice by annotator_1; keep the newer one",
    ),
    "comment that is no text": (
        change_rating(0, comment=3),
        ": rating 1 (item {0}): comment 3 is no text; correct it",
    ),
    "rating that is no object": (
        lambda f: f | {"ratings": ["A"]},
        ": rating 1: expected an object, found 'A'",
    ),
}
"""Faults that are known without the items, so before the first job."""
OF_ITEMS: dict[str, tuple[Callable[[File], Any], str]] = {
    "other annotator": (
        lambda f: f | {"annotator": "annotator_2", "ratings": f["ratings"][:1]},
        ": rating 1 (item {0}): is assigned to annotator_1, not to annotator_2",
    ),
    "unknown item": (
        change_rating(0, item="0" * 12),
        ": rating 1 (item 000000000000): the study has no such item (was a model or instruction"
        f" removed?); {REEXPORT}",
    ),
    "other version": (
        change_rating(1, digest="0" * 16),
        ": rating 2 (item {1}): was rated for another version of its text (0000000000000000);"
        f" {REEXPORT}",
    ),
}


def _write(name: str, content: Any) -> None:
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("name", DAMAGES | OF_ITEMS)
def test_a_damaged_file_is_refused_by_name(name: str, items: list[Item]) -> None:
    damage, message = (DAMAGES | OF_ITEMS)[name]
    good = export(items, "annotator_1", by_subject("A", "B"))
    ids = [row["item"] for row in good["ratings"]]
    _write("a.json", damage(good))
    with pytest.raises(LaminiError) as raised:
        collect("a.json")
    problem = f"a.json{message.format(*ids)}"
    assert str(raised.value) == f"study models, problems in rating files: 1\n  {problem}"
    assert not Path("ratings.csv").exists()
    early = [problem] if name in DAMAGES else []
    assert rating_problems(["a.json"], SETTINGS) == early


def test_a_byte_order_mark_and_other_line_ends_are_no_fault(items: list[Item]) -> None:
    text = json.dumps(export(items, "annotator_1", by_subject("A", "B")), indent=1)
    Path("a.json").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert rating_problems(["a.json"], SETTINGS) == []
    assert len(read_ratings(["a.json"], items, SETTINGS)) == 4


def test_all_problems_of_all_files_are_said_at_once(items: list[Item]) -> None:
    first = export(items, "annotator_1", by_subject("A", "B"))
    write_json("a.json", first)
    write_json("same.json", first)
    write_json("again.json", export(items, "annotator_1", by_subject("C", "D")))
    write_json("other.json", first | {"study": "dataset"})
    Path("text.json").write_bytes(b"\xff{}")
    with pytest.raises(LaminiError) as raised:
        read_ratings(
            ["a.json", "same.json", "again.json", "other.json", "text.json"], items, SETTINGS
        )
    twice = "is rated here and in a.json by annotator_1; keep the newer one"
    ids = [row["item"] for row in first["ratings"]]
    assert str(raised.value).splitlines() == [
        "study models, problems in rating files: 6",
        *(f"  again.json: rating {n} (item {item}): {twice}" for n, item in enumerate(ids, 1)),
        "  other.json: is of study 'dataset', but among the rating files of 'models'; move it",
        f"  text.json, line 1: byte 0xff is not UTF-8; {ASK}",
    ]


def test_the_newer_rating_of_a_person_counts(items: list[Item]) -> None:
    first = export(items, "annotator_1", by_subject("A", "B"))
    second = export(items, "annotator_1", by_subject("C", "D"))
    for row in first["ratings"]:
        row["time"] = "2026-11-26T10:00:00.000Z"
    for number, row in enumerate(second["ratings"]):
        row["time"] = f"2026-11-26T{'09' if number % 2 else '11'}:00:00.000Z"
    second["ratings"][0] |= {"rating": None, "skipped": "no", "seconds": 7}
    second["protocol"] = "paper/1"
    Path("new.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(second).encode())
    write_json("old.json", first)
    expected = [
        (second if number % 2 == 0 else first)["ratings"][number]["rating"] or ""
        for number in range(len(first["ratings"]))
    ]
    for files in (["old.json", "new.json"], ["new.json", "old.json"]):
        assert [rating.rating for rating in read_ratings(files, items, SETTINGS)] == expected
    rows, summary = collect("old.json", "new.json")
    own = [row for row in rows if row["annotator"] == "annotator_1"]
    assert [row["rating"] for row in own] == expected
    assert (own[0]["skipped"], own[0]["seconds"], own[0]["protocol"]) == ("no", "7", "paper/1")
    assert own[1]["protocol"] == "" and own[1]["time"] == "2026-11-26T10:00:00.000Z"
    assert summary["rated"]["human"] == len(expected) - 1 and not summary["complete"]


def test_files_of_older_pages_are_read(items: list[Item]) -> None:
    old = export(items, "annotator_1", by_subject("A", "B")) | {"format": "lamini-ratings/1"}
    write_json("a.json", old)
    found = read_ratings(["a.json"], items, SETTINGS)
    assert [rating.rating for rating in found] == [row["rating"] for row in old["ratings"]]
    assert {(rating.time, rating.seconds, rating.skipped) for rating in found} == {("", None, "")}


def test_the_organiser_sees_who_is_how_far_and_takes_files_in(items: list[Item]) -> None:
    Path("results/human_eval/models").mkdir(parents=True)
    Path("items.jsonl").rename("results/human_eval/models/items.jsonl")
    study = RatingFiles(SETTINGS, Path("files"))
    assert "Nothing yet from annotator_1, annotator_2" in study.text()
    file = export(items, "annotator_1", by_subject("A", "B"))
    file["ratings"][0] |= {"seconds": 40, "time": "2026-11-26T10:00:00.000Z"}
    file["ratings"][1] |= {"rating": None, "skipped": "no"}
    write_json("mail.json", file)
    assert add_rating_files({"models": study}, [Path("mail.json")]) == [
        "mail.json: 3 ratings taken in as files/mail.json"
    ]
    assert "same content already" in add_rating_files({"models": study}, [Path("mail.json")])[0]
    write_json("mail.json", export(items, "annotator_2", by_subject("A", "B")))
    assert "files/mail-2.json" in add_rating_files({"models": study}, [Path("mail.json")])[0]
    header, first, second = study.text().splitlines()[1:4]
    page = "results/human_eval/models/sheets/annotator_{}.html".format
    assert header.split("  ")[0] == "page"
    assert first.split() == [page(1), "4", "3", "1", "0", "40", "2026-11-26", "10:00"]
    assert second.split() == [page(2), "4", "4", "0", "0", "–", "–"]
    write_json("mail.json", file | {"study": "poems"})
    with pytest.raises(LaminiError, match=r"is of study 'poems'; this run has models"):
        add_rating_files({"models": study}, [Path("mail.json")])
    write_json("mail.json", file | {"annotator": "annotator_2"})
    with pytest.raises(LaminiError, match=r"was not taken in:\n.*is assigned to annotator_1, not"):
        add_rating_files({"models": study}, [Path("mail.json")])
    assert len(list(Path("files").iterdir())) == 2


def test_partial_ratings_count_and_say_so(items: list[Item]) -> None:
    rows, summary = collect()
    assert len(rows) == 8 and {row["rating"] for row in rows} == {""}
    assert summary["rated"] == {"human": 0, "machine": 0} and not summary["complete"]

    half = export(items, "annotator_1", lambda item: "A" if item.group == "g1" else None)
    half["ratings"][-1]["comment"] = "To be looked up,\nlater."
    write_json("a.json", half)
    rows, summary = collect("a.json")
    assert summary["annotators"]["annotator_1"] == {"assigned": 4, "rated": 2}
    assert summary["rated"]["human"] == 2 and not summary["complete"]
    assert [row["comment"] for row in rows if row["comment"]] == ["To be looked up,\nlater."]

    for name in SETTINGS.annotators:
        write_json(f"{name}.json", export(items, name, by_subject("A", "C")))
    _, summary = collect("annotator_1.json", "annotator_2.json")
    assert summary["complete"] and summary["rated"]["human"] == 8
    assert summary["annotator_agreement"]["items"] == 2
    assert summary["annotator_agreement"]["krippendorff_alpha_ordinal"] == 1.0


def test_people_and_judge_are_counted_separately(items: list[Item]) -> None:
    write_json("a.json", export(items, "annotator_1", by_subject("A", "B")))
    _, alone = collect("a.json")
    verdict(items, "D")
    rows, both = collect("a.json", verdicts=("verdicts.jsonl",))
    assert {row["rating"] for row in rows if row["rater"] == "machine"} == {"D"}
    assert "D" not in {row["rating"] for row in rows if row["rater"] == "human"}
    for part in ("shares", "comparisons"):
        assert both[part]["human"] == alone[part]["human"], (
            "the judge does not change the numbers of people"
        )
    assert both["annotator_agreement"] == alone["annotator_agreement"]
    assert alone["judge_agreement"] is None
    assert both["judge_agreement"]["ratings"] == 4 and both["judge_agreement"]["equal"] == 0
    machine = {share["subject"]: share["counts"] for share in both["shares"]["machine"]}
    assert machine == {key: {"A": 0, "B": 0, "C": 0, "D": 3} for key in SUBJECTS}


def test_a_machine_rating_cannot_come_in_as_a_persons(items: list[Item]) -> None:
    verdict(items, "A")
    _, summary = collect(verdicts=("verdicts.jsonl",))
    assert summary["rated"] == {"human": 0, "machine": 6}
    Path("judge.json").write_text(Path("verdicts.jsonl").read_text().splitlines()[0])
    with pytest.raises(LaminiError, match=r"judge\.json: is no export of a rating sheet"):
        collect("judge.json")
    write_jsonl("verdicts.jsonl", [{"item": "0" * 12, "digest": "", "rating": "A", "model": "m"}])
    with pytest.raises(LaminiError, match=r"verdicts\.jsonl: judges other items"):
        collect(verdicts=("verdicts.jsonl",))


def test_same_inputs_give_the_same_bytes(items: list[Item]) -> None:
    write_json("a.json", export(items, "annotator_1", by_subject("A", "B")))
    contents = []
    for _ in range(2):
        collect("a.json")
        contents.append([Path(name).read_bytes() for name in ("ratings.csv", "summary.json")])
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("ratings", "label", "shown"),
    [
        ([("human", "A"), ("human", "")], "rated by people, 1 of 2 ratings so far", 1),
        ([("human", "A"), ("machine", "D")], "rated by people", 1),
        ([("human", ""), ("machine", "D")], "rated by a machine, not by people", 1),
        ([("human", "")], "rated by people, 0 of 1 ratings so far", 0),
    ],
)
def test_what_is_shown_is_of_one_rater(
    ratings: list[tuple[str, str]], label: str, shown: int
) -> None:
    Path("ratings.csv").write_text("rater,rating\n" + "".join(f"{a},{b}\n" for a, b in ratings))
    found = read_shown("ratings.csv")
    assert (found.label, len(found.rows)) == (label, shown)
    assert {row["rater"] for row in found.rows} <= {found.rater}
