"""Few-shot, chat, generated and grouped tasks: each example is as in stock lm-eval."""

import json
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from evaluation_cases import ROOT, saved_model, small_model
from lm_eval.api.group import Group
from lm_eval.api.task import ConfigurableTask
from lm_eval.config.group import AggMetricConfig
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval.utils import make_table
from tokenizer_kinds import llama3
from tokenizers import AddedToken
from tokenizers.processors import ByteLevel

from lamini.errors import LaminiError
from lamini.evaluation.evaluate import evaluate_model
from lamini.evaluation.task_checks import check_tasks
from lamini.evaluation.tasks import FEWSHOT_SEED, build_task, build_tasks
from lamini.settings.evaluation import Evaluation, Task
from lamini.settings.params.evaluation import EvaluatedModel, EvaluateModel
from lamini.settings.params.students import ChatTemplate

MIRROR = ROOT / "config/examples/herd/tasks"
DEFINITIONS = Path(lm_eval.__file__).parent / "tasks"
TEMPLATES = Path(__file__).parent / "chat_templates"
SUBJECTS = ("nutrition", "high_school_chemistry")
SYSTEM = "You are brief."
KINDS: dict[str, dict[str, Any]] = {
    "arc_easy": {
        "metric": "acc_norm",
        "other_metrics": ["acc"],
        "data": {"repo": "allenai/ai2_arc", "config": "ARC-Easy", "split": "test"},
        "num_fewshot": 2,
        "fewshot_split": "test",
    },
    "mmlu": {
        "metric": "acc",
        "data": {
            "repo": "cais/mmlu",
            "configs": {subject: f"mmlu_{subject}" for subject in SUBJECTS},
            "split": "test",
        },
        "num_fewshot": 5,
        "fewshot_split": "dev",
    },
    "gsm8k": {
        "metric": "exact_match",
        "other_metrics": ["exact_match,flexible-extract"],
        "data": {"repo": "openai/gsm8k", "config": "main", "split": "test"},
        "num_fewshot": 3,
        "fewshot_split": "train",
        "generation_kwargs": {"max_gen_toks": 12},
    },
    "triviaqa": {
        "metric": "exact_match",
        "data": {
            "repo": "mandarjoshi/trivia_qa",
            "config": "rc.nocontext",
            "split": "validation",
        },
        "generation_kwargs": {"max_gen_toks": 8},
    },
}
FILES = {
    "arc_easy": "arc/arc_easy.yaml",
    "gsm8k": "gsm8k/gsm8k.yaml",
    "triviaqa": "triviaqa/default.yaml",
    **{f"mmlu_{subject}": f"mmlu/default/mmlu_{subject}.yaml" for subject in SUBJECTS},
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _task(name: str, **changes: Any) -> Task:
    fields = {"name": name, "category": "Test", "examples": 4}
    return Task.model_validate(fields | KINDS[name] | changes)


def _tokenizer() -> Any:
    """A tokenizer that adds no begin token, as those of Qwen and SmolLM2.

    Where a tokenizer adds one that the template has not, lm-eval sends it; training does not.
    """
    tokenizer = llama3()
    tokenizer.backend_tokenizer.post_processor = ByteLevel(trim_offsets=False)
    names = ("<|im_start|>", "<|im_end|>")
    tokenizer.add_tokens([AddedToken(name, special=True) for name in names])
    tokenizer.chat_template = (TEMPLATES / "qwen3.jinja").read_text(encoding="utf-8")
    return tokenizer


@pytest.fixture(scope="module")
def model() -> tuple[Any, Any]:
    tokenizer = _tokenizer()
    return small_model("gpt2", tokenizer, n_positions=2048), tokenizer


def _stock_task(name: str, task: Task, config: str | None) -> ConfigurableTask:
    """The task as lm-eval itself reads it, from the same files."""
    folder = MIRROR / task.data.repo / str(config)
    splits = {task.data.split, task.fewshot_split} - {None}
    definition = load_yaml(DEFINITIONS / FILES[name])
    for key in ("tag", "training_split", "validation_split", "test_split"):
        definition.pop(key, None)
    definition |= {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {split: str(folder / f"{split}.jsonl") for split in splits}
        },
        "test_split": task.data.split,
        "fewshot_split": task.fewshot_split,
        "num_fewshot": task.num_fewshot,
    }
    if task.generation_kwargs:
        definition["generation_kwargs"] |= task.generation_kwargs
    stock = ConfigurableTask(config=definition)
    stock.set_fewshot_seed(FEWSHOT_SEED)
    return stock


def _stock(model: tuple[Any, Any], name: str, task: Task, chat: bool) -> dict[str, Any]:
    loaded, tokenizer = model
    configs = task.data.configs
    if configs is None:
        tasks, groups = {name: _stock_task(name, task, task.data.config)}, {}
    else:
        tasks = {member: _stock_task(member, task, key) for key, member in configs.items()}
        groups = {name: Group(name, aggregate_metric_list=[AggMetricConfig("acc")])}
        for member in tasks.values():
            groups[name].add(member)
    measured = lm_eval.evaluate(
        HFLM(loaded, tokenizer=tokenizer, batch_size=1, max_length=2048),
        {"tasks": tasks, "groups": groups},  # type: ignore[typeddict-item]
        bootstrap_iters=100,
        system_instruction=SYSTEM if chat else None,
        apply_chat_template=chat,
        fewshot_as_multiturn=chat and task.fewshot_as_multiturn,
    )
    assert measured is not None
    return measured  # type: ignore[return-value]


