"""The paper's configuration plans every artifact of the paper, quickly."""

import os

from checkouts import Checkout, read_job_table

SHARDS = {
    "self_instruct_without_topic": 6,
    "self_instruct_with_topic": 7,
    "generated_p3": 6,
    "generated_flan": 10,
    "alpaca": 5,
    "original_p3": 10,
    "original_flan": 20,
}
STUDENTS, REFERENCES, TASKS = 15, 17, 15
TABLES = 13 + 26
"""The paper's, and ours: generation, quality, duplicates ..., improvement, costs."""
FIGURES = 4 + 4


def test_the_plan_of_the_paper_has_every_job(checkout: Checkout) -> None:
    before = os.times()
    plan = checkout.plan()
    after = os.times()
    generated = sum(SHARDS[s] for s in list(SHARDS)[:4])
    expected = {
        "download_file": 3,
        "select_topics": 1,
        "prepare_prompts": len(SHARDS),
        "generate_instructions": generated,
        **{f"select_queries_{source}": 1 for source in SHARDS},
        "generate_pairs": sum(SHARDS.values()),
        "merge_pairs": 1,
        "measure_dataset": 1,
        "count_tokens": 4,
        "embed_instructions": 1,
        "project_embeddings": 1,
        "find_contamination": 1,
        "find_near_duplicates": 1,
        "find_paraphrases": 1,
        "count_funnel": 1,
        "count_verbs": 1,
        "scan_personal_data": 1,
        "describe_dataset": 1,
        "measure_detectors": 1,
        "measure_topic_coverage": 1,
        "summarize_generation": 1,
        "tokenize_pairs": 2,
        "train_model": STUDENTS,
        "evaluate_record": STUDENTS + REFERENCES,
        "evaluate_others": STUDENTS + REFERENCES,
        "generate_answers": 19,
        **{f"make_rating_sheets_{study}": 1 for study in ("dataset", "models")},
        "select_items": 2,
        "collect_ratings": 2,
        "make_table": TABLES,
        "draw_figure": FIGURES,
        "collect_lineage": 1,
        "write_report": 1,
        "write_crate": 1,
        "write_run_config": 1,
        "all": 1,
    }
    assert plan == expected
    # Of the processor, which a busy machine lengthens least; on an idle one it takes less.
    spent = after.children_user + after.children_system - before.children_user
    assert spent - before.children_system < 10, "the plan takes too long"


def test_the_slurm_profile_works_from_a_fresh_clone(checkout: Checkout) -> None:
    done = checkout.snakemake("-n", "--profile", "slurm", "--quiet", "rules")
    assert read_job_table(done.stdout + done.stderr)["train_model"] == STUDENTS
    assert "Warning" not in done.stderr


def test_every_score_of_the_paper_is_planned(checkout: Checkout) -> None:
    summary = checkout.snakemake("--summary").stdout
    for model in ("lamini-t5-61m", "lamini-gpt-1.5b", "llama-7b", "alpaca-7b", "gpt2-xl"):
        assert summary.count(f"results/evals/{model}/") == TASKS


def test_a_decontaminated_dataset_can_be_asked_for(checkout: Checkout) -> None:
    plan = checkout.plan("results/export/d_all_decontaminated/README.md")
    expected = {"merge_pairs": 2, "find_contamination": 1, "export_dataset": 1}
    assert {rule: plan[rule] for rule in expected} == expected
    assert plan["train_model"] == plan["count_verbs"] == 0
