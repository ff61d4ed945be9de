"""User-defined tasks: lm-eval definitions in a folder; wrong ones are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from evaluation_cases import SCIQ, TASKS, gpt2_tokenizer, saved_model, small_model
from lm_eval import evaluate
from lm_eval.models.huggingface import HFLM

from lamini.errors import LaminiError, SettingsError
from lamini.evaluation.evaluate import evaluate_model
from lamini.evaluation.tasks import build_task
from lamini.settings.evaluation import Evaluation, Task
from lamini.settings.params.evaluation import EvaluateModel
from lamini.workflow import Workflow
from lamini.workflow.checks import check_files

CONFIG = Path(__file__).parents[2] / "config"
OWN = {
    "name": "Capitals",
    "category": "Geography",
    "metric": "acc",
    "examples": 3,
    "data": {"repo": "mine/capitals", "split": "test"},
    "include_path": "own",
}
ROWS = [
    {"country": country, "cities": ["Oslo", "Rome", "Lima"], "capital": number}
    for number, country in enumerate(("Norway", "Italy", "Peru"))
]
FILES = {
    "capitals.yaml": "include: _base.yaml\ntask: 'capitals'\ndoc_to_text: !function parts.text\n",
    "_base.yaml": "output_type: multiple_choice\ndoc_to_choice: cities\ndoc_to_target: capital\n"
    "metric_list:\n  - metric: acc\ndataset_path: no/where\ntest_split: no_split\n",
    "parts.py": "def text(row):\n    return f\"The capital of {row['country']} is\"\n",
    "deep/sciq.yaml": "include: ../capitals.yaml\ntask: sciq\n",
    "group.yaml": "group: places\ntask: [capitals, sciq]\n",
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write({f"own/{name}": text for name, text in FILES.items()})
    _write({"mirror/mine/capitals/default/test.jsonl": "\n".join(map(json.dumps, ROWS))})


def _write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def _build(name: str = "capitals", protocol: str = "modern") -> Any:
    return build_task(name, Task.model_validate(OWN), protocol, "mirror")[0]


def test_a_task_of_ones_own_is_evaluated() -> None:
    tokenizer = gpt2_tokenizer()
    model = small_model("gpt2", tokenizer, n_positions=64)
    evaluation = Evaluation(mirror="mirror", protocol="paper", replicates=100)
    settings = EvaluateModel(
        model=saved_model(Path("models/m"), model, tokenizer),
        tasks={"capitals": Task.model_validate(OWN)},
        evaluation=evaluation,
        files=None,
    )
    evaluate_model(evals=["results/evals/m/capitals.json"], settings=settings)
    result = json.loads(Path("results/evals/m/capitals.json").read_text())
    assert (result["task"], result["metric"], result["examples"]) == ("capitals", "acc", 3)
    stock = HFLM(model, tokenizer=tokenizer, max_length=64)
    measured = evaluate(stock, {"tasks": {"capitals": _build()}}, bootstrap_iters=0)
    assert measured is not None
    assert result["values"] == [sample["acc"] for sample in measured["samples"]["capitals"]]


@pytest.mark.parametrize("name", ["capitals", "sciq"])
@pytest.mark.parametrize("protocol", ["paper", "modern"])
def test_its_prompts_are_those_of_its_definition(name: str, protocol: str) -> None:
    task = _build(name, protocol)
    task.build_all_requests()
    assert [instance.args for instance in task.instances] == [
        (f"The capital of {row['country']} is", f" {city}")
        for row in ROWS
        for city in row["cities"]
    ]


def test_lm_evals_own_task_of_the_same_name_stays() -> None:
    _write({"mirror/allenai/sciq/default/test.jsonl": json.dumps(SCIQ)})
    task, _ = build_task("sciq", TASKS["sciq"], "modern", "mirror")
    assert task.doc_to_text(task.eval_docs[0]).endswith("Question: What boils?\nAnswer:")


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        (
            "capital",
            {},
            r"tasks\.capital\.include_path: own has no definition with `task: capital`;"
            " it has capitals, places, sciq$",
        ),
        (
            "capitals",
            {"own/capitals.yaml": "task: 'capitals"},
            r"it has places, own/capitals\.yaml, which can't be read \(while .*,"
            r" own/deep/sciq\.yaml",
        ),
        ("capitals", {"own/_base.yaml": "class: x\n"}, "is a Python class"),
        ("places", {}, "group of tasks .* instead: capitals, sciq"),
        (
            "capitals",
            {"own/parts.py": "def txt(row): pass\n"},
            r"can't load .*own/capitals\.yaml \(AttributeError: .*no function 'text'.*correct it",
        ),
        (
            "capitals",
            {"own/parts.py": "import no_such_package\n"},
            "needs the Python package no_such_package",
        ),
        (
            "capitals",
            {
                "own/capitals.yaml": "include: _base.yaml\ntask: capitals\n"
                "doc_to_text: !function nowhere.text\n"
            },
            r"can't load .*own/capitals\.yaml \(ImportError: .*module 'nowhere'.*correct it",
        ),
        (
            "capitals",
            {"own/_base.yaml": FILES["_base.yaml"].replace("cities", "towns")},
            r"capitals/default/test\.jsonl: .*capitals .*found the columns country, cities",
        ),
    ],
)
def test_a_wrong_definition_is_named(name: str, files: dict[str, str], message: str) -> None:
    _write(files)
    with pytest.raises(LaminiError, match=message):
        _build(name)


def _flow(**changes: Any) -> Workflow:
    config: dict[str, Any] = {}
    for name in ("config", "sources", "models", "tasks"):
        config |= yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    config["tasks"]["capitals"] = OWN | changes
    config["evaluated_tasks"] = ["rte", "capitals"]
    config["human_evaluation"] = {}
    return Workflow(config)


def test_a_result_depends_on_its_definitions_content() -> None:
    flow = _flow()

    def digest(batch: str = "capitals") -> str | None:
        return flow.evaluation_params("gpt2", batch).files

    before = digest()
    assert before is not None
    assert digest("others") is None, "other tasks do not depend on it"
    assert set(flow.definition_files("capitals")) == {f"own/{name}" for name in FILES}
    assert flow.definition_files("others") == []
    _build()  # Python keeps a compiled copy of parts.py beside it
    _write({"own/__pycache__/parts.pyc": "compiled"})
    assert digest() == before
    for name, text in FILES.items():
        _write({f"own/{name}": text + "\n"})
        assert digest() != before, name
        _write({f"own/{name}": text})
    assert digest() == before


def test_a_folder_without_the_task_is_named_before_any_job() -> None:
    check_files(_flow())
    with pytest.raises(SettingsError, match=r"capitals\.metric: .* measure acc_norm; it has acc$"):
        check_files(_flow(metric="acc_norm"))
    with pytest.raises(
        SettingsError, match=r"tasks\.capitals\.include_path: nowhere: no such folder"
    ):
        check_files(_flow(include_path="nowhere"))
    Path("own/capitals.yaml").unlink()
    _write({"own/deep/sciq.yaml": "task: sciq"})
    _write({"own/group.yaml": "group: places\ntask: [sciq]\n"})
    with pytest.raises(SettingsError, match=r"no \.yaml file in own has `task: capitals`"):
        check_files(_flow())
