"""A sweep that is changed trains the students that it adds, and nothing else."""

from collections import Counter
from copy import deepcopy
from typing import Any

import pytest
import yaml

from checkouts import Checkout

pytestmark = pytest.mark.slow
EXAMPLE, OVERLAY = "config/examples/sweep.yaml", "overlay.yaml"
T5, GPT, SMOL = "lamini-demo-t5", "lamini-demo-gpt2", "lamini-smollm2-135m"
RUN = ("models", "evals", "--profile", "demo", "--configfile", "config/demo.yaml", OVERLAY)


def students(names: list[str], samples: list[str], seeds: list[int]) -> set[str]:
    return {f"{n}.samples{share}.seed{seed}" for n in names for share in samples for seed in seeds}


def jobs(models: set[str]) -> set[tuple[str, str]]:
    return {(rule, f"model={m}") for rule in ("train_model", "evaluate_suite") for m in models}


def write(checkout: Checkout, config: dict[str, Any]) -> None:
    (checkout.folder / OVERLAY).write_text(yaml.safe_dump(config))


def edited(config: dict[str, Any], edit: str) -> dict[str, Any]:
    """The sweep's configuration after one of the edits that a user makes."""
    new = deepcopy(config)
    sweep = new["sweeps"]["demo"]
    if edit == "add a size":
        sweep["samples"].append(0.6)
    elif edit == "add a seed":
        sweep["seeds"].append(3)
    elif edit == "remove a size":
        sweep["samples"].remove(0.3)
    elif edit == "add a student":
        sweep["students"].append(SMOL)
    elif edit == "change a student's recipe":
        new["models"] = {T5: {"recipe_changes": {"learning_rate": 1.0e-3}}}
    else:
        new["sweeps"] = {"renamed": sweep}
    return new


EXPECTED = {
    "add a size": students([T5, GPT], ["0.6"], [1, 2]),
    "add a seed": students([T5, GPT], ["0.3", "1"], [3]),
    "remove a size": set(),
    "add a student": students([SMOL], ["0.3", "1"], [1, 2]),
    "change a student's recipe": students([T5], ["0.3", "1"], [1, 2]) | {T5},
    "rename the sweep": set(),
}


def test_an_edited_sweep_plans_its_new_students_alone(checkout: Checkout) -> None:
    config = yaml.safe_load((checkout.folder / EXAMPLE).read_text())
    write(checkout, config)
    planned = checkout.planned_jobs(*RUN)
    trained = {wildcards for rule, wildcards in planned if rule == "train_model"}
    whole = {T5, GPT, SMOL} | students([T5, GPT], ["0.3", "1"], [1, 2])
    assert trained == {f"model={model}" for model in whole}
    # One token cache of each tokenizer, as without a sweep.
    assert len([rule for rule, _ in planned if rule == "tokenize_pairs"]) == 3

    finish(checkout)
    assert checkout.planned_jobs(*RUN) == set()
    for edit, models in EXPECTED.items():
        write(checkout, edited(config, edit))
        targets = {(target, "") for target in ("models", "evals") if models}
        assert checkout.planned_jobs(*RUN) - targets == jobs(models), edit
    table = "results/tables/table_sweep_renamed.csv"  # of the last edit
    assert checkout.planned_jobs(table, *RUN[2:]) == {
        ("fit_sweep", "sweep=renamed"),
        ("make_table", "table=sweep_renamed"),
    }


def test_the_demo_with_a_sweep_has_its_tables_and_figures(checkout: Checkout) -> None:
    demo = checkout.plan("--profile", "demo")
    swept = checkout.plan("--profile", "demo", "--configfile", "config/demo.yaml", EXAMPLE)
    more = {"train_model": 8, "evaluate_suite": 8, "fit_sweep": 1, "make_table": 3}
    assert swept - demo == Counter(more | {"draw_figure": 2})
    assert not demo - swept


def finish(checkout: Checkout) -> None:
    """Bring Snakemake into the state after a run: an empty file for each output, and records."""
    for line in checkout.snakemake(*RUN, "--summary").stdout.splitlines()[1:]:
        path = checkout.folder / line.split("\t")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    checkout.snakemake(*RUN, "--touch", "--forceall")
