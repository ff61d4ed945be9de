"""A public name, or the name of a class, stands for one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "scripts" / "lamini"
ENTRY_POINTS = {"main"}
"""Functions that `python -m` runs; no other module calls them by name."""


def _repeated(sources: dict[str, str]) -> dict[str, list[str]]:
    """Modules of each name that several of them give to a class or to a public function."""
    modules: dict[str, list[str]] = defaultdict(list)
    for module, source in sources.items():
        for node in ast.parse(source).body:
            is_class = isinstance(node, ast.ClassDef)
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_class or (is_function and not node.name.startswith("_")):
                modules[node.name].append(module)
    return {name: where for name, where in modules.items() if len(where) > 1}


def test_no_two_modules_define_the_same_name() -> None:
    sources = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    assert len(sources) > 200
    repeated = _repeated(sources)
    assert {name: repeated[name] for name in repeated.keys() - ENTRY_POINTS} == {}


def test_a_repeated_name_is_found() -> None:
    sources = {
        "a": "class _Part: ...\ndef read(): ...\ndef _row(): ...\n",
        "b": "class _Part: ...\nasync def read(): ...\ndef _row(): ...\n",
        "c": "def other(): ...\n",
    }
    assert _repeated(sources) == {"_Part": ["a", "b"], "read": ["a", "b"]}
