"""A change recomputes exactly its downstream results: `snakemake -n` on the finished demo.

Each case edits one thing and states every job that must run again, by rule and wildcards.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkouts import ROOT, Checkout
from lamini.human_evaluation.rating_files import FORMAT

pytestmark = pytest.mark.slow
Jobs = set[tuple[str, str]]

STUDENTS = ("lamini-demo-t5", "lamini-demo-gpt2", "lamini-smollm2-135m")
SOURCES = (
    "self_instruct_without_topic",
    "self_instruct_with_topic",
    "generated_p3",
    "generated_flan",
    "alpaca",
    "original_p3",
    "original_flan",
)
STUDIES = ("dataset", "models")
FAMILY_TABLE = {"t5": "09", "gpt2": "13"}


def jobs(rule: str, **wildcards: Any) -> Jobs:
    """Jobs of a rule: all combinations of the wildcards' values; without wildcards its only job."""
    found = [""]
    for name, values in wildcards.items():
        listed = [values] if isinstance(values, str) else values
        found = [f"{f}, {name}={v}" if f else f"{name}={v}" for f in found for v in listed]
    return {(rule, wildcard) for wildcard in found}


def tables(*names: str) -> Jobs:
    return jobs("make_table", table=names) if names else set()


def figures(*names: str) -> Jobs:
    return jobs("draw_figure", figure=names) if names else set()


SCORES = tables(
    *("scores", "averages", "by_task", "task_scores", "improvement", "clean_scores"),
)
"""Tables of every model's scores."""
END = jobs("write_report") | jobs("write_crate") | jobs("all")
CONFIG = jobs("write_run_config") | END


def rated(*studies: str) -> Jobs:
    """Jobs downstream of a change of a study's items."""
    found: Jobs = set()
    for study in studies:
        found |= jobs("select_items", study=study) | jobs(f"make_rating_sheets_{study}")
        found |= jobs("judge_items", study=study) | collected(study)
    return found


def collected(study: str) -> Jobs:
    """Jobs downstream of a change of a study's ratings."""
    of_models = tables("05", "06") | figures("6")
    shown = of_models if study == "models" else figures("4") | tables("judged_quality")
    shared = tables("rating_comparisons", "rating_shares")
    return jobs("collect_ratings", study=study) | shown | shared


def answered(*models: str) -> Jobs:
    """Jobs downstream of a change of models' answers."""
    return jobs("generate_answers", model=models) | rated("models")


STUDY_MODELS = ("lamini-smollm2-135m", "lamini-demo-gpt2", "lamini-demo-t5", "smollm2-135m")


def trained(*students: str) -> Jobs:
    """Jobs downstream of a retraining of students."""
    families = {FAMILY_TABLE[kind] for s in students for kind in FAMILY_TABLE if kind in s}
    return (
        jobs("train_model", model=students)
        | jobs("evaluate_suite", model=students)
        | answered(*students)
        | SCORES
        | tables("04", "training", *families)
        | figures("5", "learning_curves")
    )


def merged(mixture: str = "d_all") -> Jobs:
    """Jobs downstream of a change of the dataset."""
    found = jobs("merge_pairs", mixture=mixture) | trained(*STUDENTS) | rated(*STUDIES)
    for rule in ANALYSIS:
        found |= jobs(rule, mixture=mixture)
    found |= jobs("count_tokens", mixture=mixture, tokenizer="demo-t5")
    found |= jobs("train_tokenizer", tokenizer=("demo-t5", "demo-gpt2"))
    found |= jobs("build_model", model=("demo-t5", "demo-gpt2"))
    found |= jobs("evaluate_suite", model=("demo-t5", "demo-gpt2")) | tables("08")
    found |= jobs("tokenize_pairs", mixture=mixture, tokenizer=("demo-t5", "demo-gpt2", "smollm2"))
    return found | tables(*ANALYSIS_TABLES) | figures("3", "lengths", "near_duplicates", "verbs")


ANALYSIS = (
    "measure_dataset",
    "embed_instructions",
    "project_embeddings",
    "find_contamination",
    "find_paraphrases",
    "find_near_duplicates",
    "count_funnel",
    "count_verbs",
    "scan_personal_data",
    "describe_dataset",
)
ANALYSIS_TABLES = (
    "01",
    "02",
    "tokenizers",
    "quality",
    "readability",
    "semantic_diversity",
    "neighbourhoods",
    "personal_data",
    "contamination",
    "paraphrases",
    "near_duplicates",
    "funnel",
)


def answered_anew(source: str, *shards: str) -> Jobs:
    """Jobs downstream of new answers in some shards of a source."""
    counted = jobs("summarize_generation") | tables("generation")
    return jobs("generate_pairs", source=source, shard=shards) | counted | merged()


