"""Scripts are thin: they unpack what the rule has and call the package."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
RULES = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_thin(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "opens with what it does"
    defined = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert not defined, "logic lives in the package"
    statements = [n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom | ast.Expr)]
    assert len(tree.body) - len(statements) <= 12
    assert len(path.read_text().splitlines()) <= 40


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_serves_a_rule(path: Path) -> None:
    assert f'"../scripts/{path.name}"' in RULES


def test_every_rule_of_a_script_is_named_after_it() -> None:
    blocks = re.split(r"^ *rule(?= |:)", RULES, flags=re.MULTILINE)[1:]
    for block in blocks:
        script = re.search(r'"\.\./scripts/(\w+)\.py"', block)
        if script is None:
            continue
        name = re.match(r" (\w+):|:\s+name:\s+f?\"(\w+)", block)
        assert name is not None
        rule = name[1] or name[2]
        verb = script[1].split("_")[0]
        assert rule.startswith(verb), f"rule {rule} runs {script[1]}.py"


def test_rules_hold_no_functions() -> None:
    assert not re.search(r"^\s*def ", RULES, flags=re.MULTILINE)


def test_every_rule_says_what_it_is_for() -> None:
    for block in re.split(r"^ *rule(?= |:)", RULES, flags=re.MULTILINE)[1:]:
        head = "\n".join(block.splitlines()[:5])
        assert '"""' in head or "# " in head, head


def test_memory_and_time_grow_with_each_attempt() -> None:
    asked = re.findall(r"^ +(?:runtime|mem_mb)=(.+),$", RULES, flags=re.MULTILINE)
    assert len(asked) > 40
    for value in asked:
        assert "growing(" in value or "attempt)" in value, value
