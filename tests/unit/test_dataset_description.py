"""Datasheet, Croissant metadata and the card's licences, from the facts of a small dataset."""

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
from test_dataset_merge import merge, pair, params, write_shards

from lamini.dataset.croissant import CONFORMS_TO
from lamini.dataset.datasheet import describe_dataset
from lamini.settings.dataset import PERSONAL_KINDS
from lamini.settings.params.dataset import DescribeDataset

LICENSES = {"alpaca": "CC BY-NC 4.0"}


def table(path: Path, *rows: dict[str, Any]) -> Path:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def described(root: Path, **quality: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Datasheet, Croissant metadata and manifest of three pairs of two sources."""
    rows = [pair("original_p3", 0), pair("alpaca", 0), pair("alpaca", 1, response=" ")]
    shards = [
        path
        for source in ("original_p3", "alpaca")
        for path in write_shards(
            root, source, [r for r in rows if r["instruction_source"] == source], 1
        )
    ]
    manifest = merge(root, shards, params("original_p3", "alpaca", licenses=LICENSES))
    name = {"instruction_source": "mix"}
    kinds = dict.fromkeys(PERSONAL_KINDS, 0)
    found = name | {"with_personal_data": 1} | kinds
    flags = {"refusals": 1, "truncated": 0, "duplicate_instructions": 1200} | quality
    describe_dataset(
        manifest=root / "mix.manifest.json",
        quality=table(root / "quality.csv", name | flags, {"instruction_source": "alpaca"}),
        near_duplicates=table(
            root / "near.csv", name | {"near_duplicates": 3, "near_duplicates_of_other_sources": 2}
        ),
        readability=table(
            root / "read.csv", name | {"without_words_percent": 0.256, "damaged_percent": 0.0}
        ),
        personal_data=table(root / "personal.csv", found | {"email": 2}, found | {"url": 1}),
        contamination=table(
            root / "shared.csv",
            name | {"task": "rte", "examples": 5, "pairs_8": 0, "pairs_13": 0, "examples_13": 1},
            name | {"task": "all_tasks", "examples": 9, "pairs_13": 0, "examples_13": 4},
        ),
        datasheet=root / "mix.datasheet.md",
        metadata=root / "mix.croissant.json",
        settings=DescribeDataset(licenses=LICENSES),
    )
    sheet = (root / "mix.datasheet.md").read_text(encoding="utf-8")
    return sheet, json.loads((root / "mix.croissant.json").read_text()), manifest


def test_a_datasheet_has_all_headings_and_the_measured_facts(tmp_path: Path) -> None:
    sheet, _, manifest = described(tmp_path)
    assert [line[3:] for line in sheet.splitlines() if line.startswith("## ")] == [
        "Motivation",
        "Composition",
        "Collection process",
        "Preprocessing, cleaning, labelling",
        "Uses",
        "Distribution",
        "Maintenance",
    ]
    for fact in (
        "2 pairs of an instruction and a response, from 2 sources:",
        "| original_p3 | 1 | – |\n| alpaca | 1 | CC BY-NC 4.0 |",
        "- Refusals: 1. Truncated responses: 0.",
        "source exactly: 1,200; near-duplicates of\n  any earlier one: 5.",
        "can be read: 0.26 %; damaged texts: 0.00 %.",
        "- Personal data: 2 texts have the form of it (email 2, url 1). Names",
        "Left out: 1 pairs, by the rules",
        "4 of 9 evaluated examples share 13 words in a row",
        f"One Parquet file of {manifest['bytes']:,} bytes, SHA-256 `{manifest['sha256']}`",
    ):
        assert fact in sheet
    sheet, _, _ = described(tmp_path, truncated="")
    assert "Truncated responses: not known." in sheet


def test_croissant_metadata_describe_the_parquet_file(tmp_path: Path) -> None:
    """`make croissant` validates them with the format's own library."""
    _, made, manifest = described(tmp_path)
    assert (made["conformsTo"], made["name"], made["license"]) == (
        CONFORMS_TO,
        "mix",
        "cc-by-nc-4.0",
    )
    (file,) = made["distribution"]
    assert (file["contentUrl"], file["sha256"]) == ("mix.parquet", manifest["sha256"])
    (records,) = made["recordSet"]
    fields = {field["name"]: field for field in records["field"]}
    assert set(fields) == set(pl.read_parquet_schema(tmp_path / "mix.parquet"))
    assert all(field["source"]["fileObject"]["@id"] == file["@id"] for field in fields.values())
    assert all(field["source"]["extract"]["column"] == name for name, field in fields.items())
    kinds = {name: (field["dataType"], field.get("repeated")) for name, field in fields.items()}
    assert kinds["flags"] == ("sc:Text", True)
    assert kinds["prompt_tokens"] == ("sc:Integer", None)
    assert kinds["instruction"] == ("sc:Text", None)
    assert made["rai:personalSensitiveInformation"][0].startswith("2 of 4 texts")


def test_the_card_has_the_licences_that_are_known(tmp_path: Path) -> None:
    described(tmp_path)
    card = (tmp_path / "mix.card.md").read_text(encoding="utf-8")
    assert "| original_p3 | – |\n| alpaca | CC BY-NC 4.0 |\n\nThe responses, and" in card
    assert "licenses" not in (tmp_path / "mix.manifest.json").read_text()
    rows = [pair("alpaca", 0)]
    merge(tmp_path, write_shards(tmp_path, "alpaca", rows, 1), params("alpaca"))
    assert "## Licences" not in (tmp_path / "mix.card.md").read_text(encoding="utf-8")
