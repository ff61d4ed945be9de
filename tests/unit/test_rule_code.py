"""The code digest of a rule changes exactly with code that can change its results."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError

from lamini.files import read_json, write_json
from lamini.jobs import code
from lamini.jobs.code import code_digest, module_digests
from lamini.jobs.unfinished import work_key
from lamini.settings.params.common import Location
from lamini.settings.students import Recipe
from lamini.training.job import TrainingJob
from lamini.workflow.rule_code import CodeWatch, RuleCode, accept_code, current_code, read_code

SCRIPTS = Path(__file__).parents[2] / "scripts"
Edit = Callable[[str, str, str], None]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Replace a text in a copy of the package, from which digests are then computed."""
    skipped = shutil.ignore_patterns("__pycache__", "vendor", "*.egg-info")
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=skipped)
    package = tmp_path / "scripts/lamini"
    monkeypatch.setattr(code, "PACKAGE", package)
    monkeypatch.setattr(code, "ENTRIES", {"train_model": package / "training/__main__.py"})
    monkeypatch.chdir(tmp_path)

    def forget() -> None:
        code._read.cache_clear()
        code._cached.cache_clear()
        code.module_path.cache_clear()

    def replace(path: str, old: str, new: str) -> None:
        text = (package / path).read_text()
        assert text.count(old) == 1, path
        (package / path).write_text(text.replace(old, new))
        forget()

    forget()
    yield replace
    forget()


def digests(*rules: str) -> list[str | None]:
    return [code_digest(rule) for rule in rules]


RULES = ("train_model", "evaluate_model", "measure_dataset", "select_topics")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("training/losses.py", "import torch\n", "# Torch.\n\n\nimport torch\n"),
        ("training/optimization.py", '"""Optimization: learning', '"""Learning'),
        ("errors.py", "class LaminiError(", "VALUE = 1\n\n\nclass LaminiError("),
        ("log.py", "LINE_EVERY_SECONDS = 30.0", "LINE_EVERY_SECONDS = 31.0"),
        ("settings/sources.py", "MAX_SHARDS = 10_000", "MAX_SHARDS = 20_000"),
        (
            "settings/students.py",
            "save_minutes: Annotated[float, Field(gt=0)] = 30.0",
            "x: int = 3",
        ),
        ("paths.py", "JOBS_FILE = ", "MORE = JOBS_FILE = "),
        ("__init__.py", '__version__ = "', '__version__ = "9'),
        ("acceptance.py", "import argparse", "import argparse\nimport ast"),
    ],
)
def test_edits_without_effect_change_no_digest(edit: Edit, path: str, old: str, new: str) -> None:
    before = digests(*RULES)
    edit(path, old, new)
    assert digests(*RULES) == before


@pytest.mark.parametrize(
    ("path", "old", "new", "changed"),
    [
        ("training/optimization.py", "math.cos", "math.sin", {"train_model"}),
        ("evaluation/squad.py", "import re", "import re\nVALUE = 1", {"evaluate_model"}),
        ("generation/topics.py", "settings.topics", "settings.topics or 0", {"select_topics"}),
        ("prompt_formats.py", "from lamini", "import ast\nfrom lamini", {*RULES[:2]}),
        ("analysis/mattr.py", "import numpy as np", "import numpy as np\nV = 1", {RULES[2]}),
    ],
)
def test_edits_with_effect_change_the_digest_of_their_rules(
    edit: Edit, path: str, old: str, new: str, changed: set[str]
) -> None:
    before = dict(zip(RULES, digests(*RULES), strict=True))
    edit(path, old, new)
    after = dict(zip(RULES, digests(*RULES), strict=True))
    assert {rule for rule in RULES if before[rule] != after[rule]} == changed


