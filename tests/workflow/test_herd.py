"""A user's own herd needs only configuration: the example runs."""

import json

import polars as pl
from herd_parts import herd_parts

from checkouts import Checkout
from lamini.files import read_json, read_jsonl

HERD = ("--configfile", "config/examples/herd.yaml")
STUDENTS = ("herd-llama", "herd-llama-without-generated", "herd-bart")
EVALUATED = ("herd-llama", "herd-bart")
TASKS = ("arc_easy", "triviaqa")


def test_the_example_distils_its_own_herd(checkout: Checkout, monkeypatch) -> None:
    monkeypatch.setenv("HERD_API_KEY", "any-word")
    evals = [f"results/evals/{model}/{task}.json" for model in EVALUATED for task in TASKS]
    with herd_parts(checkout.folder) as teacher:
        place = {"endpoints": [{"base_url": teacher.base_url, "api_key_variable": "HERD_API_KEY"}]}
        checkout.snakemake(
            "models",
            *evals,
            *HERD,
            "--config",
            f"teacher={json.dumps(place)}",
            "--cores",
            "2",
            "--resources",
            "teacher=1",
        )
    results = checkout.folder / "results"
    assert {body["model"] for body in teacher.requests} == {"my-teacher"}
    assert len(teacher.requests) == len(teacher.asked), "a request was sent twice"

    herd = pl.read_parquet(results / "dataset/herd.parquet")
    counts = dict(herd["instruction_source"].value_counts().iter_rows())
    assert counts["cooking"] == 28
    assert counts["cooking_generated"] == 20
    assert "Scale this recipe to six people.:For two people: 200 g flour, 2 eggs, 100 ml milk" in (
        herd["instruction"].to_list()
    )
    ablated = pl.read_parquet(results / "dataset/herd_without_generated.parquet")
    assert ablated["instruction_source"].unique().to_list() == ["cooking"]
    assert set(ablated["response"]) < set(herd["response"])

    for student in STUDENTS:
        curve = list(read_jsonl(results / f"checkpoints/{student}/final/metrics.jsonl"))
        pairs = {"herd-llama-without-generated": 28}.get(student, 48)
        facts = read_json(results / f"checkpoints/{student}/final/manifest.json")
        assert facts["pairs_used"] == pairs
        assert curve[-1]["loss"] < curve[1]["loss"], f"the loss of {student} did not fall"
    for model in EVALUATED:
        choice = read_json(results / f"evals/{model}/arc_easy.json")
        assert (choice["metric"], choice["examples"]) == ("acc_norm", 6)
        assert set(choice["values"]) <= {0.0, 1.0}
        assert choice["protocol"] == "modern"
        assert read_json(results / f"evals/{model}/triviaqa.json")["metric"] == "exact_match"
