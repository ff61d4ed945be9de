"""Partial reruns of docs/targets.md: planned jobs on the finished demo."""

import pytest
from test_recompute import END, STUDENTS, jobs

from checkouts import Checkout

pytestmark = pytest.mark.slow
MODEL = "lamini-demo-t5"


def planned(checkout: Checkout, *arguments: str) -> set[tuple[str, str]]:
    return checkout.planned_jobs(*arguments)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "results/pairs/original_flan/0001.jsonl",
            jobs("generate_pairs", source="original_flan", shard="0001"),
        ),
        (f"results/checkpoints/{MODEL}/final/manifest.json", jobs("train_model", model=MODEL)),
        (f"results/evals/{MODEL}/rte.json", jobs("evaluate_suite", model=MODEL)),
        (f"results/answers/{MODEL}.jsonl", jobs("generate_answers", model=MODEL)),
        ("results/figures/figure_5.pdf", jobs("draw_figure", figure="5")),
        ("results/tables/table_04.md", jobs("make_table", table="04")),
    ],
    ids=["shard", "model", "task", "answers", "figure", "table"],
)
def test_a_forced_file_is_the_only_job(
    finished_demo: Checkout, target: str, expected: set[tuple[str, str]]
) -> None:
    assert planned(finished_demo, target, "--profile", "demo", "--force") == expected


def test_rules_by_force_make_what_follows_too(finished_demo: Checkout) -> None:
    found = planned(finished_demo, "--profile", "demo", "--forcerun", "make_table", "draw_figure")
    results = finished_demo.folder / "results"
    every = {("make_table", f"table={p.stem[6:]}") for p in results.glob("tables/table_*.json")}
    every |= {("draw_figure", f"figure={p.stem[7:]}") for p in results.glob("figures/figure_*.pdf")}
    assert found - END == every | jobs("collect_lineage")
    assert found >= END


def test_without_a_rule_nothing_of_it_and_after_it(checkout: Checkout) -> None:
    found = planned(checkout, "--profile", "demo", "--omit-from", "train_model")
    rules = {rule for rule, _ in found}
    assert not rules & {"train_model", "write_report", "all"}
    assert {"merge_pairs", "measure_dataset", "tokenize_pairs", "evaluate_suite"} <= rules
    evaluated = {wildcards for rule, wildcards in found if rule == "evaluate_suite"}
    assert evaluated and not any(student in w for w in evaluated for student in STUDENTS)
