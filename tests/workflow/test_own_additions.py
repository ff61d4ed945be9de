"""Additions by configuration only: rules, an instruction prompt, a task."""

import json
import re

from checkouts import Checkout
from lamini.files import read_jsonl

RULES = """
rule count_topics:
    input:
        rules.select_topics.output.topics,
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
    jobs = {job["rule"]: job for job in json.loads((results / "jobs.json").read_text())}
    assert jobs["list_sources"]["outputs"] == ["results/own/sources.txt"]
    assert (jobs["select_topics"]["key"], jobs["list_sources"]["benchmark"]) == ("", "")
    status = checkout.run("python", "-m", "lamini.status").stdout
    assert re.search(r"^list_sources +1 +1$", status, flags=re.MULTILINE)


def test_a_missing_rule_file_is_named(checkout: Checkout) -> None:
    done = checkout.snakemake("-n", *DEMO, *CUSTOM, check=False)
    assert done.returncode != 0
    assert "custom_rules: config/own/topics.smk: no such file" in done.stdout + done.stderr


def test_a_prompt_and_a_task_of_ones_own_are_inputs_of_their_jobs(checkout: Checkout) -> None:
    own = checkout.folder / "config/own"
    own.mkdir()
    (own / "prompt.jinja").write_text("{{ examples }} {{ count }} {{ opening }} {{ topics }}")
    (own / "capitals.yaml").write_text("task: capitals")
    requests = {"prompt": {"template": "config/own/prompt.jinja", "closing": None}}
    data = {"repo": "EleutherAI/race", "config": "high", "split": "test"}
    task = {"name": "Capitals", "category": "Geography", "metric": "acc", "examples": 3}
    overlay = {
        "sources": {"generated_p3": {"generation": {"requests": requests}}},
        "tasks": {"capitals": {**task, "data": data, "include_path": "config/own"}},
        "evaluated_tasks": ["capitals"],
    }
    (checkout.folder / "own.yaml").write_text(json.dumps(overlay))
    targets = (
        "results/instructions/generated_p3/0000.jsonl",
        "results/instructions/generated_flan/0000.jsonl",
        "results/evals/demo-t5/capitals.json",
    )
    plan = checkout.snakemake(
        "-n", *targets, "--cores", "1", "--configfile", "config/demo.yaml", "own.yaml"
    )
    found = re.findall(r"input: (.*)\n +output: ([^,\n]+)", plan.stdout + plan.stderr)
    inputs = {output: set(given.split(", ")) for given, output in found}
    assert inputs[targets[0]] == {"results/prompts/generated_p3.jsonl", "config/own/prompt.jinja"}
    assert inputs[targets[1]] == {"results/prompts/generated_flan.jsonl"}
    assert inputs[targets[2]] >= {"config/own/capitals.yaml", "config/own/prompt.jinja"}
