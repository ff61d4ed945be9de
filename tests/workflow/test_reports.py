"""The finished demo in `snakemake --report` and as an RO-Crate."""

import json
import zipfile
from pathlib import Path

import pytest

from checkouts import Checkout
from crates import check_crate, entities
from lamini.catalogue import FIGURES, TABLES
from lamini.files import read_json

pytestmark = pytest.mark.slow


def test_snakemake_reports_every_table_and_figure(finished_demo: Checkout, tmp_path: Path) -> None:
    packed = tmp_path / "report.zip"
    finished_demo.snakemake("--profile", "demo", "--report", str(packed))
    with zipfile.ZipFile(packed) as files:
        names = files.namelist()
        texts = [files.read(name).decode() for name in names if name.endswith((".html", ".js"))]
        whole = "".join(texts)
    folder = finished_demo.folder / "results"
    for kind, entries, ending in (("table", TABLES, "csv"), ("figure", FIGURES, "png")):
        for path in (folder / f"{kind}s").glob(f"*.{ending}"):
            assert any(name.endswith(f"/{path.name}") for name in names), path.name
            shown = entries[path.stem.partition("_")[2]].label
            assert f'"Shows": {json.dumps(shown)}' in whole
    for category in ("Dataset", "Models", "Evaluation", "Human evaluation", "Costs"):
        assert f'"{category}"' in whole, category
    assert "none of its numbers reproduces the paper" in whole


def test_the_crate_describes_the_run(finished_demo: Checkout) -> None:
    results = finished_demo.folder / "results"
    check_crate(results)
    lineage = read_json(results / "report/lineage.json")
    assert len(entities(results)) > 2 * len(lineage["artifacts"])


def test_a_clean_run_has_no_doubt_marks(finished_demo: Checkout) -> None:
    lineage = read_json(finished_demo.folder / "results/report/lineage.json")
    marks = {mark for product in lineage["products"].values() for mark in product["marks"]}
    assert not [mark for mark in marks if not mark.startswith(("Code unknown", "Dirty"))]


GENERATION = {"pairs", "queries", "instructions", "prompts", "topics"}
"""Folders of what the teacher was asked with, and what it answered."""
OF_NO_DATASET = {
    "table_03",
    "table_07",  # of settings alone: the students, and the levels of the ratings
    "table_10",
    "table_11",
    "table_12",
    "table_detectors",  # measured on their own samples
    "table_reproduction",  # of models that the demo lacks
    "table_topic_coverage",  # of the instructions, before they are answered
}


def test_every_number_leads_to_the_paid_answers(finished_demo: Checkout) -> None:
    lineage = read_json(finished_demo.folder / "results/report/lineage.json")
    artifacts = lineage["artifacts"]
    short = set()
    for path, product in lineage["products"].items():
        upstream = product["upstream"]
        folders = {item.split("/")[1] for item in upstream}
        read = {item for one in upstream for item in artifacts[one]["inputs"]}
        seeds = any(item.startswith("config/demo/") for item in read)
        ledgers = {artifacts[item]["ledger"] for item in upstream} - {None}
        if not (folders >= GENERATION and seeds and len(ledgers) > 7):
            short.add(Path(path).stem)
    assert short == OF_NO_DATASET
    assert len(lineage["products"]) > 30
    assert all(facts["bytes"] for facts in lineage["ledgers"].values())
