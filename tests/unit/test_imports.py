"""Imports between modules have no cycle, and docs/design.md names all folders."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "scripts/lamini"
DESIGN = PACKAGE.parents[1] / "docs/design.md"
LEAVES = {"lamini.errors", "lamini.files", "lamini.log"}
"""Helpers that every module may use."""


def name_of(path: Path) -> str:
    parts = ("lamini", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imports(node: ast.AST, late: bool) -> Iterator[str]:
    """Modules of the package that a node imports; without `late`, not inside functions."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.ImportFrom) and part.module:
            for name in (part.module, *(f"{part.module}.{alias.name}" for alias in part.names)):
                if name in MODULES:
                    yield name
        elif not _is_for_types(part) and (late or not isinstance(part, ast.FunctionDef)):
            yield from _imports(part, late)


def graph(late: bool) -> dict[str, set[str]]:
    trees = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
    # A package's `__init__` re-exports names of its modules; this is not counted as an import.
    return {
        name: {m for m in _imports(tree, late) if not name.startswith(f"{m}.") and m != name}
        for name, tree in trees.items()
    }


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert len(list(TopologicalSorter(graph(late=True)).static_order())) == len(MODULES)


def test_settings_import_no_other_folder() -> None:
    outside = {
        imported
        for name, imports in graph(late=True).items()
        if name.startswith("lamini.settings")
        for imported in imports
        if not imported.startswith("lamini.settings")
    }
    assert outside <= LEAVES


def test_the_layout_names_every_folder() -> None:
    table = (
        DESIGN.read_text()
        .partition("in the order of the data flow:")[2]
        .partition("Imports between modules")[0]
    )
    cells = re.findall(r"^\|([^|]+)\|", table, flags=re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(
        {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"}
    )
