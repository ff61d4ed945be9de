"""A digest of the code that makes a rule's results: of its script and what that imports.

Only modules of this package count, by their syntax: comments, docstrings and formatting do not.
What cannot change a result (`WITHOUT_EFFECT`) is left out. Data files of a package (task
definitions, templates) count with its `__init__`.
"""

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
WITHOUT_EFFECT = (
    "lamini.errors",
    "lamini.jobs",
    "lamini.log",
    "lamini.roots",
    "lamini.settings",  # what a result depends on of it is among the rule's params
    "lamini.slurm",
    "lamini.text_table",
    "lamini.workflow",
)
"""Modules, and packages with all of theirs, that decide nothing about a result."""
_NAMED = re.compile(r"(lamini(?:\.\w+)+)(?::\w+)?")
"""A text that names a module or a function in it, which is then imported by name."""
ENTRIES = {"train_model": PACKAGE / "training/__main__.py"}
"""Where the code of rules without a script begins."""


def code_digest(rule: str) -> str | None:
    """The digest of all code that makes a rule's results; none for a rule of users' own.

    Args:
        rule: its name, or that of its family, which is its script's.
    """
    if not _entry(rule).is_file():
        return None
    digests = module_digests(rule)
    lines = [f"{name} {digest}\n" for name, digest in sorted(digests.items())]
    return hashlib.blake2b("".join(lines).encode(), digest_size=16).hexdigest()


def module_digests(rule: str) -> dict[str, str]:
    """The digest of each module that a rule's results depend on, by its name.

    The entry itself is `rule`; a script says no more than which function runs.
    """
    entry = _entry(rule)
    found: dict[str, str] = {rule: _read(entry).digest}
    waiting = list(_read(entry).imports)
    while waiting:
        name = waiting.pop()
        if name in found or _is_without_effect(name):
            continue
        if path := module_path(name):
            found[name] = _read(path).digest
            waiting += _read(path).imports
    return found


def _entry(rule: str) -> Path:
    return ENTRIES.get(rule, PACKAGE.parent / f"{rule}.py")


@functools.cache
def module_path(name: str) -> Path | None:
    """The file of a module of the package; none for other names."""
    parts = name.split(".")
    place = PACKAGE.joinpath(*parts[1:])
    if parts[0] == PACKAGE.name and len(parts) > 1:  # the package itself has its version alone
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                return path
    return None


def _is_without_effect(name: str) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in WITHOUT_EFFECT)


@dataclass(frozen=True)
class _Code:
    digest: str
    """Of the syntax tree without docstrings, and of a package's data files."""
    imports: tuple[str, ...]
    """All modules that may be imported, also inside functions or by their name in a text, and the
    packages that they are in."""


@functools.cache
def _read(path: Path) -> _Code:
    tree = ast.parse(path.read_bytes())
    imports: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]
        imports |= dict.fromkeys(_imported(node))
    digest = hashlib.blake2b(ast.dump(tree).encode(), digest_size=16)
    if path.name == "__init__.py":
        for file in sorted(path.parent.iterdir()):
            if file.is_file() and file.suffix not in (".py", ".pyc"):
                digest.update(f"{file.name}\0".encode())
                digest.update(file.read_bytes())
    return _Code(digest.hexdigest(), tuple(imports))


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a text alone: the docstring of what it stands in or below."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    elif isinstance(node, ast.Constant) and (named := _NAMED.fullmatch(str(node.value))):
        names = [named[1]]
    else:
        return
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
