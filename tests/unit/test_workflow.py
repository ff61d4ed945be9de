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
from lamini.training.estimate import settings_key
from lamini.training.job import TrainingJob
from lamini.workflow import Workflow, growing, one_of
from lamini.workflow.checks import check_files
from lamini.workflow.weights import user_weights_digest

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


def test_each_stage_has_its_own_model(paper: dict[str, Any]) -> None:
    paper["teacher"] |= {"backend": "external", "server": None}
    paper["teacher"]["instructions"]["model"] = "first"
    paper["teacher"]["responses"]["model"] = "second"
    flow = Workflow(paper)
    assert flow.instruction_params("generated_p3", "0000").model == "first"
    assert flow.pair_params("alpaca").model == "second"


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
    # The time of a step does depend on them; the job and the workflow agree on it.
    keys = [settings_key(job) for job in jobs]
    assert keys == [settings_key(flow.training_params(model)) for flow in (before, after)]
    assert keys[0] != keys[1]


def test_the_name_of_a_student_is_no_param(paper: dict[str, Any]) -> None:
    model = "lamini-gpt-124m"
    before = Workflow(paper)
    paper["models"][model]["name"] = "My GPT"
    after = Workflow(paper)
    assert before.training_json(model) == after.training_json(model)
    assert before.answer_params(model) == after.answer_params(model)
    assert TrainingJob.from_json(after.training_json(model), name="My GPT").name == "My GPT"


