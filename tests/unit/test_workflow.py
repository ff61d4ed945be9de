"""Inputs, params and resources of the rules, from the configuration."""

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamini.errors import SettingsError
from lamini.settings.students import PAPER_FAMILIES
from lamini.training.job import TrainingJob
from lamini.workflow import Workflow, growing, one_of
from lamini.workflow.checks import check_files

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
def paper() -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name in ("config", "sources", "models", "tasks"):
        config |= yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    return config


def test_names_match_exactly() -> None:
    import re

    pattern = one_of(["lamini-neo-1.3b", "gpt2"])
    assert re.fullmatch(pattern, "lamini-neo-1.3b")
    assert not re.fullmatch(pattern, "lamini-neo-1x3b")
    assert not re.fullmatch(one_of([]), "")


def test_params_are_plain_and_do_not_depend_on_key_order(paper: dict[str, Any]) -> None:
    flow = Workflow(paper)
    turned = Workflow({key: paper[key] for key in reversed(paper)})
    recipe = paper["recipes"]["decoder_only"]
    paper["recipes"]["decoder_only"] = {key: recipe[key] for key in reversed(recipe)}
    for other in (turned, Workflow(paper)):
        assert flow.training_json("lamini-gpt-124m") == other.training_json("lamini-gpt-124m")
    for of_rule in (
        flow.instruction_params("generated_p3", "0003"),
        flow.pair_params("alpaca"),
        flow.evaluation_params("gpt2", "record"),
        flow.mixture_params("d_all"),
    ):
        params = of_rule.as_params()
        assert json.loads(json.dumps(params)) == params


def test_one_recipe_change_reaches_one_model(paper: dict[str, Any]) -> None:
    before = Workflow(paper)
    paper["models"]["lamini-t5-61m"]["recipe_changes"] = {"learning_rate": 1e-4}
    after = Workflow(paper)
    changed = [
        student
        for student in after.config.students
        if before.training_params(student).as_params() != after.training_params(student).as_params()
    ]
    assert changed == ["lamini-t5-61m"]


def test_transport_settings_are_no_params(paper: dict[str, Any]) -> None:
    before = Workflow(paper)
    paper["teacher"] |= {"max_concurrency": 1, "timeout": 5, "mode": "replay", "jobs": 9}
    after = Workflow(paper)
    assert before.pair_params("alpaca").as_params() == after.pair_params("alpaca").as_params()


def test_speed_of_training_is_no_param_and_reaches_the_job(paper: dict[str, Any]) -> None:
    model, speed = "lamini-gpt-124m", {"tokens_per_micro_batch": 99, "save_minutes": 7.0}
    before = Workflow(paper)
    paper["models"][model]["recipe_changes"] = speed
    after = Workflow(paper)
    assert before.training_json(model) == after.training_json(model)
    given = [flow.training_json(model) for flow in (before, after)]
    jobs = [
        TrainingJob.from_json(settings, flow.training_speed_json(model))
        for settings, flow in zip(given, (before, after), strict=True)
    ]
    assert jobs[1].recipe == after.config.recipe(model)
    assert jobs[0].fingerprint("nowhere") == jobs[1].fingerprint("nowhere")


def test_the_wrapper_is_for_decoder_only_students(paper: dict[str, Any]) -> None:
    flow = Workflow(paper)
    assert flow.asked_model_params("lamini-gpt-124m").prompt_format == "alpaca"
    assert flow.asked_model_params("gpt2").prompt_format is None
    assert flow.asked_model_params("lamini-t5-61m").prompt_format is None


def test_toys_leave_a_core_to_others(paper: dict[str, Any]) -> None:
    paper["models"]["gpt2"]["parameters"] = 1_000_000
    flow = Workflow(paper)
    assert flow.model_threads("gpt2") == 1
    assert flow.model_threads("gpt2-xl") == 2


