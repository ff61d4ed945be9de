"""Two small students are trained, exported, compared with their checkpoints, and in a table."""

import csv
import json
from collections import Counter

import pytest
import yaml

from checkouts import Checkout
from lamini.exports.results import ExportCheck

STUDENTS = ["lamini-demo-gpt2", "lamini-demo-t5"]
TYPES = {"lamini-demo-gpt2": ["f16", "q4_k_m"], "lamini-demo-t5": ["float32"]}
PAIRS = [
    {
        "instruction": f"What is {n} plus {n}? Write it in words number {n % 7}.",
        "response": f"The sum is {2 * n}.",
        "instruction_source": "alpaca",
    }
    for n in range(80)
]
RECIPE = {"epochs": 1, "batch_pairs": 16, "held_out_pairs": 0}
SMALL = {
    "published": {"local": {"path": "pairs.jsonl"}, "hub": None},
    "students": STUDENTS,
    "references": [],
    "evaluated_tasks": ["rte"],
    "evaluation": {"batches": {"suite": ["rte"]}},
    "recipes": {"decoder_only": RECIPE, "encoder_decoder": RECIPE},
    "tokenizers": {name: {"train": {"vocabulary": 400}} for name in ("demo-gpt2", "demo-t5")},
    "human_evaluation": {"studies": {"models": {"models": STUDENTS, "instructions": 2}}},
    "report": {"selected": STUDENTS, "reference_lines": []},
    "mixtures": {name: {"sources": ["alpaca"]} for name in ("d_all", "d_all_decontaminated")},
    "analysis": {"embeddings": {"panels": [["alpaca", "alpaca"]]}},
    "exports": {
        "models": STUDENTS,
        "gguf": ["f16", "q4_k_m"],
        "ctranslate2": ["float32"],
        "max_new_tokens": 8,
    },
}


@pytest.mark.slow
def test_students_are_exported_and_compared(checkout: Checkout) -> None:
    (checkout.folder / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in PAIRS))
    (checkout.folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    options = ("--cores", "2", "--configfile", "config/demo.yaml", "small.yaml")
    wanted = ("exports", "results/tables/table_exports.csv", *options)
    wanted += ("config/overlays/published.yaml",)
    checkout.snakemake(*wanted)
    folder = checkout.folder / "results/exports"
    checks = {
        (model, kind): ExportCheck.read(folder / model / f"{kind}.json")
        for model, kinds in TYPES.items()
        for kind in kinds
    }
    for (model, kind), check in checks.items():
        path = folder / model / check.file
        assert path.is_file()
        assert check.examples == 12
        if kind != "q4_k_m":
            assert (check.token_share, check.change) == (1.0, 0.0)
    with open(checkout.folder / "results/tables/table_exports.csv", newline="") as handle:
        rows = [(row["Student"], row["Type"]) for row in csv.DictReader(handle)]
    names = {"lamini-demo-gpt2": "LaMini-Demo-GPT-2", "lamini-demo-t5": "LaMini-Demo-T5"}
    assert rows == [(names[model], kind) for model, kind in checks]
    assert checkout.plan(*wanted) == Counter()
