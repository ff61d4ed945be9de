"""Tables 1 and 2 and the quality counts, compared with counts by hand."""

import csv
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_cases import dataset_manifest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_dataset_merge import merge, pair, params, write_shards
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from lamini.analysis import columns
from lamini.analysis.mattr_readings import measure_mattr_readings
from lamini.analysis.quality import COLUMNS, Quality
from lamini.analysis.statistics import TokenSums, measure_dataset
from lamini.analysis.token_counts import count_tokens
from lamini.analysis.tokens import TokenCounter
from lamini.errors import LaminiError
from lamini.generation.data_files import table_batches
from lamini.settings.params.analysis import CountTokens, MeasureDataset, MeasureMattrReadings
from lamini.settings.params.common import Location


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token per word or sign; the file requests truncation and padding: counting ignores both."""
    backend = Tokenizer(WordLevel({"<unk>": 0, "</s>": 1}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    backend.enable_truncation(3)
    backend.enable_padding(length=5)
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>").save_pretrained(folder)
    return folder


SYMBOLS = {"original_p3": "D_P3", "alpaca": "D̂_A"}
ROWS = [
    pair("original_p3", 0, instruction="one two three four", response="a b a b"),
    pair("original_p3", 1, instruction="ONE  two three four", response="a b a b"),
    pair("original_p3", 2, instruction="other", response="", flags=["empty"]),
    pair("original_p3", 3, instruction="other", response="x " * 10, flags=["truncated"]),
    pair("alpaca", 0, instruction="one two three four", response="different"),
    pair("alpaca", 1, instruction="new", response="I am sorry", flags=["refusal"]),
]


def measure(root: Path, tokenizer: Path, **changes: Any) -> dict[str, list[dict[str, str]]]:
    fields: dict[str, Any] = {
        "tokenizer": "words",
        "mattr_window": 4,
        "mattr_tokens": "words",
        "mattr_lower_case": True,
        "mattr_texts": "mean",
        "version": 1,
        "tokenizer_location": {"path": str(tokenizer)},
        "symbols": SYMBOLS,
        "seed": 1,
    }
    names = ("statistics", "diversity", "quality", "lengths", "readability")
    measure_dataset(
        manifest=root / "mix.manifest.json",
        dataset=root / "mix.parquet",
        settings=MeasureDataset.model_validate(fields | changes),
        **{name: root / f"{name}.csv" for name in names},
    )
    return {
        name: list(csv.DictReader((root / f"{name}.csv").read_text("utf-8").splitlines()))
        for name in names
    }


def merged(root: Path, rows: list[dict[str, Any]]) -> None:
    shards = []
    for source in ("original_p3", "alpaca"):
        found = [row for row in rows if row["instruction_source"] == source]
        shards += write_shards(root, source, found, 2)
    merge(root, shards, params("original_p3", "alpaca"))


def test_tables_are_as_counted_by_hand(tmp_path: Path, tokenizer: Path) -> None:
    merged(tmp_path, ROWS)
    tables = measure(tmp_path, tokenizer)
    first, second, total = tables["statistics"]
    assert [first["instruction_source"], first["symbol"]] == ["original_p3", "D_P3"]
    assert [first[k] for k in ("samples", "instruction_tokens", "response_tokens")] == [
        "3",
        "9",
        "18",
    ]
    assert float(first["instruction_mean_tokens"]) == 3.0
    assert float(first["response_mean_tokens"]) == 6.0
    assert first["response_margin"] == "", "three texts are too few for an interval"
    assert [second["samples"], second["instruction_tokens"]] == ["2", "5"]
    assert [total["instruction_source"], total["symbol"], total["samples"]] == ["mix", "MIX", "5"]
    assert total["response_tokens"] == "22"
    p3, alpaca, everything = tables["diversity"]
    assert float(p3["instruction_mattr"]) == 100.0
    # "a b a b" twice has half its words as types; ten times "x" a quarter in each window.
    assert float(p3["response_mattr"]) == pytest.approx(100 * (0.5 + 0.5 + 0.25) / 3)
    assert float(alpaca["response_mattr"]) == 100.0
    assert float(everything["response_mattr"]) == pytest.approx(100 * (1.25 + 2) / 5)
    p3, alpaca, everything = tables["quality"]
    expected = {"read": 4, "empty_responses": 1, "samples": 3, "refusals": 0, "truncated": 1}
    expected |= {"duplicate_instructions": 1, "duplicate_pairs": 1, "excluded": 0}
    assert {k: int(p3[k]) for k in expected} == expected
    assert alpaca["duplicates_of_other_sources"] == alpaca["refusals"] == "1"
    assert alpaca["duplicate_instructions"] == alpaca["duplicate_pairs"] == "0"
    assert everything["read"] == "6"
    assert everything["response_characters_p100"] == "20"
    lengths = [tuple(row.values()) for row in tables["lengths"]]
    assert [(r[2], r[3]) for r in lengths if r[:2] == ("original_p3", "instruction")] == [
        ("0", "0"),
        ("1", "1"),
        ("2", "0"),
        ("3", "0"),
        ("4", "2"),
    ]
    assert [(r[2], r[3]) for r in lengths if r[:2] == ("alpaca", "response")][-1] == ("3", "1")


def test_margins_of_means_are_those_of_students_t() -> None:
    lengths = np.random.default_rng(1).integers(1, 60, 200)
    sums = TokenSums()
    for source, part in (("alpaca", lengths[:90]), ("original_p3", lengths[90:])):
        for first in range(0, len(part), 40):
            sums.add(source, "response", part[first : first + 40])
    total, (mean, half) = sums.of(["alpaca", "original_p3"], "response")
    low, high = stats.t.interval(0.95, 199, lengths.mean(), stats.sem(lengths))
    assert total == lengths.sum()
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert sums.of(["alpaca"], "instruction") == (0, (0.0, None))


def test_tokens_are_counted_without_an_end_token(tmp_path: Path) -> None:
    backend = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    counter = TokenCounter(Location(path=str(tmp_path)))
    assert counter.count(pa.array(["one two", ""])).tolist() == [2, 0]


def test_another_tokenizer_counts_the_same_texts(tmp_path: Path, tokenizer: Path) -> None:
    merged(tmp_path, ROWS)
    expected = measure(tmp_path, tokenizer)["statistics"]
    count_tokens(
        manifest=tmp_path / "mix.manifest.json",
        dataset=tmp_path / "mix.parquet",
        counts=tmp_path / "counts.csv",
        settings=CountTokens(tokenizer_location=Location(path=str(tokenizer)), symbols=SYMBOLS),
    )
    counted = csv.DictReader((tmp_path / "counts.csv").read_text("utf-8").splitlines())
    assert list(counted) == expected


def test_unreadable_texts_are_counted(tmp_path: Path, tokenizer: Path) -> None:
    texts = ["plain", "café", "你好", "ไทย", "!?…", "🎉", "bad \ufffd", "\ue000"]
    rows = [pair("alpaca", n, instruction=text, response="x") for n, text in enumerate(texts)]
    merged(tmp_path, [pair("original_p3", 0), *rows])
    p3, alpaca, everything = measure(tmp_path, tokenizer)["readability"]
    assert list(p3.values()) == ["original_p3", "2", "0.0", "0.0", "0.0"]
    assert list(alpaca.values()) == ["alpaca", "16", "18.75", "12.5", "12.5"]
    assert everything["texts"] == "18"


def test_readings_contain_the_chosen_one(tmp_path: Path, tokenizer: Path) -> None:
    merged(tmp_path, ROWS)
    fields = {"mattr_window": 4, "tokenizer_location": {"path": str(tokenizer)}}
    measure_mattr_readings(
        manifest=tmp_path / "mix.manifest.json",
        dataset=tmp_path / "mix.parquet",
        readings=tmp_path / "readings.csv",
        settings=MeasureMattrReadings.model_validate(fields | {"version": 1, "seed": 1}),
    )
    rows = list(csv.DictReader((tmp_path / "readings.csv").read_text("utf-8").splitlines()))
    assert len(rows) == 6 * 4 * 2 * 3
    readings: dict[tuple[str, str, str], dict[tuple[str, str], str]] = {}
    for row in rows:
        reading = readings.setdefault((row["tokens"], row["lower_case"], row["texts"]), {})
        reading[row["instruction_source"], row["text"]] = row["mattr"]
    assert len(readings) == 24
    for tokens, lower, texts in (
        ("words", "1", "mean"),
        ("words_and_punctuation", "0", "parts_in_order"),
        ("subwords", "0", "concatenated"),
        ("subwords", "1", "shuffled"),
    ):
        chosen = {"mattr_tokens": tokens, "mattr_lower_case": lower == "1", "mattr_texts": texts}
        expected = {
            (row["instruction_source"], text): row[f"{text}_mattr"]
            for row in measure(tmp_path, tokenizer, **chosen)["diversity"]
            for text in ("instruction", "response")
        }
        assert readings[tokens, lower, texts] == expected


def test_subwords_are_the_tokens_of_the_tokenizer(tmp_path: Path, tokenizer: Path) -> None:
    """The tokenizer has one id for all words, so a window of four has one type."""
    merged(tmp_path, ROWS)
    p3 = measure(tmp_path, tokenizer, mattr_tokens="subwords")["diversity"][0]
    assert float(p3["instruction_mattr"]) == pytest.approx(100 * (0.25 + 0.25 + 1) / 3)


def test_measuring_twice_gives_the_same_bytes(tmp_path: Path, tokenizer: Path) -> None:
    merged(tmp_path, ROWS)
    for texts in ("concatenated", "shuffled"):
        first = measure(tmp_path, tokenizer, mattr_texts=texts)
        assert measure(tmp_path, tokenizer, mattr_texts=texts) == first


def test_a_dataset_of_another_manifest_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    merged(tmp_path, ROWS[:2] + ROWS[4:])
    other = (tmp_path / "mix.parquet").read_bytes()
    merged(tmp_path, ROWS)
    (tmp_path / "mix.parquet").write_bytes(other)
    with pytest.raises(LaminiError, match="has 4 rows"):
        measure(tmp_path, tokenizer)
    (tmp_path / "mix.parquet").write_bytes(b"not parquet")
    with pytest.raises(LaminiError, match="not a readable Parquet file"):
        measure(tmp_path, tokenizer)


def same(text: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.split())


PAIRS = st.lists(
    st.tuples(
        st.sampled_from(["alpaca", "generated_p3", "original_p3"]),
        st.sampled_from(["a", "A", " a ", "b", "ﬁ", "fi", "ẞ", "ss"]),
        st.sampled_from(["x", "X", "y"]),
    ),
    max_size=30,
).map(sorted)


@given(pairs=PAIRS, size=st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_duplicates_are_those_of_a_plain_search(
    pairs: list[tuple[str, str, str]], size: int
) -> None:

    quality = Quality()
    sources = sorted({source for source, _, _ in pairs})
    for source in sources:
        rows = [pair for pair in pairs if pair[0] == source]
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            flags = pa.array([[] for _ in part], pa.list_(pa.string()))
            texts = [pa.array([row[n] for row in part]) for n in (1, 2)]
            names = ["instruction", "response", "flags"]
            quality.add(source, pa.RecordBatch.from_arrays([*texts, flags], names))
    manifest = dataset_manifest({source: {} for source in sources or ["alpaca"]})
    rows = (dict(zip(COLUMNS, row, strict=True)) for row in quality.rows(manifest))
    found = {row["instruction_source"]: row for row in rows}
    for source in sources:
        own = foreign = repeated = 0
        for place, (origin, instruction, response) in enumerate(pairs):
            if origin != source:
                continue
            before = [b for b in pairs[:place] if same(b[1]) == same(instruction)]
            if any(b[0] == source for b in before):
                own += 1
            elif before:
                foreign += 1
            repeated += any(same(b[2]) == same(response) for b in before)
        assert found[source]["duplicate_instructions"] == own
        assert found[source]["duplicates_of_other_sources"] == foreign
        assert found[source]["duplicate_pairs"] == repeated


@pytest.mark.parametrize("reader", ["of pairs", "of seeds", "of embeddings"])
def test_memory_of_reading_does_not_grow_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    """Of a file of 4 MB that cannot be packed, less than half is ever in memory."""
    path = tmp_path / "large.parquet"
    random = np.random.default_rng(0)
    texts = [random.bytes(2000).hex() for _ in range(2000)]
    table = pa.table({"instruction": texts, "instruction_source": ["a"] * len(texts)})
    pq.write_table(table, path, row_group_size=50, compression="zstd")
    assert 4_000_000 < path.stat().st_size < 5_000_000
    del table
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", 50)
    batches = {
        "of pairs": (batch for _, batch in columns.read_batches(path, ["instruction"])),
        "of seeds": table_batches(path, ["instruction"], 50),
        "of embeddings": columns.parquet_file(path).iter_batches(50),
    }[reader]
    before, most, rows = pa.total_allocated_bytes(), 0, 0
    for batch in batches:
        rows += len(batch)
        most = max(most, pa.total_allocated_bytes() - before)
    assert rows == 2000 and most < 2_000_000