@pytest.mark.parametrize(
    ("model", "training", "evaluation"),
    [
        # 100 hours for a billion parameters on one GPU, and half as much again. 3,000 MiB and 24
        # bytes a parameter.
        ("lamini-t5-61m", [(545, 1089), (4385, 6577)], [(64, 127), (3231, 4846)]),
        # Four GPUs, each with 3,000 MiB and 8 bytes a parameter; two days at most.
        ("lamini-t5-738m", [(1660, 2880), (34512, 51768)], [(104, 209), (5814, 8721)]),
        ("lamini-gpt-1.5b", [(1752, 2880), (119069, 178604)], [(153, 307), (8942, 13413)]),
        ("toy", [(60, 120), (3023, 4534)], [(60, 120), (3004, 4506)]),
    ],
)
def test_minutes_and_memory_grow_with_model_and_attempt(
    paper: dict[str, Any],
    model: str,
    training: list[tuple[int, int]],
    evaluation: list[tuple[int, int]],
) -> None:
    paper["models"]["t5-toy"] = paper["models"]["t5-small"] | {"parameters": 1_000_000}
    paper["models"]["toy"] = paper["models"]["lamini-t5-61m"] | {"initialization": "t5-toy"}
    flow = Workflow(paper)

    def twice(resource: Callable[..., int], *arguments: Any) -> tuple[int, ...]:
        return tuple(resource(model, *arguments, attempt) for attempt in (1, 2))

    assert [twice(flow.training_minutes), twice(flow.training_memory)] == training
    assert [twice(flow.evaluation_minutes), twice(flow.model_memory, 4)] == evaluation


def test_gpus_and_threads_are_those_of_the_models_size(paper: dict[str, Any]) -> None:
    flow = Workflow(paper)
    models = ("lamini-t5-61m", "lamini-t5-738m", "lamini-gpt-1.5b")
    assert [flow.training_gpus(model) for model in models] == [1, 4, 8]
    assert [flow.training_threads(model) for model in models] == [2, 8, 16]
    paper["models"]["lamini-t5-738m"] |= {"nodes": 3, "gpus": 2}
    flow = Workflow(paper)
    assert flow.training_gpus("lamini-t5-738m") == 6
    assert flow.training_minutes("lamini-t5-738m", 1) == 1107
    assert growing(20)(None, 3) == 60
    assert flow.teacher_minutes(240, 2) == 480
    paper["teacher"]["backend"] = "batch"
    assert Workflow(paper).teacher_minutes(240, 1) == 2880


def test_the_protocol_is_the_papers_for_its_families_alone(paper: dict[str, Any]) -> None:
    paper["models"]["qwen"] = paper["models"]["gpt2"] | {"family": "Qwen2"}

    def protocols(**evaluation: str) -> dict[str, str]:
        paper["evaluation"] |= evaluation
        flow = Workflow(paper)
        found = {
            m: flow.evaluation_params(m, "record").evaluation.protocol
            for m in (*flow.evaluated_models, "qwen")
        }
        assert len(found) == 15 + 17 + 1
        return found

    qwen = {"qwen": "modern"}
    assert protocols() == dict.fromkeys(protocols(), "paper") | qwen
    assert set(protocols(protocol="paper").values()) == {"paper"}
    assert set(protocols(protocol="modern").values()) == {"modern"}
    paper["models"]["qwen"]["protocol"] = "paper"
    paper["models"]["gpt2"]["protocol"] = "modern"
    found = protocols(protocol="auto")
    assert (found["qwen"], found["gpt2"], found["gpt2-xl"]) == ("paper", "modern", "paper")


def test_the_papers_families_are_those_of_its_tables() -> None:
    with (CONFIG / "paper/eval_results.csv").open() as handle:
        assert {row["family"] for row in csv.DictReader(handle)} == set(PAPER_FAMILIES)


def test_acceptance_is_measured_in_fp32(paper: dict[str, Any]) -> None:
    def precision(model: str) -> str:
        return str(Workflow(paper).evaluation_params(model, "record").evaluation.precision)

    assert (precision("gpt2-xl"), precision("gpt2")) == ("fp32", "auto")
    paper["evaluation"]["precision"] = "bf16"
    assert (precision("gpt2-xl"), precision("gpt2")) == ("bf16", "bf16")


def test_a_task_outside_all_batches_gets_its_own(paper: dict[str, Any]) -> None:
    paper["tasks"]["boolq"] = paper["tasks"]["rte"] | {"name": "BoolQ"}
    paper["evaluated_tasks"].append("boolq")
    assert Workflow(paper).batches["boolq"] == ["boolq"]


