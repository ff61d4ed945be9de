"""Hand-over of a dataset to another engine as Parquet shards, and back."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_dataset_merge import merge, params

from lamini.dataset.__main__ import main
from lamini.dataset.published import import_published
from lamini.dataset.shards import write_shards
from lamini.errors import LaminiError

SOURCES = ("original_p3", "alpaca")


@pytest.fixture(autouse=True)
def merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A merged dataset of two sources with 7 and 5 rows; returns its manifest."""
    monkeypatch.chdir(tmp_path)
    paths = []
    for source, count in zip(SOURCES, (7, 5), strict=True):
        path = tmp_path / f"pairs/{source}/0000.jsonl"
        path.parent.mkdir(parents=True)
        rows = [
            {
                "id": f"{source}/0000/{n}",
                "instruction": f"Q{n} 🎉",
                "response": "I'm sorry, but I can't." if n == 2 else f"answer {n}",
                "instruction_source": source,
                "finish_reason": "length" if n == 3 else "stop",
                "flags": {2: ["refusal"], 3: ["truncated"]}.get(n, []),
                "prompt_tokens": n,
                "completion_tokens": None if n == 4 else n,
                "model": "m",
                "request": f"{n:032x}",
            }
            for n in range(count)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths.append(path)
    return merge(tmp_path, paths, params(*SOURCES))


def over(rows: int) -> list[Path]:
    return write_shards(
        manifest="mix.manifest.json", dataset="mix.parquet", folder="shards", rows=rows
    )


def back(path: str = "shards/*.parquet", **changes: Any) -> dict[str, Any]:
    import_published(
        hits=[],
        dataset="back/mix.parquet",
        manifest="back/mix.manifest.json",
        card="back/mix.card.md",
        settings=params(
            *SOURCES, published={"local": {"path": path}, "all_columns": True}, **changes
        ),
    )
    return json.loads(Path("back/mix.manifest.json").read_text())


@pytest.mark.parametrize("rows", [1, 5, 12, 100])
def test_over_and_back_is_the_same_file(merged: dict[str, Any], rows: int) -> None:
    paths = over(rows)
    assert [pq.read_metadata(path).num_rows for path in paths] == [
        min(rows, 12 - first) for first in range(0, 12, rows)
    ]
    manifest = back()
    for key in ("sha256", "bytes", "rows", "schema"):
        assert manifest[key] == merged[key], key
    for source, counts in merged["sources"].items():
        assert manifest["sources"][source] | {"dropped": {}} == counts | {"dropped": {}}
    assert Path("back/mix.parquet").read_bytes() == Path("mix.parquet").read_bytes()


def test_rows_that_an_engine_removes_and_adds(merged: dict[str, Any]) -> None:
    over(5)
    shard = Path("shards/mix-00001.parquet")
    before = pl.read_parquet("mix.parquet")
    taken_out = before["id"][6]
    pl.read_parquet(shard).filter(pl.col("id") != taken_out).write_parquet(shard)
    # Other types and fewer columns, as other engines write.
    new = {
        "instruction": ["new", "newer"],
        "response": ["yes", "I'm sorry, but I cannot help with that."],
        "instruction_source": ["alpaca", "elsewhere"],
        "id": ["alpaca/x", "y"],
        "prompt_tokens": pa.array([8, 9], pa.int64()),
        "score": [0.5, 0.6],
    }
    table = pa.table(new)
    table = table.set_column(0, "instruction", table["instruction"].cast(pa.large_string()))
    pq.write_table(pa.concat_tables([table, table.slice(0, 0)]), "shards/part-0.snappy.parquet")
    Path("shards/_SUCCESS").touch()
    manifest = back()
    expected = before.filter(pl.col("id") != taken_out).to_dicts()
    added = dict.fromkeys(before.columns) | {
        "instruction": "new",
        "response": "yes",
        "instruction_source": "alpaca",
        "id": "alpaca/x",
        "prompt_tokens": 8,
        "flags": [],
    }
    assert pl.read_parquet("back/mix.parquet").to_dicts() == [*expected, added]
    assert manifest["rows"] == 12
    assert manifest["sources"]["original_p3"]["rows"] == 6
    assert manifest["sources"]["alpaca"]["rows"] == 6
    assert manifest["other_sources"] == {"elsewhere": 1}


def test_rows_of_chosen_ids_keep_all_columns() -> None:
    over(5)
    Path("ids").mkdir()
    chosen = pl.DataFrame({"id": ["alpaca/0000/3", "original_p3/0000/6"]})
    source = pl.col("id").str.split("/").list.first()
    chosen.with_columns(instruction_source=source).write_parquet("ids/0.parquet")
    rows, ids = pl.scan_parquet("shards/*.parquet"), pl.scan_parquet("ids/*.parquet")
    kept = rows.join(ids, on=["instruction_source", "id"], how="semi", maintain_order="left")
    kept.sink_parquet("filtered/kept.parquet", mkdir=True)
    assert back("filtered/*.parquet")["rows"] == 2
    before = pl.read_parquet("mix.parquet").filter(pl.col("id").is_in(chosen["id"].to_list()))
    assert pl.read_parquet("back/mix.parquet").equals(before)


def test_flags_that_an_engine_loses_are_found_again() -> None:
    over(100)
    shard = Path("shards/mix-00000.parquet")
    pl.read_parquet(shard).drop("flags").write_parquet(shard)
    counts = back()["sources"]
    assert [counts[source]["flags"] for source in SOURCES] == [{"refusal": 1}, {"refusal": 1}]


def test_excluded_flags_are_excluded_from_shards() -> None:
    over(5)
    assert back(exclude_flags=["truncated"])["rows"] == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.col("instruction"), "id alpaca/0000/1 occurs in .*mix-00001.* and in .*mix-00002"),
        (pl.lit("few").alias("prompt_tokens"), "00002.parquet: `prompt_tokens` must be int32"),
        (pl.lit(None, pl.String).alias("id"), "00002.parquet: `id` is null in 2 rows"),
        (pl.lit(1).alias("response"), "00002.parquet: `response` must be text"),
    ],
)
def test_wrong_shards_are_refused(change: pl.Expr, message: str) -> None:
    over(5)
    shard = Path("shards/mix-00002.parquet")
    frame = pl.read_parquet(shard)
    if "occurs" in message:
        frame = frame.with_columns(id=pl.lit("alpaca/0000/1") + pl.col("id").str.slice(99)).head(1)
    frame.with_columns(change).write_parquet(shard)
    with pytest.raises(LaminiError, match=message):
        back()


