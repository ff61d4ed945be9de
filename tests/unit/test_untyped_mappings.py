"""Functions take classes, not mappings of untyped values; the exceptions are listed."""

import ast
import re
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "scripts" / "lamini"
_UNTYPED = re.compile(r"\b(Mapping|MutableMapping|dict)\[str, Any\]")
_LEFT = {
    # Rows of a JSON file before their check.
    "dataset.published": 2,
    "generation.seeds": 1,
    # Rows of any task's data, and samples as lm-eval returns them.
    "evaluation.answers": 3,
    "evaluation.evaluate": 5,
    "evaluation.protocols": 5,
    # Arguments of a task's generation, as lm-eval gives them.
    "evaluation.text_tasks": 1,
    # The JSON of a tokenizer.
    "exports.gguf_tokenizer": 1,
    # Rows of the data of Figure 5.
    "figures.scores": 4,
    # Rows of queries and seeds, whose columns depend on the source.
    "generation.choice": 5,
    "generation.pairs": 1,
    "generation.prompts": 8,
    # Rows of the user-oriented instructions.
    "human_evaluation.selection": 1,
    # A JSON schema, made by pydantic.
    "settings.reference": 10,
    "settings.students": 1,
    # A benchmark file of Snakemake.
    "status.usage": 1,
    # The settings of a server, as JSON of the process that starts it.
    "teacher.serve": 2,
}
"""Number of functions with an untyped mapping among their parameters, by module."""


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


def _untyped(tree: ast.Module, aliases: set[str]) -> int:
    """Number of functions of a module with an untyped mapping among their parameters."""
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return sum(
        any(
            argument.annotation is not None and _is_untyped(argument.annotation, aliases)
            for argument in ast.walk(function.args)
            if isinstance(argument, ast.arg)
        )
        for function in functions
    )


def test_no_other_function_takes_an_untyped_mapping() -> None:
    modules = _modules()
    aliases = _aliases(modules)
    counts = Counter({name: _untyped(tree, aliases[name]) for name, tree in modules.items()})
    assert dict(+counts) == _LEFT


def test_an_alias_counts_where_it_is_imported() -> None:
    modules = {
        "a": ast.parse("Row = dict[str, Any]\ndef one(row: list[Row]): ...\n"),
        "b": ast.parse("from lamini.a import Row\ndef two(x: int, *rows: Row): ...\n"),
        "c": ast.parse("Row = dict[str, str]\ndef three(row: Row): ...\n"),
    }
    aliases = _aliases(modules)
    assert {n: _untyped(t, aliases[n]) for n, t in modules.items()} == {"a": 1, "b": 1, "c": 0}