def selected(source: str, *shards: str) -> Jobs:
    """Jobs downstream of a change of a source's queries."""
    return jobs(f"select_queries_{source}") | answered_anew(source, *shards)


CASES: dict[str, tuple[dict[str, Any], Jobs]] = {
    "nothing": ({}, set()),
    "learning rate of one model": (
        {"models": {"lamini-demo-t5": {"recipe_changes": {"learning_rate": 1e-4}}}},
        trained("lamini-demo-t5") | tables("03") | CONFIG,
    ),
    "learning rate of a shared recipe": (
        {"recipes": {"decoder_only": {"learning_rate": 1e-4}}},
        trained("lamini-demo-gpt2") | tables("03") | CONFIG,
    ),
    "topic threshold": (
        {"topics": {"min_pages": 60}},
        jobs("select_topics")
        | jobs("generate_instructions", source="self_instruct_with_topic", shard="0000")
        | selected("self_instruct_with_topic", "0000")
        | jobs("measure_topic_coverage")
        | tables("topic_coverage")
        | CONFIG,
    ),
    "number of shards of one source": (
        {"sources": {"alpaca": {"shards": 2}}},
        selected("alpaca", "0000", "0001") | CONFIG,
    ),
    "system message of the answers": (
        {"teacher": {"responses": {"system_message": "Answer in one word."}}},
        set[tuple[str, str]]().union(
            *(answered_anew(source, "0000") for source in SOURCES),
            answered_anew("self_instruct_without_topic", "0001"),
            answered_anew("original_flan", "0001"),
        )
        | CONFIG,
    ),
    "sampling temperature of one source's instructions": (
        {
            "sources": {
                "generated_p3": {"generation": {"requests": {"sampling": {"temperature": 1.0}}}}
            }
        },
        jobs("generate_instructions", source="generated_p3", shard="0000")
        | selected("generated_p3", "0000")
        | CONFIG,
    ),
    "window of MATTR": (
        {"analysis": {"mattr_window": 40}},
        jobs("measure_dataset", mixture="d_all")
        | jobs("describe_dataset", mixture="d_all")
        | tables("01", "02", "tokenizers", "quality", "readability")
        | figures("lengths")
        | CONFIG,
    ),
    "sampled embeddings": (
        {"analysis": {"embeddings": {"samples": 100}}},
        jobs("embed_instructions", mixture="d_all")
        | jobs("project_embeddings", mixture="d_all")
        | jobs("find_paraphrases", mixture="d_all")
        | tables("semantic_diversity", "neighbourhoods", "paraphrases")
        | figures("3")
        | CONFIG,
    ),
    "protocol of the evaluation": (
        {"evaluation": {"protocol": "modern"}},
        jobs("evaluate_suite", model=(*STUDENTS, "demo-t5", "demo-gpt2", "smollm2-135m"))
        | SCORES
        | tables("04", "08", "09", "13")
        | figures("5")
        | CONFIG,
    ),
    "speed and safety alone": (
        {
            "evaluation": {"tokens_per_batch": 64},
            "teacher": {"max_concurrency": 2, "timeout": 9, "mode": "replay"},
            "recipes": {
                "decoder_only": {"tokens_per_micro_batch": 512, "gradient_checkpointing": True},
                "encoder_decoder": {"save_minutes": 9, "shard_optimizer": True},
            },
        },
        CONFIG,
    ),
    "length of the answers": (
        {"answers": {"max_new_tokens": 16}},
        answered(*STUDY_MODELS) | CONFIG,
    ),
    "title of the report": ({"report": {"title": "Mine"}}, CONFIG),
}