@pytest.mark.parametrize(
    ("rule", "path", "old", "new"),
    [
        ("select_items", "human_evaluation/assignment.py", "annotator_{number}", "a_{number}"),
        ("generate_instructions", "generation/prompt_template.py", "prompt.closing or", "None or"),
        ("evaluate_model", "evaluation/models.py", '"manifest.json"', '"other.json"'),
        (
            "evaluate_model",
            "evaluation/data.py",
            "mirror_path(data: TaskData)",
            "mirror_path(data)",
        ),
        (
            "generate_pairs",
            "teacher/backends/batch.py",
            "at_batch_price=True",
            "at_batch_price=False",
        ),
        (
            "generate_pairs",
            "teacher/live.py",
            "class LiveBackend",
            "X = 1\n\n\nclass LiveBackend",
        ),
    ],
)
def test_what_is_computed_from_settings_counts(
    edit: Edit, rule: str, path: str, old: str, new: str
) -> None:
    before = digests(rule, "train_model")
    edit(path, old, new)
    after = digests(rule, "train_model")
    assert after[0] != before[0]
    assert after[1] == before[1], "it does not use this code"


def test_modules_that_are_imported_late_count() -> None:
    assert "lamini.evaluation.harness" in module_digests("evaluate_model")
    assert "lamini.training.loop" in module_digests("train_model")


def test_data_files_of_a_package_count(edit: Edit, tmp_path: Path) -> None:
    before = digests("write_report", "train_model")
    edit("report/page.html.jinja", "<body", "<!-- A note. --><body")
    after = digests("write_report", "train_model")
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_digests_are_cached_until_a_file_changes(
    edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".snakemake").mkdir()
    rules = ("train_model", "write_report")
    before = [module_digests(rule) for rule in rules]
    code.save_cache()
    code._read.cache_clear()
    code._cached.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(code, "_parse", None)  # nothing is parsed again
        assert [module_digests(rule) for rule in rules] == before
    edit("training/optimization.py", "math.cos", "math.sin")
    edit("report/page.html.jinja", "<body", "<!-- A note. --><body")
    after = [module_digests(rule) for rule in rules]
    assert after[0] != before[0]
    assert after[1] != before[1]
    Path(code.CACHE).write_text("torn")
    code._cached.cache_clear()
    assert [module_digests(rule) for rule in rules] == after


def test_users_own_rules_have_no_digest() -> None:
    assert code_digest("count_nouns") is None


def training_job() -> TrainingJob:
    """A student's job; its files do not exist."""
    recipe = Recipe(
        learning_rate=1e-4,
        schedule="cosine",
        warmup_ratio=0.0,
        max_prompt_tokens=10,
        max_response_tokens=10,
    )
    return TrainingJob(
        model="mine",
        architecture="decoder-only",
        initialization=Location(path="nowhere"),
        tokenizer=Location(path="nowhere"),
        prompt_format="bare",
        pad_token=None,
        recipe=recipe,
    )


class Rule(SimpleNamespace):
    """The attributes of a Snakemake rule that `CodeWatch` reads."""

    def set_params(self, **params: Any) -> None:
        self.params |= params


def workflow(planned: tuple[str, ...] = (), is_main_process: bool = True) -> Any:
    """An expensive, a cheap and a user-defined rule; some have stale results."""
    rules = [
        Rule(name="train_model", script=None, resources={"gpu": 1}, params={}),
        Rule(name="select_topics", script="../scripts/select_topics.py", resources={}, params={}),
        Rule(name="count_nouns", script="mine/count_nouns.py", resources={"gpu": 1}, params={}),
    ]
    jobs = [SimpleNamespace(rule=rule) for rule in rules if rule.name in planned]
    dag = SimpleNamespace(needrun_jobs=lambda: jobs)
    return SimpleNamespace(rules=rules, dag=dag, is_main_process=is_main_process)


def params(found: Any) -> dict[str, str | None]:
    return {rule.name: rule.params.get("code") for rule in found.rules}


def test_a_first_run_keeps_the_code_as_it_is(edit: Edit) -> None:
    run = workflow(planned=("train_model",))
    CodeWatch(run, recompute=False).begin()
    train, topics = digests("train_model", "select_topics")
    assert params(run) == {"train_model": train, "select_topics": topics, "count_nouns": None}
    assert read_code() == {rule: current_code(rule) for rule in ("select_topics", "train_model")}


def test_results_of_a_version_that_kept_no_code_stay_until_an_edit(edit: Edit) -> None:
    write_json("results/benchmarks/train_model/lamini-t5-61m.jsonl", {"s": 1})
    run = workflow()
    CodeWatch(run, recompute=False).begin()
    assert params(run)["train_model"] is None
    edit("training/optimization.py", "math.cos", "math.sin")
    later = workflow(planned=("train_model",))
    watch = CodeWatch(later, recompute=False)
    assert params(later)["train_model"] == code_digest("train_model")
    with pytest.raises(WorkflowError, match="train_model: "):
        watch.begin()


