"""Digest of a rule's code: the rule's script and all modules of this package that it imports.

The digest covers syntax trees, so comments, docstrings and formatting do not change it. Modules
that cannot affect a result (`WITHOUT_EFFECT`) are left out. Data files of a package (task
definitions, templates) are part of the digest of its `__init__`.
"""

import ast
import functools
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_json, write_json

PACKAGE = Path(__file__).parents[1]
WITHOUT_EFFECT = (
    "lamini.errors",
    "lamini.jobs",
    "lamini.log",
    "lamini.paths",  # the paths that a result depends on are inputs and outputs of the rule
    "lamini.settings",  # only declares and checks params; Snakemake compares their values
    "lamini.slurm",
    "lamini.text_table",
    "lamini.user_files",
    "lamini.workflow",
)
"""Modules and packages (with their submodules) that cannot affect a result."""
_NAMED = re.compile(r"(lamini(?:\.\w+)+(?:\.\*)?)(?::\w+)?")
"""String constant that names a module, a function as `module:function`, or all modules of a package
as `package.*`, imported at run time."""
CACHE = Path(".snakemake/lamini_code.json")
"""Digests of modules by size and modification time, for the runs to come."""
ENTRIES = {"train_model": PACKAGE / "training/__main__.py"}
"""Entry points of rules without a script."""


def code_digest(rule: str) -> str | None:
    """Digest of all code that makes a rule's results; None for a user-defined rule.

    Args:
        rule: name of the rule, or of its family (the name of its script).
    """
    if not entry_point(rule).is_file():
        return None
    digests = module_digests(rule)
    lines = [f"{name} {digest}\n" for name, digest in sorted(digests.items())]
    return hashlib.blake2b("".join(lines).encode(), digest_size=16).hexdigest()


def module_digests(rule: str) -> dict[str, str]:
    """Digest of each module that a rule's results depend on, by module name.

    The rule's script or entry point has the key `rule`.
    """
    entry = entry_point(rule)
    digests: dict[str, str] = {rule: _read(entry).digest}
    waiting = list(_read(entry).imports)
    while waiting:
        name = waiting.pop()
        if name in digests or _is_without_effect(name):
            continue
        if name.endswith(".*"):
            waiting += _modules_of(name.removesuffix(".*"))
            continue
        if path := module_path(name):
            digests[name] = _read(path).digest
            waiting += _read(path).imports
    return digests


def entry_point(rule: str) -> Path:
    """The file that a rule runs: its script, or the module of a command."""
    return ENTRIES.get(rule, PACKAGE.parent / f"{rule}.py")


def _modules_of(package: str) -> list[str]:
    path = module_path(package)
    assert path is not None
    return [f"{package}.{file.stem}" for file in path.parent.glob("*.py") if file != path]


@functools.cache
def module_path(name: str) -> Path | None:
    """File of a module of this package; None for other names."""
    parts = name.split(".")
    stem = PACKAGE.joinpath(*parts[1:])
    if parts[0] == PACKAGE.name and len(parts) > 1:  # `lamini` itself holds only the version
        for path in (stem / "__init__.py", stem.with_suffix(".py")):
            if path.is_file():
                return path
    return None


def _is_without_effect(name: str) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in WITHOUT_EFFECT)


@dataclass(frozen=True)
class _Code:
    digest: str
    """Digest of the syntax tree without docstrings, and of a package's data files."""
    imports: tuple[str, ...]
    """All modules that may be imported, with their parent packages: by import statements, also
    inside functions, and by name in string constants."""


@functools.cache
def _read(path: Path) -> _Code:
    """Read a module, or take what was read of it before, as Python takes a compiled file."""
    stamp = _stamp(path)
    cached = _cached().get(str(path))
    if cached is None or cached["stamp"] != stamp:
        code = _parse(path)
        _cached()[str(path)] = {"stamp": stamp, "digest": code.digest, "imports": code.imports}
        return code
    return _Code(cached["digest"], tuple(cached["imports"]))


def _parse(path: Path) -> _Code:
    tree = ast.parse(path.read_bytes())
    imports: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]
        imports |= dict.fromkeys(_imported(node))
    digest = hashlib.blake2b(ast.dump(tree).encode(), digest_size=16)
    for file in _data_files(path):
        digest.update(f"{file.name}\0".encode())
        digest.update(file.read_bytes())
    return _Code(digest.hexdigest(), tuple(imports))


def _data_files(path: Path) -> list[Path]:
    """Files that count with a module: those of its package with its `__init__`."""
    if path.name != "__init__.py":
        return []
    files = (file for file in sorted(path.parent.iterdir()) if file.is_file())
    return [file for file in files if file.suffix not in (".py", ".pyc")]


def _stamp(path: Path) -> list[Any]:
    """Changes when a module or a data file of it may have changed, or Python has."""
    files = [(file.name, file.stat()) for file in (path, *_data_files(path))]
    return [
        list(sys.version_info[:2]),
        *([name, stat.st_size, stat.st_mtime_ns] for name, stat in files),
    ]


@functools.cache
def _cached() -> dict[str, dict[str, Any]]:
    """What `save_cache` saved, and what was read since."""
    try:
        modules: dict[str, dict[str, Any]] = read_json(CACHE)
    except LaminiError:  # there is none yet, or it is incomplete
        return {}
    return modules


def save_cache() -> None:
    """Keep what was read of modules: parsing all of them takes a second."""
    if CACHE.parent.is_dir():
        write_json(CACHE, _cached())


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is only a constant: a docstring of a module, class, function or field."""
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
