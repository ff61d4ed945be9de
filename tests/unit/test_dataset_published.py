"""The released dataset in all its forms, and errors for other forms."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_dataset_merge import params

from lamini.dataset.published import import_published
from lamini.errors import LaminiError

ROWS = [
    {"instruction": f"Q{n} 🎉", "response": answer, "instruction_source": source}
    for n, (source, answer) in enumerate(
        [
            ("original_p3", "yes"),
            ("alpaca", "I'm sorry, but I cannot help with that."),
            ("unheard_of", "?"),
            ("alpaca", "  "),
            ("original_p3", "نعم"),
            ("alpaca", "three"),
        ]
    )
]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def run(published: dict[str, Any], sources: list[str]) -> dict[str, Any]:
    import_published(
        hits=[],
        dataset="results/dataset/mix.parquet",
        manifest="results/dataset/mix.manifest.json",
        card="results/dataset/mix.card.md",
        settings=params(*sources, published=published),
    )
    return json.loads(Path("results/dataset/mix.manifest.json").read_text())


def write(kind: str, folder: Path) -> None:
    folder.mkdir()
    frame = pl.DataFrame(ROWS)
    if kind == "parquet":
        frame[:4].write_parquet(folder / "train-00000.parquet")
        frame[4:].write_parquet(folder / "train-00001.parquet")
    elif kind == "jsonl":
        frame.write_ndjson(folder / "data.jsonl")
    else:
        (folder / "data.json").write_text(json.dumps(ROWS))


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "json"])
def test_every_form_gives_the_same_dataset(tmp_path: Path, kind: str) -> None:
    write(kind, tmp_path / "released")
    manifest = run({"local": {"path": "released"}}, ["alpaca", "original_p3"])
    frame = pl.read_parquet("results/dataset/mix.parquet")
    assert frame["id"].to_list() == ["alpaca/0", "alpaca/2", "original_p3/0", "original_p3/1"]
    assert frame["instruction"].to_list() == ["Q1 🎉", "Q5 🎉", "Q0 🎉", "Q4 🎉"]
    assert frame["flags"].to_list() == [["refusal"], [], [], []]
    assert manifest["sources"]["alpaca"]["dropped"]["empty_response"] == 1
    assert manifest["other_sources"] == {"unheard_of": 1}
    assert sorted(p.name for p in Path("results/dataset").iterdir()) == [
        "mix.card.md",
        "mix.manifest.json",
        "mix.parquet",
    ]
    assert "Read from the released dataset (released)" in Path(
        "results/dataset/mix.card.md"
    ).read_text(encoding="utf-8")


def test_the_hub_reader_reads_a_dataset_folder(tmp_path: Path) -> None:
    write("parquet", tmp_path / "released")
    hub = {"repo": str(tmp_path / "released"), "revision": "main", "split": "train"}
    manifest = run({"hub": hub}, ["original_p3"])
    assert manifest["rows"] == 2
    assert pl.read_parquet("results/dataset/mix.parquet")["response"].to_list() == ["yes", "نعم"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write("jsonl", tmp_path / "released")
    with pytest.raises(LaminiError, match=r"no rows of generated_p3; it has .*unheard_of"):
        run({"local": {"path": "released"}}, ["alpaca", "generated_p3"])
    (tmp_path / "released/data.jsonl").write_text('{"instruction": "a"}\n')
    with pytest.raises(LaminiError, match="`response` must be text"):
        run({"local": {"path": "released"}}, ["alpaca"])
    pl.DataFrame({"instruction": ["a"]}).write_parquet(tmp_path / "released/x.parquet")
    (tmp_path / "released/data.jsonl").unlink()
    with pytest.raises(LaminiError, match="no column response, instruction_source"):
        run({"local": {"path": "released"}}, ["alpaca"])
    others = {"response": ["b"], "instruction_source": ["alpaca"]}
    for value, kind in ((["a"], "large_list<.*>"), ({"x": "a"}, "struct<.*>"), (3, "int64")):
        pl.DataFrame({"instruction": [value], **others}).write_parquet("released/x.parquet")
        told = f"`instruction` must be text in every row, but its type is {kind}"
        with pytest.raises(LaminiError, match=told):
            run({"local": {"path": "released"}}, ["alpaca"])
    with pytest.raises(LaminiError, match="cannot be read from the hub"):
        hub = {"repo": str(tmp_path / "nowhere"), "revision": "main"}
        run({"hub": hub}, ["alpaca"])
    assert not list(Path("results").rglob("*.parquet"))
