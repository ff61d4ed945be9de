"""Merging: kept rows and their order; equal inputs give equal bytes."""

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamini.dataset import writer
from lamini.dataset.export import export_dataset
from lamini.dataset.merge import merge_pairs
from lamini.errors import LaminiError
from lamini.files import read_jsonl, sha256_file
from lamini.generation.normalization import normalized
from lamini.settings.params.dataset import MergePairs

HOSTILE = [
    "plain",
    "🎉👩‍👩‍👧 emoji",
    "مرحبا بالعالم",
    "zero\u200bwidth",
    "nul\x00inside",
    'quotes " and \\ and \n newline',
    "x" * 1_000_000,
    "\u2028line separator",
]


def pair(source: str, number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"{source}/{number:05}",
        "instruction": f"Do thing {number}.",
        "response": f"Done {number}.",
        "instruction_source": source,
        "finish_reason": "stop",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "model": "teacher",
        "request": f"key{number}",
        "flags": [],
        **changes,
    }


def write_shards(root: Path, source: str, rows: list[dict[str, Any]], shards: int) -> list[Path]:
    paths = []
    for shard in range(shards):
        path = root / "pairs" / source / f"{shard:04}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [orjson.dumps(r, option=orjson.OPT_APPEND_NEWLINE) for r in rows[shard::shards]]
        path.write_bytes(b"".join(lines))
        paths.append(path)
    return paths


def params(*sources: str, **changes: Any) -> MergePairs:
    fields = {"mixture": "mix", "sources": sources, "published": None, "files": None}
    return MergePairs.model_validate(fields | changes)


def merge(
    root: Path, pairs: list[Path], settings: MergePairs, hits: Sequence[Path] = ()
) -> dict[str, Any]:
    merge_pairs(
        pairs=pairs,
        hits=hits,
        dataset=root / "mix.parquet",
        manifest=root / "mix.manifest.json",
        card=root / "mix.card.md",
        settings=settings,
    )
    return json.loads((root / "mix.manifest.json").read_text())


def test_rows_stand_in_the_order_of_sources_shards_and_ids(tmp_path: Path) -> None:
    rows = {s: [pair(s, n) for n in range(7)][::-1] for s in ("alpaca", "original_p3")}
    shards = [p for s, found in rows.items() for p in write_shards(tmp_path, s, found, 2)]
    manifest = merge(tmp_path, shards[::-1], params("original_p3", "alpaca"))
    frame = pl.read_parquet(tmp_path / "mix.parquet")
    assert frame.columns[:3] == ["instruction", "response", "instruction_source"]
    expected = [
        r["id"]
        for source in ("original_p3", "alpaca")
        for shard in (0, 1)
        for r in sorted(rows[source][shard::2], key=lambda row: row["id"])
    ]
    assert frame["id"].to_list() == expected
    assert manifest["rows"] == 14
    assert manifest["sha256"] == sha256_file(tmp_path / "mix.parquet")
    assert list(manifest["sources"]) == ["alpaca", "original_p3"]  # JSON keys are sorted


@pytest.mark.parametrize("number", [0, 1])
def test_an_id_that_occurs_twice_in_a_source_is_named(tmp_path: Path, number: int) -> None:
    """In one shard (0, 0, 2) or in two; another source may have it too."""
    rows = [pair("alpaca", n) for n in (0, 1, 2, 3)]
    rows[2 if number == 0 else 3]["id"] = rows[0]["id"]
    shards = write_shards(tmp_path, "alpaca", rows, 2)
    others = write_shards(tmp_path, "p3", [pair("p3", 0, id=rows[0]["id"])], 1)
    where = "twice in .*0000.jsonl" if number == 0 else "in .*0000.jsonl and in .*0001.jsonl"
    with pytest.raises(LaminiError, match=f"id alpaca/00000 occurs {where}"):
        merge(tmp_path, [*shards, *others], params("alpaca", "p3"))
    assert not list(tmp_path.glob("mix*"))
    rows[2 if number == 0 else 3]["id"] = "alpaca/other"
    shards = write_shards(tmp_path, "alpaca", rows, 2)
    assert merge(tmp_path, [*shards, *others], params("alpaca", "p3"))["rows"] == 5