def test_the_configuration_is_read_in_a_blink(paper: dict[str, Any]) -> None:
    started = time.process_time()
    Workflow(paper)
    assert time.process_time() - started < 0.3


def test_drawing_settings_do_not_embed_again(paper: dict[str, Any]) -> None:
    before = Workflow(paper)
    paper["analysis"]["embeddings"] |= {"perplexity": 50, "replicates": 99}
    after = Workflow(paper)
    assert before.embedding_params().as_params() == after.embedding_params().as_params()
    assert before.projection_params().as_params() != after.projection_params().as_params()


def test_a_decontaminated_mixture_is_taken_from_its_base(paper: dict[str, Any]) -> None:
    name = "d_all_decontaminated"
    assert name not in Workflow(paper).used_mixtures
    paper["models"]["lamini-t5-61m"]["mixture"] = name
    flow = Workflow(paper)
    assert set(flow.used_mixtures) == {"d_all", name}
    assert flow.mixture_hits(name) == ["results/analysis/d_all/contamination.parquet"]
    assert flow.mixture_hits("d_all") == []


@pytest.mark.parametrize(
    ("decontamination", "message"),
    [
        ({"mixture": "nowhere"}, "unknown mixture 'nowhere'"),
        ({"mixture": "d_all_decontaminated"}, "is itself decontaminated"),
        ({"mixture": "small"}, "small lacks .*original_p3"),
        ({"mixture": "d_all", "words": 7}, "must be at least 8, the smallest"),
    ],
)
def test_a_decontamination_that_cannot_be_is_refused(
    paper: dict[str, Any], decontamination: dict[str, Any], message: str
) -> None:
    paper["mixtures"]["small"] = {"sources": ["alpaca"]}
    paper["mixtures"]["clean"] = paper["mixtures"]["d_all_decontaminated"] | {
        "decontamination": decontamination
    }
    with pytest.raises(SettingsError, match=message):
        Workflow(paper)


def test_the_papers_prompt_adds_nothing_to_the_params_of_older_runs(paper: dict[str, Any]) -> None:
    default = Workflow(paper).instruction_params("generated_p3", "0003").as_params()
    assert list(default) == [
        "source",
        "generation",
        "model",
        "requests",
        "seed_requests",
        "count",
        "seed",
        "version",
    ]
    assert list(default["requests"]) == ["sampling", "demonstrations", "version"]
    del paper["teacher"]["instructions"]["prompt"]
    assert Workflow(paper).instruction_params("generated_p3", "0003").as_params() == default


def test_a_prompt_of_ones_own_is_part_of_the_instructions_it_asks_for(
    paper: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prompt = {"template": "own.jinja", "opening": "[", "closing": "]"}
    paper["sources"]["generated_p3"]["generation"]["requests"] = {"prompt": prompt}
    flow = Workflow(paper)
    seen = []
    for text in ("one", "two"):
        Path("own.jinja").write_text(text)
        params = flow.instruction_params("generated_p3", "0003").as_params()
        assert params["generation"]["requests"]["prompt"] == prompt
        seen.append(params)
        assert "files" not in flow.instruction_params("generated_flan", "0003").as_params()
    assert seen[0] != seen[1]
    assert seen[0] | {"files": None} == seen[1] | {"files": None}
    assert flow.prompt_template("generated_p3") == ["own.jinja"]


def test_wrong_files_are_named_by_their_settings_before_any_job(
    paper: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_files(Workflow(paper))
    text = "{{ examples | join }} {{ count }} {{ opening }} {{ closing }}"
    Path("own.jinja").write_text(text)
    paper["teacher"]["instructions"]["prompt"] = {"template": "own.jinja"}
    gone = {"prompt": {"template": "gone.jinja"}}
    paper["sources"]["generated_p3"]["generation"]["requests"] = gone
    with pytest.raises(SettingsError) as error:
        check_files(Workflow(paper))
    assert str(error.value).splitlines() == [
        "the configuration is wrong:",
        "  teacher.instructions.prompt: own.jinja: the instruction prompt does not show all of"
        " `topics`; add it to the template",
        "  sources.generated_p3.generation.requests.prompt: gone.jinja: the instruction prompt"
        " can't be read as a Jinja template (No such file or directory)",
    ]
