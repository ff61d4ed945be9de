"""Settings compute nothing that decides a result: code digests do not cover them."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any, get_args

from lamini.jobs.code import module_digests, module_path
from lamini.settings import params as rule_params
from lamini.settings.base import Settings
from lamini.settings.teacher import InstructionTemplate, Teacher

SCRIPTS = Path(__file__).parents[2] / "scripts"
PARAMS = {
    "as_params",
    "asked_by",
    "of_stage",
    "result_params",
    "speed_params",
    "stage_problems",
    "without_model",
}
"""Methods of settings that check or give the params themselves, so Snakemake sees what changes."""
CHECKS = {"is_http_url"}
"""Functions of settings that only decide whether a value is valid."""


def _settings_classes() -> set[type[Settings]]:
    """Classes of the params of all rules and of the teacher, with the classes of their fields."""
    found: set[type[Settings]] = set()
    stages = pkgutil.iter_modules(rule_params.__path__, f"{rule_params.__name__}.")
    modules = [importlib.import_module(stage.name) for stage in stages]
    waiting: list[Any] = [
        Teacher,
        *(value for module in modules for value in vars(module).values()),
    ]
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, Settings) and kind not in found:
            found.add(kind)
            waiting += [field.annotation for field in kind.model_fields.values()]
    return found


def test_classes_of_settings_that_rules_get_compute_nothing() -> None:
    classes = _settings_classes()
    assert len(classes) > 50
    computing = {
        f"{kind.__name__}.{name}"
        for kind in classes
        for name, member in vars(kind).items()
        if inspect.isfunction(member) or isinstance(member, property | classmethod)
        if not name.startswith("_") and name not in PARAMS
    }
    assert computing == set(), "move it to the module that uses it: settings are not in the digest"


def test_rules_call_no_function_of_settings() -> None:
    modules = {name for path in SCRIPTS.glob("*.py") for name in module_digests(path.stem)}
    called = set()
    for path in filter(None, map(module_path, modules)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lamini.settings"):
                module = importlib.import_module(str(node.module))
                names = {alias.name for alias in node.names}
                called |= {name for name in names if inspect.isfunction(getattr(module, name))}
    assert len(modules) > 100
    assert called <= CHECKS, "move it to the module that uses it: settings are not in the digest"


def test_the_defaults_that_params_omit_are_the_papers() -> None:
    assert InstructionTemplate().model_dump() == {
        "template": "package:lamini/generation/instruction_prompt.jinja",
        "opening": "<example>",
        "closing": "</example>",
    }, "older results have no such params and would not become stale"