def test_hostile_texts_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [pair("alpaca", n, instruction=t, response=t) for n, t in enumerate(HOSTILE)]
    merge(tmp_path, write_shards(tmp_path, "alpaca", rows, 1), params("alpaca"))
    frame = pl.read_parquet(tmp_path / "mix.parquet")
    assert frame["instruction"].to_list() == HOSTILE
    assert frame["response"].to_list() == HOSTILE


@given(
    texts=st.lists(
        st.text(
            st.sampled_from(" \t\n\x00\u200b\ufeff\u00a0\u3000\u2800\u3164\u0301aé字🎉ـ"),
            max_size=4,
        ),
        min_size=1,
        max_size=20,
    ),
    shards=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_left_out_rows_are_those_without_visible_text(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], shards: int
) -> None:
    root = tmp_path_factory.mktemp("merge")
    invisible = set(" \t\n\x00\u200b\ufeff\u00a0\u3000\u2800\u3164\u0301")
    rows = [pair("alpaca", n, response=text) for n, text in enumerate(texts)]
    rows.append(pair("alpaca", 99))
    manifest = merge(root, write_shards(root, "alpaca", rows, shards), params("alpaca"))
    empty = sum(set(text) <= invisible for text in texts)
    counts = manifest["sources"]["alpaca"]
    assert counts["dropped"] == {"empty_instruction": 0, "empty_response": empty}
    assert counts["rows"] == len(rows) - empty == manifest["rows"]
    kept = set(pl.read_parquet(root / "mix.parquet")["id"])
    assert kept == {row["id"] for row in rows if not set(row["response"]) <= invisible}
    shutil.rmtree(root)


def test_bytes_do_not_depend_on_shards_when_ids_are_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "ROW_GROUP", 64)
    rows = [pair("alpaca", n) for n in range(1000)]
    seen = set()
    for pieces in (1, 3, 50):
        root = tmp_path / str(pieces)
        paths, size = [], -(-1000 // pieces)
        for shard in range(pieces):
            path = root / "pairs/alpaca" / f"{shard:04}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            part = rows[shard * size : (shard + 1) * size]
            path.write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in part))
            paths.append(path)
        merge(root, paths, params("alpaca"))
        seen.add((root / "mix.parquet").read_bytes())
        assert pq.ParquetFile(root / "mix.parquet").num_row_groups == 16
    assert len(seen) == 1


def test_a_mixture_can_leave_out_flags_and_repetitions(tmp_path: Path) -> None:
    rows = [
        pair("alpaca", 0, instruction="Same  thing"),
        pair("alpaca", 1, instruction="same thing"),
        pair("alpaca", 2, flags=["refusal", "truncated"]),
        pair("alpaca", 3, flags=["truncated"], finish_reason="length"),
        pair("alpaca", 4, flags=["refusal"], instruction="Same thing"),
        pair("alpaca", 5),
    ]
    shards = write_shards(tmp_path, "alpaca", rows, 1)
    wanted = params("alpaca", exclude_flags=["refusal"], unique_instructions=True)
    manifest = merge(tmp_path, shards, wanted)
    assert [int(i[-1]) for i in pl.read_parquet(tmp_path / "mix.parquet")["id"]] == [0, 3, 5]
    assert manifest["sources"]["alpaca"] == {
        "rows": 3,
        "read": 6,
        "dropped": {
            "empty_instruction": 0,
            "empty_response": 0,
            "refusal": 2,
            "duplicate_instruction": 1,
        },
        "flags": {"truncated": 1},
        "finish_reasons": {"stop": 2, "length": 1},
        "models": {"teacher": 3},
    }
    card = (tmp_path / "mix.card.md").read_text()
    assert "| alpaca | 3 | 3 | 0 | 1 |" in card
    assert "responses flagged `refusal`" in card


