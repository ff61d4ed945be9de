"""A dataset's manifest: its keys, and errors for missing, unknown and invalid ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_dataset_merge import merge, pair, params, write_shards

from lamini.dataset.manifest import DatasetManifest
from lamini.errors import LaminiError
from lamini.files import read_json, write_json


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The manifest of a merged pair."""
    merge(tmp_path, write_shards(tmp_path, "alpaca", [pair("alpaca", 0)], 1), params("alpaca"))
    return tmp_path / "mix.manifest.json"


def test_keys_are_those_of_finished_runs(path: Path) -> None:
    facts = read_json(path)
    assert facts == {
        "mixture": "mix",
        "sha256": facts["sha256"],
        "bytes": path.with_name("mix.parquet").stat().st_size,
        "rows": 1,
        "schema": {
            "instruction": "string",
            "response": "string",
            "instruction_source": "string",
            "id": "string",
            "finish_reason": "string",
            "flags": "list<item: string>",
            "prompt_tokens": "int32",
            "completion_tokens": "int32",
            "model": "string",
            "request": "string",
        },
        "settings": {
            "mixture": "mix",
            "sources": ["alpaca"],
            "exclude_flags": [],
            "unique_instructions": False,
            "decontamination": None,
            "license": "cc-by-nc-4.0",
            "version": 1,
            "published": None,
        },
        "sources": {
            "alpaca": {
                "read": 1,
                "rows": 1,
                "dropped": {"empty_instruction": 0, "empty_response": 0},
                "flags": {},
                "finish_reasons": {"stop": 1},
                "models": {"teacher": 1},
            }
        },
    }


def test_a_manifest_that_is_read_and_written_keeps_its_bytes(path: Path) -> None:
    before = path.read_bytes()
    DatasetManifest.read(path).write(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["rows", "schema", "settings.published", "sources.alpaca.read"])
@pytest.mark.parametrize(
    ("value", "message"), [(None, "Field required"), ("many", "Input should be a valid")]
)
def test_missing_and_invalid_keys_are_named(
    path: Path, place: str, value: str | None, message: str
) -> None:
    *folders, key = place.split(".")
    facts = part = read_json(path)
    for folder in folders:
        part = part[folder]
    del part[key]
    if value is not None:
        part[key] = value
    write_json(path, facts)
    with pytest.raises(LaminiError, match=rf"mix\.manifest\.json: {place}: {message}.*delete it"):
        DatasetManifest.read(path)


@pytest.mark.parametrize("place", ["", "settings.", "sources.alpaca."])
def test_unknown_keys_are_named(path: Path, place: str) -> None:
    facts: dict[str, Any] = read_json(path)
    part = facts
    for folder in place.split(".")[:-1]:
        part = part[folder]
    part["author"] = 1
    path.write_text(json.dumps(facts))
    with pytest.raises(LaminiError, match=rf"mix\.manifest\.json: {place}author: .*delete it"):
        DatasetManifest.read(path)