def test_results_of_a_rule_with_a_similar_name_are_not_its_own(edit: Edit) -> None:
    write_json("results/benchmarks/train_tokenizer/own.jsonl", {"s": 1})
    write_json("results/benchmarks/select_topics.jsonl", {"s": 1})
    run = workflow()
    CodeWatch(run, recompute=False).begin()
    assert params(run)["train_model"] == code_digest("train_model")
    assert params(run)["select_topics"] is None


def test_an_edit_stops_expensive_rules_until_the_user_decides(edit: Edit) -> None:
    CodeWatch(workflow(), recompute=False).begin()
    before = read_json("results/code.json")
    edit("training/optimization.py", "math.cos", "math.sin")
    edit("generation/topics.py", "settings.topics", "settings.topics or 0")

    run = workflow(planned=("train_model", "select_topics"))
    watch = CodeWatch(run, recompute=False)
    assert params(run)["train_model"] == code_digest("train_model"), "planned, and the reason shown"
    with pytest.raises(WorkflowError) as stopped:
        watch.begin()
    assert "  train_model: lamini.training.optimization\n" in str(stopped.value)
    assert "select_topics" not in str(stopped.value), "cheap rules run without a question"
    assert read_json("results/code.json") == before

    job = workflow(is_main_process=False)
    CodeWatch(job, recompute=False)
    assert params(job)["train_model"] == before["train_model"]["code"], (
        "the code digests of the plan"
    )

    assert accept_code([]) == ["select_topics", "train_model"]
    kept = workflow(planned=("train_model",))
    CodeWatch(kept, recompute=False).begin()
    assert params(kept)["train_model"] == before["train_model"]["code"]
    assert accept_code([]) == []


@pytest.mark.parametrize("recomputed", [False, True])
def test_work_of_other_code_is_resumed_only_if_it_was_accepted(
    edit: Edit, recomputed: bool
) -> None:
    job = training_job()
    CodeWatch(workflow(), recompute=False).begin()
    before = work_key("train_model", "settings"), job.fingerprint("nowhere")
    edit("training/optimization.py", "math.cos", "math.sin")
    if not recomputed:
        assert accept_code([]) == ["train_model"]
    CodeWatch(workflow(planned=("train_model",)), recompute=recomputed).begin()
    after = work_key("train_model", "settings"), job.fingerprint("nowhere")
    assert [one == other for one, other in zip(before, after, strict=True)] == 2 * [not recomputed]


def test_work_keys_differ_by_code_settings_and_nothing_else(edit: Edit) -> None:
    by_hand = work_key("train_model", "settings")
    CodeWatch(workflow(), recompute=False).begin()
    key = work_key("train_model", "settings")
    assert key != by_hand
    assert key not in (work_key("train_model", "others"), work_key("select_topics", "settings"))
    edit("generation/topics.py", "settings.topics", "settings.topics or 0")
    CodeWatch(workflow(planned=("select_topics",)), recompute=False).begin()
    assert work_key("train_model", "settings") == key


def test_it_is_computed_again_on_demand(edit: Edit) -> None:
    CodeWatch(workflow(), recompute=False).begin()
    edit("training/optimization.py", "math.cos", "math.sin")
    CodeWatch(workflow(planned=("train_model",)), recompute=True).begin()
    assert read_code()["train_model"] == current_code("train_model")
    CodeWatch(workflow(planned=("train_model",)), recompute=False).begin()


def test_a_run_that_makes_nothing_of_it_goes_on_and_asks_later(edit: Edit) -> None:
    CodeWatch(workflow(), recompute=False).begin()
    before = read_code()["train_model"]
    edit("training/optimization.py", "math.cos", "math.sin")
    CodeWatch(workflow(planned=("select_topics",)), recompute=False).begin()
    assert read_code()["train_model"] == before
    with pytest.raises(WorkflowError):
        CodeWatch(workflow(planned=("train_model",)), recompute=False).begin()


def test_the_file_is_read_as_it_was_written(edit: Edit) -> None:
    CodeWatch(workflow(), recompute=False).begin()
    assert all(isinstance(known, RuleCode) for known in read_code().values())