@pytest.mark.parametrize("kind", ["folder", "gguf"])
def test_other_weights_at_the_same_path_are_other_params(
    paper: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "weights"
    place.mkdir()
    file = place / "model.safetensors"
    build = {"build": {"kind": "gguf", "path": str(file)}}
    paper["models"]["gpt2"]["weights"] = {"folder": str(place)} if kind == "folder" else build

    def params() -> list[dict[str, Any]]:
        user_weights_digest.cache_clear()
        flow = Workflow(paper)
        if kind == "gguf":
            return [flow.build_params("gpt2").as_params()]
        return [
            flow.training_params("lamini-gpt-124m").as_params(),
            flow.answer_params("gpt2").as_params(),
        ]

    found = []
    for content in (b"weights", b"others!", b"weights"):
        file.write_bytes(content)
        found.append(params())
    assert found[0] == found[2]
    assert all(one != other for one, other in zip(found[0], found[1], strict=True))


def test_weights_of_the_hub_and_of_rules_have_no_digest(paper: dict[str, Any]) -> None:
    flow = Workflow(paper)
    assert "digest" not in flow.training_json("lamini-gpt-124m")
    assert "digest" not in flow.answer_params("lamini-gpt-124m").as_params()["model"]


def test_the_wrapper_is_for_decoder_only_students(paper: dict[str, Any]) -> None:
    flow = Workflow(paper)
    assert flow.evaluated_model_params("lamini-gpt-124m").prompt_format == "alpaca"
    assert flow.evaluated_model_params("gpt2").prompt_format is None
    assert flow.evaluated_model_params("lamini-t5-61m").prompt_format is None


def test_toys_leave_a_core_to_others(paper: dict[str, Any]) -> None:
    paper["models"]["gpt2"]["parameters"] = 1_000_000
    flow = Workflow(paper)
    assert flow.model_threads("gpt2") == 1
    assert flow.model_threads("gpt2-xl") == 2


@pytest.mark.parametrize(
    ("model", "training", "evaluation"),
    [
        # The hours of `make plan` on V100s (3.6, 32.0, 66.0), and half as much again; at least an
        # hour. 3,000 MiB and 24 bytes a parameter.
        ("lamini-t5-61m", [(320, 639), (4385, 6577)], [(64, 127), (3231, 4846)]),
        # Four GPUs, each with 3,000 MiB and 8 bytes a parameter; two days at most.
        ("lamini-t5-738m", [(720, 1439), (34512, 51768)], [(104, 209), (5814, 8721)]),
        ("lamini-gpt-1.5b", [(743, 1486), (119069, 178604)], [(153, 307), (8942, 13413)]),
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
    assert flow.training_minutes("lamini-t5-738m", 1) == 480
    assert growing(20)(None, 3) == 60
    assert flow.teacher_minutes(240, 2) == 480
    paper["teacher"]["backend"] = "batch"
    assert Workflow(paper).teacher_minutes(240, 1) == 2880


@pytest.mark.parametrize(
    ("partitions", "gpus"),
    [
        ("{cpu: {max_threads: 9}, v100: {max_gpu: 4}, small: {max_gpu: 2}}", [1, 4, 4]),
        ("{gpu: {max_gpu: 1}, cpu: {max_gpu: 0}}", [1, 1, 1]),
        ("{gpu: {max_gpu: 16}}", [1, 4, 8]),
        ("{gpu: {max_runtime: 2880}}", [1, 4, 8]),
    ],
)
def test_the_default_number_of_gpus_fits_the_partitions(
    paper: dict[str, Any],
    partitions: str,
    gpus: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = ("lamini-t5-61m", "lamini-t5-738m", "lamini-gpt-1.5b")
    monkeypatch.chdir(tmp_path)
    assert [Workflow(paper).training_gpus(model) for model in models] == [1, 4, 8]
    file = tmp_path / "config/profiles/slurm/partitions.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"partitions: {partitions}")
    assert [Workflow(paper).training_gpus(model) for model in models] == gpus
    paper["site"] = {"node_gpus": 2}
    assert [Workflow(paper).training_gpus(model) for model in models] == [1, 2, 2]
    paper["models"]["lamini-gpt-1.5b"]["gpus"] = 6
    assert Workflow(paper).training_gpus("lamini-gpt-1.5b") == 6


@pytest.mark.parametrize(
    "text", ["partitions: [gpu]", "{}", "partitions: {gpu: {max_gpu: x}}", ":"]
)
def test_a_wrong_file_of_partitions_is_named_before_any_job(
    paper: dict[str, Any], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path("config/profiles/slurm/partitions.yaml")
    monkeypatch.chdir(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(SettingsError, match=f"{file}: `partitions` must have limits"):
        check_files(Workflow(paper))


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
    paper["analysis"]["embeddings"] |= {"perplexity": 50}
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


def test_the_text_of_a_trained_tokenizer_is_part_of_the_run(paper: dict[str, Any]) -> None:
    """Although no student is trained on that mixture."""
    paper["mixtures"]["small"] = {"sources": ["alpaca"]}
    for student in paper["students"]:
        paper["models"][student]["mixture"] = "small"
    paper["human_evaluation"]["studies"] = {}
    paper["mixtures"] = {"small": paper["mixtures"].pop("small"), **paper["mixtures"]}
    assert Workflow(paper).used_mixtures == ["small"]
    tokenizer = paper["models"][paper["references"][0]]["tokenizer"]
    paper["tokenizers"][tokenizer] = {"train": {"kind": "gpt2", "vocabulary": 1000}} | {
        key: value
        for key, value in paper["tokenizers"][tokenizer].items()
        if key == "prompt_format"
    }
    flow = Workflow(paper)
    assert flow.used_mixtures == ["small", "d_all"]
    assert len(flow.active_sources) == 7


def test_a_mixture_names_who_wrote_its_instructions_if_another_model_answers(
    paper: dict[str, Any],
) -> None:
    paper["teacher"]["backend"] = "external"
    assert Workflow(paper).mixture_params("d_all").writers == []
    paper["teacher"]["instructions"]["model"] = "writer"
    assert Workflow(paper).mixture_params("d_all").writers == ["writer"]
    paper["dataset"] = "published"
    assert Workflow(paper).mixture_params("d_all").writers == []


@pytest.mark.parametrize(
    ("decontamination", "message"),
    [
        ({"mixture": "nowhere"}, "unknown mixture 'nowhere'"),
        ({"mixture": "d_all_decontaminated"}, "is itself decontaminated"),
        ({"mixture": "other"}, "other has no source of clean"),
        ({"mixture": "d_all", "words": 7}, "must be at least 8, the smallest"),
    ],
)
def test_a_decontamination_that_cannot_be_is_refused(
    paper: dict[str, Any], decontamination: dict[str, Any], message: str
) -> None:
    paper["sources"]["cooking"] = paper["sources"]["alpaca"]
    paper["mixtures"]["other"] = {"sources": ["cooking"]}
    paper["mixtures"]["clean"] = paper["mixtures"]["d_all_decontaminated"] | {
        "decontamination": decontamination
    }
    paper["models"]["lamini-t5-61m"]["mixture"] = "clean"
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


def test_the_model_of_a_source_stands_once_in_its_params(paper: dict[str, Any]) -> None:
    paper["teacher"]["backend"] = "external"
    generation = paper["sources"]["generated_p3"]["generation"]
    generation["requests"] = {"model": "special", "version": 7}
    params = Workflow(paper).instruction_params("generated_p3", "0003").as_params()
    assert params["model"] == "special"
    assert params["generation"]["requests"]["version"] == 7
    assert "model" not in params["generation"]["requests"]


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
    paper["human_evaluation"]["studies"]["models"]["exclude"] = None
    check_files(Workflow(paper))
    text = "{{ examples | join }} {{ count }} {{ opening }} {{ closing }}"
    Path("own.jinja").write_text(text)
    paper["teacher"]["instructions"]["prompt"] = {"template": "own.jinja"}
    seeds = {"format": "jsonl", "local": {"path": "gone.jsonl"}}
    paper["sources"]["original_p3"]["seeds"] = seeds
    paper["topics"]["dump"] = "gone.sql.gz"
    paper["answers"]["instructions"] = "gone.jsonl"
    paper["tasks"]["rte"]["metric"] = "f2"
    gone = {"prompt": {"template": "gone.jinja"}}
    paper["sources"]["generated_p3"]["generation"]["requests"] = gone
    with pytest.raises(SettingsError) as error:
        check_files(Workflow(paper))
    assert str(error.value).splitlines() == [
        "the configuration is wrong:",
        "  sources.original_p3.seeds.local.path: gone.jsonl: no such file or folder",
        "  topics.dump: gone.sql.gz: no such file or folder",
        "  answers.instructions: gone.jsonl: no such file or folder",
        "  teacher.instructions.prompt: own.jinja: the instruction prompt does not show all of"
        " `topics`; add it to the template",
        "  sources.generated_p3.generation.requests.prompt: gone.jinja: the instruction prompt"
        " can't be read as a Jinja template (No such file or directory)",
        "  tasks.rte.metric: the task does not measure f2; it has acc",
    ]