def test_an_id_twice_in_one_shard_is_refused() -> None:
    over(100)
    shard = Path("shards/mix-00000.parquet")
    frame = pl.read_parquet(shard)
    pl.concat([frame, frame.head(1)]).write_parquet(shard)
    with pytest.raises(LaminiError, match="original_p3/0000/0 occurs twice"):
        back()


def test_a_missing_id_column_and_json_are_refused() -> None:
    over(100)
    frame = pl.read_parquet("shards/mix-00000.parquet")
    frame.drop("id").write_parquet("shards/mix-00000.parquet")
    with pytest.raises(LaminiError, match="no column id"):
        back()
    frame.write_ndjson("rows.jsonl")
    with pytest.raises(LaminiError, match=r"all_columns` reads only .parquet and .arrow files"):
        back("rows.jsonl")
    with pytest.raises(LaminiError, match=r"nowhere/\*.parquet: no such file"):
        back("nowhere/*.parquet")


def test_shards_are_written_to_an_empty_folder_from_the_manifests_dataset() -> None:
    over(5)
    with pytest.raises(LaminiError, match="shards: has files"):
        over(5)
    with pytest.raises(LaminiError, match="0 rows per shard"):
        over(0)
    Path("mix.parquet").write_bytes(b"")
    with pytest.raises(LaminiError, match="SHA-256 differs"):
        write_shards(manifest="mix.manifest.json", dataset="mix.parquet", folder="new", rows=5)


def test_the_command_writes_shards(capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/dataset").mkdir(parents=True)
    for kind in ("parquet", "manifest.json"):
        Path(f"mix.{kind}").rename(f"results/dataset/mix.{kind}")
    arguments = ["--folder", "out", "--rows", "7", "--mixture", "mix"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "2 shards: out/*.parquet\n"
    assert len(list(Path("out").iterdir())) == 2
    assert main(arguments) == 1
