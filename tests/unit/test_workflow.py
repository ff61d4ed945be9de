"""What the rules get from the configuration."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamini.workflow import Workflow, one_of

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
    for params in (
        flow.instruction_params("generated_p3", "0003"),
        flow.pair_params("alpaca"),
        flow.evaluation_params("gpt2", "record"),
        flow.mixture_params("d_all"),
    ):
        assert json.loads(json.dumps(params)) == params


def test_one_recipe_change_reaches_one_model(paper: dict[str, Any]) -> None:
    before = Workflow(paper)
    paper["models"]["lamini-t5-61m"]["recipe_changes"] = {"learning_rate": 1e-4}
    after = Workflow(paper)
    changed = [
        student
        for student in after.config.students
        if before.training_params(student) != after.training_params(student)
    ]
    assert changed == ["lamini-t5-61m"]


def test_transport_settings_are_no_params(paper: dict[str, Any]) -> None:
    before = Workflow(paper)
    paper["teacher"] |= {"max_concurrency": 1, "timeout": 5, "mode": "replay", "jobs": 9}
    after = Workflow(paper)
    assert before.pair_params("alpaca") == after.pair_params("alpaca")


def test_the_wrapper_is_for_decoder_only_students(paper: dict[str, Any]) -> None:
    flow = Workflow(paper)
    assert flow.asked_model_params("lamini-gpt-124m")["prompt_format"] == "alpaca"
    assert flow.asked_model_params("gpt2")["prompt_format"] is None
    assert flow.asked_model_params("lamini-t5-61m")["prompt_format"] is None


def test_a_task_outside_all_batches_gets_its_own(paper: dict[str, Any]) -> None:
    paper["tasks"]["boolq"] = paper["tasks"]["rte"] | {"name": "BoolQ"}
    paper["evaluated_tasks"].append("boolq")
    assert Workflow(paper).batches["boolq"] == ["boolq"]


def test_the_configuration_is_read_in_a_blink(paper: dict[str, Any]) -> None:
    started = time.process_time()
    Workflow(paper)
    assert time.process_time() - started < 0.3