def _ours(model: tuple[Any, Any], name: str, task: Task, chat: bool) -> dict[str, Any]:
    """Our result, and our files in lm-eval's form."""
    changes: dict[str, Any] = {}
    if chat:
        changes = {"prompt_format": "chat", "chat": ChatTemplate(system=SYSTEM)}
    evaluated: EvaluatedModel = saved_model(Path("models/small"), *model, **changes)
    evaluation = Evaluation(
        protocol="modern", mirror=str(MIRROR), replicates=100, lm_eval_files=True
    )
    settings = EvaluateModel(model=evaluated, tasks={name: task}, evaluation=evaluation, files=None)
    evaluate_model(evals=[f"evals/{name}.json"], settings=settings)
    folder = Path("evals/lm_eval")
    lines = (folder / f"samples_{name}.jsonl").read_text().splitlines()
    return {
        "result": json.loads(Path(f"evals/{name}.json").read_text()),
        "files": json.loads((folder / f"results_{name}.json").read_text()),
        "samples": [json.loads(line) for line in lines],
    }


def _numbers(value: Any) -> Any:
    """Values with numbers for the texts of numbers, and with rounded log-likelihoods."""
    if isinstance(value, list | tuple):
        return [_numbers(item) for item in value]
    try:
        return pytest.approx(float(value), abs=2e-4)
    except (TypeError, ValueError):
        return value


@pytest.mark.parametrize(
    ("name", "chat", "changes"),
    [
        ("arc_easy", False, {}),
        ("mmlu", True, {}),
        ("mmlu", True, {"fewshot_as_multiturn": False, "num_fewshot": 2}),
        ("gsm8k", True, {}),
        ("triviaqa", False, {}),
    ],
)
def test_each_example_is_that_of_stock_lm_eval(
    name: str, chat: bool, changes: dict[str, Any], model: tuple[Any, Any]
) -> None:
    task = _task(name, **changes)
    ours, stock = _ours(model, name, task, chat), _stock(model, name, task, chat)
    theirs = [sample for samples in stock["samples"].values() for sample in samples]
    assert len(ours["samples"]) == len(theirs) > 0
    for mine, other in zip(ours["samples"], theirs, strict=True):
        sent = [list(request.values()) for request in mine["arguments"].values()]
        assert sent == [list(request) for request in other["arguments"]]
        # lm-eval writes the parts of a likelihood as texts.
        texts = [
            [list(map(str, r)) if isinstance(r, tuple) else r for r in rs] for rs in other["resps"]
        ]
        found = mine["resps"]
        assert found == _numbers(texts) or _numbers(found) == _numbers(texts)
        for key in ("doc_id", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash"):
            assert mine[key] == other[key]
        assert all(mine[metric] == other[metric] for metric in other["metrics"])

    result, metrics = ours["result"], [task.metric, *task.other_metrics]
    of = {
        metric: [
            float(sample[metric.partition(",")[0]])
            for samples in stock["samples"].values()
            for sample in samples
            if sample["filter"] == (metric.partition(",")[2] or samples[0]["filter"])
        ]
        for metric in metrics
    }
    assert result["values"] == of[task.metric]
    others = result.get("other_metrics", {})
    assert {metric: other["values"] for metric, other in others.items()} == {
        metric: of[metric] for metric in task.other_metrics
    }
    assert make_table(ours["files"]) == make_table(stock)
    if task.data.configs:
        assert make_table(ours["files"], "groups") == make_table(stock, "groups")
        assert result["parts"] == {
            member: {"examples": 3, "score": pytest.approx(100 * facts["acc,none"], abs=1e-4)}
            for member, facts in stock["results"].items()
            if member != name
        }
    assert str(Path.cwd()) not in json.dumps(ours)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("mmlu", {"num_fewshot": 6}, r"mmlu_nutrition\.num_fewshot: 6 .* too many; .*dev.* has 5$"),
        ("arc_easy", {"num_fewshot": 99}, r"99 solved examples are too many; .* has \d+$"),
        ("gsm8k", {"fewshot_split": None}, "the definition has no solved examples; set"),
        ("arc_easy", {"generation_kwargs": {"until": []}}, "generates no texts; delete this line"),
    ],
)
def test_what_cannot_run_is_named_when_the_task_is_built(
    name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(LaminiError, match=message):
        build_tasks(name, _task(name, **changes), "modern", str(MIRROR))


def test_a_package_that_only_the_metric_needs_is_named_before_a_model_is_loaded() -> None:
    own = Path("own")
    own.mkdir()
    (own / "scored.yaml").write_text(
        "task: scored\noutput_type: generate_until\ndoc_to_text: question\n"
        "doc_to_target: answer\nprocess_results: !function parts.score\n"
        "metric_list: [{metric: exact_match}]\n"
    )
    (own / "parts.py").write_text("def score(row, results):\n    import no_such_package\n")
    task = _task("gsm8k", include_path="own", other_metrics=[])
    built, _ = build_tasks("scored", task, "modern", str(MIRROR))
    with pytest.raises(LaminiError, match=r"scored: .* needs the Python package no_such_package"):
        check_tasks(built, task, str(MIRROR), None)


def test_solved_examples_are_drawn_from_the_split_and_never_the_question_itself() -> None:
    task, _ = build_task("arc_easy", _task("arc_easy"), "modern", str(MIRROR))
    task.build_all_requests()
    rows = [json.loads(line) for line in (MIRROR / "allenai/ai2_arc/ARC-Easy/test.jsonl").open()]
    for number, row in enumerate(rows):
        (context,) = {i.args[0] for i in task.instances if i.doc_id == number}
        assert context.count(f"Question: {row['question']}") == 1
        assert context.count("Question: ") == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"repo": "r", "split": "s", "config": "a", "configs": {"a": "b"}}}, "not both"),
        ({"num_fewshot": 0}, "`fewshot_split` needs `num_fewshot`"),
    ],
)
def test_settings_that_contradict_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _task("mmlu", **changes)
