"""Functions take classes or checked objects, not mappings of untyped values."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "scripts" / "lamini"
_UNTYPED = re.compile(r"\b(Mapping|MutableMapping|dict)\[str, Any\]")


def _modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def _is_untyped(annotation: ast.expr, aliases: set[str]) -> bool:
    text = ast.unparse(annotation)
    return bool(_UNTYPED.search(text)) or not aliases.isdisjoint(re.findall(r"\w+", text))


def _aliases(modules: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Names of each module that stand for an untyped mapping: its own and the imported."""
    found: dict[str, set[str]] = {name: set() for name in modules}
    for name, tree in modules.items():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
                (target,) = node.targets
                if isinstance(target, ast.Name) and _is_untyped(node.value, found[name]):
                    found[name].add(target.id)
    for name, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                own = found.get(node.module.removeprefix("lamini."), set())
                found[name] |= own & {item.name for item in node.names}
    return found


def _untyped(tree: ast.Module, aliases: set[str]) -> list[str]:
    """Functions of a module with an untyped mapping among their parameters."""
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [
        function.name
        for function in functions
        if any(
            argument.annotation is not None and _is_untyped(argument.annotation, aliases)
            for argument in ast.walk(function.args)
            if isinstance(argument, ast.arg)
        )
    ]


def test_no_function_takes_an_untyped_mapping() -> None:
    modules = _modules()
    aliases = _aliases(modules)
    found = [
        f"{name}.{function}"
        for name, tree in modules.items()
        for function in _untyped(tree, aliases[name])
    ]
    assert found == []


def test_an_alias_counts_where_it_is_imported() -> None:
    modules = {
        "a": ast.parse("Row = dict[str, Any]\ndef one(row: list[Row]): ...\n"),
        "b": ast.parse("from lamini.a import Row\ndef two(x: int, *rows: Row): ...\n"),
        "c": ast.parse("Row = dict[str, str]\ndef three(row: Row): ...\n"),
    }
    aliases = _aliases(modules)
    found = {name: _untyped(tree, aliases[name]) for name, tree in modules.items()}
    assert found == {"a": ["one"], "b": ["two"], "c": []}