def plan(demo: Checkout, overlay: dict[str, Any]) -> Jobs:
    """Jobs that Snakemake plans with the overlay."""
    (demo.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    configfiles = ("config/demo.yaml", *(["overlay.yaml"] if overlay else []))
    return demo.planned_jobs("--profile", "demo", "--configfile", *configfiles)


def check(planned: Jobs, expected: Jobs) -> None:
    """Compare the plans; each new table or figure also remakes the costs and the lineage."""
    if any(rule in ("make_table", "draw_figure") for rule, _ in expected):
        expected = expected | tables("cost", "cost_by_source", "cost_by_model")
        expected = expected | jobs("collect_lineage")
    surplus, missing = sorted(planned - expected), sorted(expected - planned)
    assert not surplus, f"planned, but not downstream: {surplus}"
    assert not missing, f"downstream, but not planned: {missing}"


@pytest.mark.parametrize("name", CASES)
def test_a_setting(finished_demo: Checkout, name: str) -> None:
    overlay, expected = CASES[name]
    check(plan(finished_demo, overlay), expected)


def demo_config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    return loaded


def test_a_new_student(finished_demo: Checkout) -> None:
    config = demo_config()
    student = config["models"]["lamini-demo-t5"] | {"name": "Second", "recipe_changes": {"seed": 7}}
    overlay = {
        "models": {"second-t5": student},
        "students": [*config["students"], "second-t5"],
    }
    expected = (
        jobs("train_model", model="second-t5")
        | jobs("evaluate_suite", model="second-t5")
        | SCORES
        | tables("03", "09", "training")
        | figures("5", "learning_curves")
        | CONFIG
    )
    check(plan(finished_demo, overlay), expected)


def test_a_student_less(finished_demo: Checkout) -> None:
    config, gone = demo_config(), "lamini-demo-gpt2"
    models = config["human_evaluation"]["studies"]["models"]["models"]
    overlay = {
        "students": [name for name in config["students"] if name != gone],
        "human_evaluation": {"studies": {"models": {"models": [m for m in models if m != gone]}}},
        "report": {"selected": [m for m in config["report"]["selected"] if m != gone]},
    }
    expected = (
        rated("models")
        | SCORES
        | tables("03", "04", "13", "training")
        | figures("5", "learning_curves")
        | CONFIG
    )
    check(plan(finished_demo, overlay), expected)


def test_one_more_task(finished_demo: Checkout) -> None:
    suite = demo_config()["evaluation"]["batches"]["suite"]
    data = {"repo": "allenai/ai2_arc", "config": "ARC-Challenge", "split": "test"}
    task = {"name": "ARC-e", "category": "QA", "metric": "acc", "examples": 12, "data": data}
    overlay = {"tasks": {"arc_easy": task}, "evaluated_tasks": [*suite, "arc_easy"]}
    expected = (
        jobs("evaluate_arc_easy", model=(*STUDENTS, "demo-t5", "demo-gpt2", "smollm2-135m"))
        | jobs("find_contamination", mixture="d_all")
        | jobs("find_paraphrases", mixture="d_all")
        | jobs("count_funnel", mixture="d_all")
        | SCORES
        | jobs("describe_dataset", mixture="d_all")
        | tables("04", "08", "09", "10", "11", "12", "13", "reproduction")
        | tables("contamination", "funnel", "paraphrases")
        | figures("5")
        | CONFIG
    )
    check(plan(finished_demo, overlay), expected)


def test_a_rating_file(finished_demo: Checkout) -> None:
    folder = finished_demo.folder / "config/ratings/models"
    folder.mkdir(parents=True)
    try:
        rated = {"format": FORMAT, "study": "models", "annotator": "annotator_1", "ratings": []}
        (folder / "annotator_1.json").write_text(json.dumps(rated))
        expected = collected("models") | tables("rating_agreement") | END
        check(plan(finished_demo, {}), expected)
    finally:
        shutil.rmtree(folder)
    check(plan(finished_demo, {}), set())


def test_an_edited_data_file(finished_demo: Checkout) -> None:
    path = finished_demo.folder / "config/demo/alpaca.json"
    before, times = path.read_text(), path.stat()
    try:
        rows = json.loads(before)
        rows[0]["instruction"] += " Please."
        path.write_text(json.dumps(rows))
        expected = jobs("prepare_prompts", source="alpaca") | selected("alpaca", "0000") | END
        check(plan(finished_demo, {}), expected)
    finally:
        path.write_text(before)
        os.utime(path, (times.st_atime, times.st_mtime))


def test_touching_every_source_file(finished_demo: Checkout) -> None:
    later = time.time() + 60
    for folder in ("scripts", "rules", "config", "envs"):
        for path in (finished_demo.folder / folder).rglob("*"):
            if path.is_file():
                os.utime(path, (later, later))
    os.utime(finished_demo.folder / "Snakefile", (later, later))
    check(plan(finished_demo, {}), set())


@pytest.mark.parametrize("records", [True, False], ids=["with records", "results alone"])
def test_a_fresh_clone_with_the_results_of_another(
    finished_demo: Checkout, tmp_path: Path, records: bool
) -> None:
    """With and without Snakemake's own records of the finished jobs."""
    clone = Checkout(tmp_path / "clone")
    skipped = shutil.ignore_patterns("results", ".snakemake", "overlay.yaml")
    shutil.copytree(finished_demo.folder, clone.folder, symlinks=True, ignore=skipped)
    for path in clone.folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path)
    kept = ["results", *([".snakemake"] if records else [])]
    for name in kept:  # links keep the times, and cost neither time nor space
        source = finished_demo.folder / name
        subprocess.run(["cp", "-al", source, clone.folder / name], check=True)
    check(plan(clone, {}), set())
