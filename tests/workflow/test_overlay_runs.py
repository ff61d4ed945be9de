"""The overlays `published` and `released`, run small: trained on local pairs, then not trained."""

import json
import shutil
from collections import Counter

import pytest
import yaml

from checkouts import Checkout
from lamini.files import read_json

STUDENT, TASKS = "lamini-demo-gpt2", ("sciq", "rte")
EVALS = [f"results/evals/{STUDENT}/{task}.json" for task in TASKS]
TABLES = ["results/tables/table_03.csv", "results/tables/table_scores.csv"]
PAIRS = [
    {
        "instruction": f"What is {n} plus {n}? Write it in words number {n % 7}.",
        "response": f"The sum is {2 * n}.",
        "instruction_source": "alpaca",
    }
    for n in range(80)
]
SMALL = {
    "published": {"local": {"path": "pairs.jsonl"}, "hub": None},
    "students": [STUDENT],
    "references": [],
    "evaluated_tasks": list(TASKS),
    "evaluation": {"batches": {"suite": list(TASKS)}},
    "recipes": {"decoder_only": {"epochs": 1, "batch_pairs": 16, "held_out_pairs": 0}},
    "tokenizers": {"demo-gpt2": {"train": {"vocabulary": 400}}},
    "human_evaluation": {"studies": {"models": {"models": [STUDENT], "instructions": 2}}},
    "report": {"selected": [STUDENT], "reference_lines": []},
    "mixtures": {name: {"sources": ["alpaca"]} for name in ("d_all", "d_all_decontaminated")},
    "analysis": {"embeddings": {"panels": [["alpaca", "alpaca"]]}},
}


@pytest.mark.slow
def test_released_checkpoints_have_the_scores_of_the_run_that_trained_them(
    checkout: Checkout,
) -> None:
    (checkout.folder / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in PAIRS))
    (checkout.folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    options = ("--cores", "2", "--configfile", "config/demo.yaml", "small.yaml")
    published = (*options, "config/overlays/published.yaml")
    checkout.snakemake(*EVALS, TABLES[0], *published)
    results = checkout.folder / "results"
    assert read_json(results / "dataset/d_all.manifest.json")["rows"] == len(PAIRS)
    trained = [read_json(checkout.folder / path) for path in EVALS]
    assert _made(checkout) == "trained"

    final, released = results / f"checkpoints/{STUDENT}/final", checkout.folder / "hub/my-release"
    of_the_pipeline = shutil.ignore_patterns("manifest.json", "metrics.jsonl", "left_out.jsonl")
    shutil.copytree(final, released, ignore=of_the_pipeline)
    own = {"models": {STUDENT: {"published_as": "hub/my-release"}}}
    (checkout.folder / "released.yaml").write_text(yaml.safe_dump(own))
    overlay = (*options, "released.yaml", "config/overlays/released.yaml")
    plan = checkout.plan(*EVALS, *TABLES, *overlay)
    assert plan == Counter({"evaluate_suite": 1, "make_table": 2}), plan
    checkout.snakemake(*EVALS, *TABLES, *overlay)
    for before, path in zip(trained, EVALS, strict=True):
        after = read_json(checkout.folder / path)
        assert after["values"] == before["values"]
        assert after["protocol"] == before["protocol"] == "paper"
    assert _made(checkout) == "released checkpoint"


def _made(checkout: Checkout) -> str:
    """Where table 3 says that the student's weights are from."""
    rows = (checkout.folder / TABLES[0]).read_text("utf-8").splitlines()
    (row,) = [row for row in rows if row.startswith("LaMini-Demo-GPT-2,")]
    return row.rpartition(",")[2].partition(";")[0]
