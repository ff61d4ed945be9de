"""The lineage has all upstream artifacts and doubt marks; the RO-Crate has the same."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from crates import check_crate, entities
from lamini.catalogue.params.report import CrateParams
from lamini.files import read_json, write_json
from lamini.jobs.provenance import (
    file_digests,
    package_versions,
    provenance_path,
    record_job,
)
from lamini.report.crate import write_crate
from lamini.report.lineage import collect_lineage

ROOT = Path(__file__).parents[2]
TABLE = "results/tables/table_01.json"
PAIRS = "results/pairs/alpaca/0000.jsonl"
LEDGER = "results/pairs/alpaca/0000.ledger.jsonl"
QUERIES = "results/queries/alpaca/0000.jsonl"
FUNNEL = "results/queries/alpaca.funnel.json"


@pytest.fixture(autouse=True)
def _a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """User-provided seeds, queries, pairs with a ledger, a table."""
    monkeypatch.chdir(tmp_path)
    code = {"commit": "a" * 40, "date": "2026-01-02", "modified": False}
    monkeypatch.setattr("lamini.jobs.provenance.code_version", lambda: code)
    write_json("config/seeds.json", ["a"])
    write_json(LEDGER, LEDGER)
    _made("select_queries", {"version": 1}, ["config/seeds.json"], QUERIES, FUNNEL)
    _made("generate_pairs", {"responses": {"version": 1}}, [QUERIES], PAIRS, ledger=LEDGER)
    _made("make_table", {"kind": "x"}, [PAIRS], TABLE)


def _made(
    rule: str, settings: dict[str, Any], inputs: list[str], *outputs: str, **facts: Any
) -> None:
    """Run a job: write and record its outputs."""
    for path in outputs:
        write_json(path, path)
    record_job(
        rule=rule, settings=settings, inputs=file_digests(inputs), outputs=outputs, facts=facts
    )


def _edit(artifact: str, **changes: Any) -> None:
    """Change the record of the job that made an artifact."""
    path = read_json(provenance_path(artifact))["job"]
    write_json(path, read_json(path) | changes)


def _lineage(table: str = TABLE) -> dict[str, Any]:
    collect_lineage(tables=[Path(table)], figures=[], lineage="results/report/lineage.json")
    found: dict[str, Any] = read_json("results/report/lineage.json")
    return found


def test_everything_upstream_is_found() -> None:
    lineage = _lineage()
    assert lineage["products"] == {TABLE: {"upstream": [PAIRS, QUERIES, TABLE], "marks": []}}
    assert set(lineage["artifacts"][QUERIES]["inputs"]) == {"config/seeds.json"}
    assert lineage["ledgers"][LEDGER]["bytes"] == Path(LEDGER).stat().st_size
    assert len(lineage["code"]) == len(lineage["packages"]) == 1
    Path(LEDGER).rename(f"{LEDGER}.zst")
    assert _lineage()["ledgers"][LEDGER]["file"] == f"{LEDGER}.zst", "the ledger was packed"


def test_what_is_doubtful_is_marked() -> None:
    more = "results/pairs/alpaca/0001.jsonl"
    write_json("results/lost.json", 1)
    _made("generate_pairs", {"responses": {"version": 2}}, ["results/lost.json"], more)
    packages = package_versions() | {"torch": "1.0"}
    _edit(more, code={"commit": None, "date": None, "modified": None}, packages=packages)
    digests = file_digests([PAIRS]) | {more: "another"}
    _edit(TABLE, inputs=digests, code={"commit": "b" * 40, "date": None, "modified": True})
    marks = _lineage()["products"][TABLE]["marks"]
    beginnings = [
        "Dirty checkout: 1 artifact was made",
        "Code unknown: 1 artifact was made",
        "Mixed stage versions: generate_pairs responses ran with versions 1 and 2.",
        "Mixed packages: torch 1.0 and ",
        f"Changed since: {more} is not what was read.",
        "No record: results/lost.json is without one.",
    ]
    assert len(marks) == len(beginnings), marks
    for mark, beginning in zip(marks, beginnings, strict=True):
        assert mark.startswith(beginning)


@pytest.mark.parametrize("output", ["parquet", "manifest.json", "card.md"])
def test_each_output_of_a_merge_leads_to_the_pairs(output: str) -> None:
    outputs = [f"results/dataset/d_all.{name}" for name in ("parquet", "manifest.json", "card.md")]
    _made("merge_pairs", {"mixture": "d_all", "version": 1}, [PAIRS], *outputs)
    made = f"results/dataset/d_all.{output}"
    _made("make_table", {"kind": "y"}, [made], "results/tables/table_02.json")
    lineage = _lineage("results/tables/table_02.json")
    upstream = [made, PAIRS, QUERIES, "results/tables/table_02.json"]
    assert lineage["products"]["results/tables/table_02.json"] == {
        "upstream": upstream,
        "marks": [],
    }
    assert {lineage["artifacts"][path]["rule"] for path in upstream} == {
        "make_table",
        "merge_pairs",
        "generate_pairs",
        "select_queries",
    }


def test_a_record_of_the_earlier_form_is_followed_and_marked() -> None:
    """It holds what is in the record of a job now, and not all inputs."""
    path = provenance_path(PAIRS)
    small = read_json(path)
    job = read_json(small.pop("job"))
    earlier = {key: job[key] for key in job.keys() - {"outputs", "facts"}}
    write_json(path, small | earlier | {"extra": {"ledger": LEDGER}})
    lineage = _lineage()
    assert lineage["products"][TABLE] == {
        "upstream": [PAIRS, QUERIES, TABLE],
        "marks": ["Incomplete record: 1 artifact was made by a version that left inputs out."],
    }
    assert lineage["artifacts"][PAIRS]["rule"] == "generate_pairs"
    assert set(lineage["ledgers"]) == {LEDGER}


def test_the_crate_is_a_workflow_run_crate() -> None:
    _lineage()
    Path("results/report/index.html").write_text("<!doctype html>")
    Path("results/run_config.yaml").write_text(yaml.safe_dump({"seed": 42}))
    written = []
    for _ in range(2):
        write_crate(
            lineage=Path("results/report/lineage.json"),
            report=Path("results/report/index.html"),
            config=Path("results/run_config.yaml"),
            snakefile=ROOT / "Snakefile",
            citation=ROOT / "CITATION.cff",
            settings=CrateParams(title="Run", files=None, version=1),
            metadata="results/ro-crate-metadata.json",
            workflow="results/workflow/Snakefile",
        )
        written.append(Path("results/ro-crate-metadata.json").read_bytes())
    assert written[0] == written[1]
    check_crate(Path("results"))
    graph = entities(Path("results"))
    making = graph[f"#making-{PAIRS}"]
    objects = {item["@id"] for item in making["object"]}
    assert {"queries/alpaca/0000.jsonl", "pairs/alpaca/0000.ledger.jsonl"} <= objects
    assert graph["#rule-generate_pairs-0"]["softwareVersion"] == "a" * 40
    assert graph["./"]["datePublished"] == "2026-01-02"
    assert graph["#given-config/seeds.json"]["sha256"]