def test_memory_does_not_keep_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "ROW_GROUP", 10)
    held = []
    original = writer.DatasetWriter.add

    def watched(self: writer.DatasetWriter, source: str, table: Any) -> None:
        original(self, source, table)
        held.append(self._waiting_rows)

    monkeypatch.setattr(writer.DatasetWriter, "add", watched)
    rows = [pair("alpaca", n) for n in range(333)]
    merge(tmp_path, write_shards(tmp_path, "alpaca", rows, 37), params("alpaca"))
    assert max(held) < 10


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": "a", "instruction": ', "0000.jsonl:2"),
        (b'{"id": "a", "instruction": "x", "instruction_source": "alpaca"}', "row 2: `response`"),
        (
            b'{"id":"a","instruction":7,"response":"y","instruction_source":"alpaca"}',
            "row 2: `instruction` must be text, found 7",
        ),
        (
            b'{"id":"a","instruction":"x","response":"y","instruction_source":"flan"}',
            "row 2 is of flan, not of alpaca",
        ),
        (b'{"id":"a","instruction":"\xff","response":"y","instruction_source":"alpaca"}', "000"),
        (b"[1, 2]", "0000.jsonl"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    (path,) = write_shards(tmp_path, "alpaca", [pair("alpaca", 0)], 1)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(LaminiError, match=r".*") as raised:
        merge(tmp_path, [path], params("alpaca"))
    assert message in str(raised.value)
    assert str(path) in str(raised.value)
    assert not (tmp_path / "mix.parquet").exists()


def test_shards_of_other_or_missing_sources_are_refused(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, "alpaca", [pair("alpaca", 0)], 1)
    with pytest.raises(LaminiError, match="alpaca is not a source"):
        merge(tmp_path, shards, params("original_p3"))
    with pytest.raises(LaminiError, match="no pair shards of original_p3"):
        merge(tmp_path, shards, params("alpaca", "original_p3"))


def test_a_shard_that_cannot_be_read_whole_is_named(tmp_path: Path) -> None:
    (shard,) = write_shards(tmp_path, "alpaca", [pair("alpaca", 0)], 1)
    with shard.open("r+b") as handle:
        handle.truncate(1 << 31)  # takes no space on the disk
    with pytest.raises(
        LaminiError, match=r"0000\.jsonl: 2\.0 GiB.*raise `sources\.alpaca\.shards`"
    ):
        merge(tmp_path, [shard], params("alpaca"))


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, "alpaca", [pair("alpaca", 0, response=" ")], 1)
    shards[0].with_name("0001.jsonl").write_bytes(b"")
    with pytest.raises(LaminiError, match="no pair of mixture mix is left"):
        merge(tmp_path, [*shards, shards[0].with_name("0001.jsonl")], params("alpaca"))
    assert not (tmp_path / "mix.parquet").exists()


def test_an_export_loads_and_has_every_row(tmp_path: Path) -> None:
    from datasets import load_dataset

    rows = [pair("alpaca", n, instruction=t, response=t) for n, t in enumerate(HOSTILE)]
    rows[0]["flags"] = ["truncated"]
    merge(tmp_path, write_shards(tmp_path, "alpaca", rows, 1), params("alpaca"))
    folder = tmp_path / "export/mix"

    def export() -> None:
        export_dataset(
            manifest=tmp_path / "mix.manifest.json",
            dataset=tmp_path / "mix.parquet",
            card=tmp_path / "mix.card.md",
            readme=folder / "README.md",
            parquet=folder / "mix.parquet",
            jsonl=tmp_path / "export/mix.jsonl",
        )

    export()
    loaded = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["response"] == HOSTILE
    assert loaded.column_names[:3] == ["instruction", "response", "instruction_source"]
    assert list(read_jsonl(tmp_path / "export/mix.jsonl")) == list(loaded)
    before = (tmp_path / "export/mix.jsonl").read_bytes()
    export()
    assert (tmp_path / "export/mix.jsonl").read_bytes() == before
    (tmp_path / "mix.parquet").write_bytes(b"another file")
    with pytest.raises(LaminiError, match="its SHA-256 differs from"):
        export()


