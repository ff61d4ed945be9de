"""The lineage finds everything upstream and says what is doubtful; the RO-Crate holds the same."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from crates import check_crate, entities
from lamini.files import read_json, write_json
from lamini.provenance import provenance_path, record_provenance
from lamini.report.crate import write_crate
from lamini.report.lineage import write_lineage

ROOT = Path(__file__).parents[2]
TABLE = "results/tables/table_01.json"
PAIRS = "results/pairs/alpaca/0000.jsonl"
LEDGER = "results/pairs/alpaca/0000.ledger.jsonl"
QUERIES = "results/queries/alpaca/0000.jsonl"


@pytest.fixture(autouse=True)
def _a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds that people gave, queries, pairs with a ledger, a table."""
    monkeypatch.chdir(tmp_path)
    write_json("config/seeds.json", ["a"])
    for path in (TABLE, PAIRS, LEDGER, QUERIES, "results/queries/alpaca.funnel.json"):
        write_json(path, path)
    record_provenance(
        "results/queries/alpaca.funnel.json", rule="select_queries", settings={},
        inputs=["config/seeds.json"],
    )  # fmt: skip
    shared = {"inputs_as_of": "results/queries/alpaca.funnel.json"}
    record_provenance(QUERIES, rule="select_queries", settings={"version": 1}, extra=shared)
    record_provenance(
        PAIRS, rule="generate_pairs", settings={"responses": {"version": 1}},
        inputs=[QUERIES], extra={"ledger": LEDGER},
    )  # fmt: skip
    record_provenance(TABLE, rule="make_table", settings={"kind": "x"}, inputs=[PAIRS])
    for path in (TABLE, PAIRS, QUERIES, "results/queries/alpaca.funnel.json"):
        _edit(path, code={"commit": "a" * 40, "date": "2026-01-02", "modified": False})


def _edit(artifact: str, **changes: Any) -> None:
    path = provenance_path(artifact)
    write_json(path, read_json(path) | changes)


def _lineage() -> dict[str, Any]:
    write_lineage({"tables": TABLE, "figures": []}, {"version": 1}, "results/report/lineage.json")
    found: dict[str, Any] = read_json("results/report/lineage.json")
    return found


def test_everything_upstream_is_found() -> None:
    lineage = _lineage()
    assert lineage["products"] == {TABLE: {"upstream": [PAIRS, QUERIES, TABLE], "marks": []}}
    assert set(lineage["artifacts"][QUERIES]["inputs"]) == {"config/seeds.json"}
    assert lineage["ledgers"][LEDGER]["bytes"] == Path(LEDGER).stat().st_size
    assert len(lineage["code"]) == len(lineage["packages"]) == 1
    Path(LEDGER).rename(f"{LEDGER}.zst")
    assert _lineage()["ledgers"][LEDGER]["file"] == f"{LEDGER}.zst", "packed by now"


def test_what_is_doubtful_is_marked() -> None:
    more = "results/pairs/alpaca/0001.jsonl"
    write_json(more, "more")
    settings: dict[str, Any] = {"responses": {"version": 2}}
    record_provenance(more, rule="generate_pairs", settings=settings, inputs=["results/lost.json"])
    packages = read_json(provenance_path(PAIRS))["packages"] | {"torch": "1.0"}
    _edit(more, code={"commit": None, "modified": None}, packages=packages)
    write_json("results/lost.json", 1)
    digests = read_json(provenance_path(TABLE))["inputs"] | {more: "another"}
    _edit(TABLE, inputs=digests, code={"commit": "b" * 40, "modified": True})
    _edit(more, inputs={"results/lost.json": "1"})
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


def test_the_crate_is_a_workflow_run_crate() -> None:
    _lineage()
    Path("results/report/index.html").write_text("<!doctype html>")
    Path("results/run_config.yaml").write_text(yaml.safe_dump({"seed": 42}))
    inputs = {
        "lineage": "results/report/lineage.json", "report": "results/report/index.html",
        "config": "results/run_config.yaml", "snakefile": str(ROOT / "Snakefile"),
        "citation": str(ROOT / "CITATION.cff"),
    }  # fmt: skip
    written = []
    for _ in range(2):
        write_crate(
            inputs, {"title": "Run"}, "results/ro-crate-metadata.json", "results/workflow/Snakefile"
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
