"""A public name, or that of a class or a type, stands for one thing in the whole package."""

import ast
import re
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "scripts" / "lamini"
SHARED = {"main", "T"}
"""What `python -m` runs, which no other module calls by name; and any type."""
_TYPE = re.compile(r"_?[A-Z]\w*[a-z]\w*|_?[A-Z]")


def _repeated(sources: dict[str, str]) -> dict[str, list[str]]:
    """Modules of each name that several of them give to a class, a type or a public function."""
    modules: dict[str, list[str]] = defaultdict(list)
    for module, source in sources.items():
        for node in ast.parse(source).body:
            for name in _names(node):
                modules[name].append(module)
    return {name: where for name, where in modules.items() if len(where) > 1}


def _names(node: ast.stmt) -> list[str]:
    """The name of a class or public function, or those of type aliases and type variables."""
    if isinstance(node, ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [] if node.name.startswith("_") else [node.name]
    names = [target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)]
    return [name for name in names if _TYPE.fullmatch(name)]


def test_no_two_modules_define_the_same_name() -> None:
    sources = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    assert len(sources) > 200
    repeated = _repeated(sources)
    assert {name: repeated[name] for name in repeated.keys() - SHARED} == {}


def test_a_repeated_name_is_found() -> None:
    sources = {
        "a": "class _Part: ...\ndef read(): ...\ndef _row(): ...\nSIZE = 1\n",
        "b": "class _Part: ...\nasync def read(): ...\ndef _row(): ...\nPair = tuple[int, int]\n",
        "c": "class Pair: ...\nAny_ = TypeVar('Any_')\nSIZE = 2\n",
        "d": "Any_ = TypeVar('Any_')\n",
    }
    repeated = {"_Part": ["a", "b"], "read": ["a", "b"], "Pair": ["b", "c"], "Any_": ["c", "d"]}
    assert _repeated(sources) == repeated