def test_a_decontaminated_mixture_leaves_the_hits_out(tmp_path: Path) -> None:
    rows = {s: [pair(s, n) for n in range(6)] for s in ("alpaca", "original_p3")}
    shards = [p for s, found in rows.items() for p in write_shards(tmp_path, s, found, 2)]
    found = [
        ("alpaca/00001", "alpaca", "rte", 13, 0),
        ("alpaca/00001", "alpaca", "sst2", 0, 20),
        ("alpaca/00002", "alpaca", "rte", 12, 12),
        ("original_p3/00005", "original_p3", "rte", 0, 40),
        ("elsewhere/00000", "elsewhere", "rte", 40, 40),
    ]
    names = ["id", "instruction_source", "task", "instruction_words", "response_words"]
    hits = tmp_path / "hits.parquet"
    pl.DataFrame(found, names, orient="row").write_parquet(hits)
    wanted = params("alpaca", "original_p3", decontamination={"mixture": "d_all", "words": 13})
    manifest = merge(tmp_path, shards, wanted, [hits])
    kept = set(pl.read_parquet(tmp_path / "mix.parquet")["id"])
    expected = {row["id"] for found in rows.values() for row in found}
    assert kept == expected - {"alpaca/00001", "original_p3/00005"}
    assert manifest["sources"]["alpaca"]["dropped"]["contaminated"] == 1
    assert "share 13 words in a row" in (tmp_path / "mix.card.md").read_text()
    with pytest.raises(LaminiError, match="no hits are given"):
        merge(tmp_path, shards, wanted)
    hits.write_bytes(b"no parquet")
    with pytest.raises(LaminiError, match=r"hits\.parquet: not a readable file of hits"):
        merge(tmp_path, shards, wanted, [hits])


CHARACTERS = st.sampled_from(
    [*"aAbB zZ\t\n\x0b\x1c\x1f\x00", "é", "É", "ﬁ", "fi", "ẞ", "ss", "\u3000"]
)


@given(batches=st.lists(st.lists(st.lists(CHARACTERS, max_size=5).map("".join)), max_size=5))
@settings(max_examples=300, deadline=None)
def test_seen_texts_are_those_of_a_plain_set(batches: list[list[str]]) -> None:
    known: set[str] = set()
    tables, expected, repeated = [], [], 0
    for number, texts in enumerate(batches):
        rows = [pair("alpaca", 0, instruction="skipped", response="skipped")]
        for place, text in enumerate(texts):
            is_wanted = place % 3 != number and not writer.is_empty(pa.chunked_array([[text]]))[0]
            flags = ["refusal"] if place % 3 == number else []
            rows.append(pair("alpaca", place, instruction=text, response=str(number), flags=flags))
            if is_wanted and normalized(text) not in known:
                expected.append((text, str(number)))
                known.add(normalized(text))
            elif is_wanted:
                repeated += 1
        tables.append(pa.Table.from_pylist(rows, writer.SCHEMA).slice(1))
    kept, dropped = unique(tables)
    assert kept == expected
    assert dropped.get("duplicate_instruction", 0) == repeated
    assert sum(dropped.values()) == sum(map(len, batches)) - len(expected)


def unique(tables: Sequence[pa.Table]) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Kept instructions and responses of a mixture without duplicates, and dropped rows."""
    wanted = params("alpaca", exclude_flags=["refusal"], unique_instructions=True)
    buffer = io.BytesIO()
    with writer.DatasetWriter(buffer, wanted) as output:
        for table in tables:
            output.add("alpaca", table)
    table = pq.read_table(buffer)
    dropped = output.sources["alpaca"].dropped if tables else {}
    columns = (table[name].to_pylist() for name in ("instruction", "response"))
    return list(zip(*columns, strict=True)), dropped


def test_duplicates_are_found_in_all_tables_before() -> None:
    texts = [f"Text {n}" for n in range(30_000)]
    parts = [texts[first : first + 7_000] for first in range(0, len(texts), 7_000)]
    parts.append([text.upper() for text in texts])
    tables = [
        pa.Table.from_pylist([pair("alpaca", 0, instruction=t) for t in part], writer.SCHEMA)
        for part in parts
    ]
    kept, dropped = unique(tables)
    assert [text for text, _ in kept] == texts
    assert dropped["duplicate_instruction"] == len(texts)
