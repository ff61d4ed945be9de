"""Scripts are thin: each passes the entries of its rule to one function of the package."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from lamini import paths

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
RULES = re.sub(
    r"\bpaths\.([A-Z_]+)",
    lambda name: str(getattr(paths, name[1])),
    "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk"))),
)
"""The text of all rules, with the paths in place of their names."""

BLOCKS = re.split(r"^ *rule(?= |:)", RULES, flags=re.MULTILINE)[1:]
"""The text of each rule, from its name on."""
SAME_WORK = {"evaluate": "evaluate_model", "answer_questions": "generate_answers"}
"""Rules that run the script of another name."""
INPUTS_OF_PACKAGE = re.compile(r"^ +(?:unpack\(|\*\*)", re.MULTILINE)
"""Inputs whose names the package makes."""
SCRIPT = re.compile(r'"\.\./scripts/(\w+)\.py"')


def _function(script: str) -> Any:
    """The function of the package that a script runs: its only import except `run_job`."""
    tree = ast.parse((ROOT / f"scripts/{script}.py").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    (found,) = (i for i in imports if i.module != "lamini.jobs")
    (name,) = (alias.name for alias in found.names)
    return getattr(importlib.import_module(str(found.module)), name)


def _names(block: str) -> list[str]:
    """Names in a rule: inputs, outputs, params, and the wildcards in its paths."""
    sections = re.split(r"^ +(\w+):$", block, flags=re.MULTILINE)
    parts = dict(zip(sections[1::2], sections[2::2], strict=True))
    named = "".join(parts.get(key, "") for key in ("input", "output", "params"))
    keys = re.findall(r"^ +(\w+)=", named, flags=re.MULTILINE)
    return [*keys, *dict.fromkeys(re.findall(r"\{(\w+)\}", parts["output"]))]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_the_function_of_its_name(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a script has a docstring"
    kinds = [type(node) for node in tree.body]
    assert kinds == [ast.Expr, ast.ImportFrom, ast.ImportFrom, ast.Expr], (
        "scripts have no logic; it is in the package"
    )
    assert ast.unparse(tree.body[-1]) == f"run_job(snakemake, {path.stem})"
    assert _function(path.stem).__name__ == path.stem


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_serves_a_rule(path: Path) -> None:
    assert f'"../scripts/{path.name}"' in RULES


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.findall(r"\w+", block)[0])
def test_a_rule_is_named_after_its_script_and_has_what_its_function_takes(block: str) -> None:
    script = SCRIPT.search(block)
    name = re.match(r" (\w+):|:\s+name:\s+f?\"(\w+)", block)
    assert name is not None
    if script is None:  # a target without a job, or `python -m`
        assert "shell:" in block or "output:" not in block
        return
    rule = (name[1] or name[2]).removesuffix("_")
    assert SAME_WORK.get(rule, rule) == script[1]
    parameters = set(inspect.signature(_function(script[1])).parameters)
    named = {name: _names(block).count(name) for name in parameters - {"inputs", "outputs"}}
    if INPUTS_OF_PACKAGE.search(block):  # their names: tests/workflow/test_rule_arguments.py
        assert max(named.values()) == 1
    else:
        assert named == dict.fromkeys(named, 1)


def test_rules_hold_no_functions() -> None:
    assert not re.search(r"^\s*def ", RULES, flags=re.MULTILINE)


def test_every_rule_says_what_it_is_for() -> None:
    for block in BLOCKS:
        head = "\n".join(block.splitlines()[:5])
        assert '"""' in head or "# " in head, head


def test_memory_and_time_grow_with_each_attempt() -> None:
    asked = re.findall(r"^ +(?:runtime|mem_mb)=(.+),$", RULES, flags=re.MULTILINE)
    assert len(asked) > 40
    for value in asked:
        assert "growing(" in value or "attempt)" in value, value
