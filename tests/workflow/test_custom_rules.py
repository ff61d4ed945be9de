"""Rules of the user's own: included last, found as targets, and fed by the pipeline's outputs."""

import json

from checkouts import Checkout
from lamini.files import read_jsonl

RULES = """
rule count_topics:
    input:
        "results/topics/topics.jsonl",
    output:
        "results/own/topics.txt",
    shell:
        "wc -l < {input} > {output}"


rule list_sources:
    output:
        "results/own/sources.txt",
    shell:
        "echo {flow.active_sources} > {output}"
"""
DEMO = ("--profile", "demo")
CUSTOM = ("--config", f"custom_rules={json.dumps(['config/own/topics.smk'])}")


def _with_rules(checkout: Checkout) -> Checkout:
    (checkout.folder / "config/own").mkdir()
    (checkout.folder / "config/own/topics.smk").write_text(RULES)
    return checkout


def test_a_rule_of_ones_own_is_a_target_and_reads_the_pipelines_outputs(checkout: Checkout) -> None:
    _with_rules(checkout).snakemake("count_topics", "list_sources", *DEMO, *CUSTOM)
    results = checkout.folder / "results"
    topics = list(read_jsonl(results / "topics/topics.jsonl"))
    assert int((results / "own/topics.txt").read_text()) == len(topics) > 0
    assert (results / "own/sources.txt").read_text().split()[-1] == "original_flan"


def test_the_pipeline_itself_stays_as_it_is(checkout: Checkout) -> None:
    without = checkout.plan(*DEMO)
    assert _with_rules(checkout).plan(*DEMO, *CUSTOM) == without
    assert without["all"] == 1


def test_a_missing_rule_file_is_named(checkout: Checkout) -> None:
    done = checkout.snakemake("-n", *DEMO, *CUSTOM, check=False)
    assert done.returncode != 0
    assert "custom_rules: config/own/topics.smk: no such file" in done.stdout + done.stderr
