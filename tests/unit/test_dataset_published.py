"""The released dataset in all its forms, and errors for other forms."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from datasets import Dataset
from test_dataset_merge import params

from lamini.dataset.published import import_published
from lamini.errors import LaminiError
from lamini.generation.data_files import data_files
from lamini.settings.dataset import PublishedDataset

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
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    if kind == "parquet":
        frame[:4].write_parquet(folder / "train-00000.parquet")
        frame[4:].write_parquet(folder / "train-00001.parquet")
    elif kind == "clone":  # of the hub's repository
        (folder / ".git").mkdir()
        (folder / ".git/index.json").write_text("{}")
        (folder / "data").mkdir()
        (folder / "dataset_infos.json").write_text('{"default": {}}')
        (folder / "README.md").write_text("# LaMini")
        for number, part in enumerate((frame[:4], frame[4:])):
            part.write_parquet(folder / f"data/train-0000{number}-of-00002-ab.parquet")
    elif kind == "save_to_disk":
        Dataset.from_list(ROWS).save_to_disk(folder / "train")
        (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    elif kind == "arrow":
        frame.write_ipc(folder / "data.arrow", compression="uncompressed")
    elif kind == "jsonl.gz":
        (folder / "data.jsonl.gz").write_bytes(gzip.compress(lines))
    elif kind == "jsonl.zst":
        parts = lines[:99], lines[99:]  # two frames, as a parallel packer writes
        (folder / "data.jsonl.zst").write_bytes(b"".join(map(zstandard.compress, parts)))
    elif kind == "jsonl":
        (folder / "data.jsonl").write_bytes(b"\xef\xbb\xbf" + lines + b"\n")
    else:
        (folder / "data.json").write_text(json.dumps(ROWS))


KINDS = ["parquet", "clone", "save_to_disk", "arrow", "jsonl", "jsonl.gz", "jsonl.zst", "json"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_gives_the_same_dataset(tmp_path: Path, kind: str) -> None:
    write(kind, tmp_path / "released")
    manifest = run({"local": {"path": "released"}}, ["alpaca", "original_p3"])
    frame = pl.read_parquet("results/dataset/mix.parquet")
    assert frame["id"].to_list() == [
        *(f"alpaca/{number}" for number in range(3)),
        *(f"original_p3/{number}" for number in range(2)),
    ]
    assert frame["instruction"].to_list() == ["Q1 🎉", "Q3 🎉", "Q5 🎉", "Q0 🎉", "Q4 🎉"]
    assert frame["response"].to_list()[1] == "  ", "all that was published is kept"
    assert frame["flags"].to_list() == [["refusal"], [], [], [], []]
    assert manifest["sources"]["alpaca"]["dropped"] == {}
    assert manifest["other_sources"] == {"unheard_of": 1}
    for unknown in ("finish_reasons", "models"):
        assert manifest["sources"]["alpaca"][unknown] is None
    assert sorted(p.name for p in Path("results/dataset").iterdir()) == [
        "mix.card.md",
        "mix.manifest.json",
        "mix.parquet",
    ]
    card = Path("results/dataset/mix.card.md").read_text(encoding="utf-8")
    assert "Read from the released dataset (released)" in card
    left_out = "Left out: rows of sources that are not in this selection: `unheard_of` (1).\n"
    assert left_out in card


def test_no_file_is_ignored_or_read_twice(tmp_path: Path) -> None:
    folder = tmp_path / "released"
    write("jsonl", folder)
    (folder / "data.jsonl.gz").write_bytes(b"")
    with pytest.raises(
        LaminiError, match=r"data\.jsonl and .*data\.jsonl\.gz: the same rows twice"
    ):
        data_files(folder)
    (folder / "data.jsonl.gz").rename(folder / "more.csv.gz")
    with pytest.raises(LaminiError, match=r"more\.csv\.gz: this form is not read; convert it"):
        data_files(folder)
    (folder / "more.csv.gz").unlink()
    (folder / "big.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1")
    with pytest.raises(LaminiError, match=r"big\.parquet: only a pointer of Git LFS"):
        data_files(folder)
    (folder / "big.parquet").unlink()
    assert data_files(folder) == [folder / "data.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl.gz", b"no gzip", r"a\.jsonl\.gz: damaged"),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 9, mtime=0)[:-9], r"a\.jsonl\.gz: damaged"),
        ("a.jsonl.zst", b"no zstd", r"a\.jsonl\.zst: damaged"),
        ("a.jsonl", b'{"instruction": "\\ud800"}', r"a\.jsonl: row 1 is not a JSON object: JSON"),
        (
            "a.json",
            b'[{"instruction": "\\ud800"}]',
            r"^a\.json, line 1: not valid JSON: no low surrogate in string; correct it$",
        ),
        ("a.json", b"{}", r"a\.json: expected a JSON list"),
        ("a.arrow", b"no arrow", r"a\.arrow: not readable as published pairs"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LaminiError, match=message):
        run({"local": {"path": name}}, ["alpaca"])


def test_null_is_an_empty_answer_in_json_too(tmp_path: Path) -> None:
    rows = [{**ROWS[1], "response": None}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    run({"local": {"path": "a.json"}}, ["alpaca"])
    assert pl.read_parquet("results/dataset/mix.parquet")["response"].to_list() == [""]


def test_a_local_place_suffices() -> None:
    hub = {"repo": "MBZUAI/LaMini-instruction", "revision": "main"}
    found = PublishedDataset.model_validate({"local": {"path": "released"}, "hub": hub})
    assert found == PublishedDataset.model_validate({"local": {"path": "released"}})
    assert found.hub is None
    with pytest.raises(ValueError, match="set exactly one of local, hub; found none"):
        PublishedDataset.model_validate({})


def test_the_hub_reader_reads_a_dataset_folder(tmp_path: Path) -> None:
    write("parquet", tmp_path / "released")
    hub = {"repo": str(tmp_path / "released"), "revision": "main", "split": "train"}
    manifest = run({"hub": hub}, ["original_p3"])
    assert manifest["rows"] == 2
    assert pl.read_parquet("results/dataset/mix.parquet")["response"].to_list() == ["yes", "نعم"]


def test_flags_that_are_not_known_cannot_be_excluded(tmp_path: Path) -> None:
    write("parquet", tmp_path / "released")
    published = {"local": {"path": "released"}}
    with pytest.raises(LaminiError, match=r"mixtures\.mix\.exclude_flags.*remove `truncated`"):
        import_published(
            hits=[],
            dataset="mix.parquet",
            manifest="mix.manifest.json",
            card="mix.card.md",
            settings=params("alpaca", published=published, exclude_flags=["truncated"]),
        )


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
