"""Compiled code that is kept on disk belongs to the code as it is now."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
FOLDER = SCRIPTS / "lamini" / "analysis"
SHARED_WORDS = """
import pyarrow as pa
from lamini.analysis.overlap import OverlapIndex
from lamini.analysis.words import words_with_ranges
index = OverlapIndex(["one two three four five"], [0], size=3, most_texts=1)
print(index.search(words_with_ranges(pa.array(["see: two three four five six"]))))
"""
SHINGLES = """
import pyarrow as pa
from lamini.analysis.minhash import Hashing
print(Hashing(2, 1, 1).shingles(pa.array(["one two three"])))
"""
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run code in a new process with a copy of the package, after a change of one of its files."""
    skipped = shutil.ignore_patterns("__pycache__", "vendor", "*.egg-info")
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=skipped)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "scripts"))

    def after(code: str, change: tuple[str, str, str] | None = None) -> str:
        if change:
            path = tmp_path / "scripts/lamini/analysis" / change[0]
            assert change[1] in path.read_text()
            path.write_text(path.read_text().replace(*change[1:]))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stderr
        return done.stdout

    return after


def test_an_update_that_renames_a_type_of_compiled_functions_runs(run: Run) -> None:
    expected = run(SHARED_WORDS)
    assert "row=array([0])" in expected, expected
    assert run(SHARED_WORDS, ("overlap.py", "_NgramIndex", "_NgramTable")) == expected


def test_compiled_code_has_constants_of_other_modules_as_they_are_now(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(SHINGLES)
    after = run(SHINGLES, ("words.py", "0x9E3779B97F4A7C15", "0xD6E8FEB86659FD93"))
    assert after != before
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert after == run(SHINGLES)


def test_modules_with_compiled_functions_take_values_from_their_folder_only() -> None:
    """Those are in the hash that names the compiled code; `lamini.arrays` has types only."""
    modules = [path for path in FOLDER.glob("*.py") if "\n@compiled\n" in path.read_text()]
    assert {path.stem for path in modules} == {"mattr", "minhash", "overlap", "rouge", "words"}
    for path in modules:
        tree = ast.parse(path.read_text())
        taken = {
            alias.asname or alias.name: node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lamini.")
            for alias in node.names
        }
        used = {
            name.id
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and any(ast.unparse(decorator) == "compiled" for decorator in node.decorator_list)
            for part in node.body
            for name in ast.walk(part)
            if isinstance(name, ast.Name)
        }
        elsewhere = {
            name: module
            for name, module in taken.items()
            if name in used and not module.startswith("lamini.analysis.")
        }
        assert elsewhere == {}, path
    assert "import numba" not in "".join(
        path.read_text() for path in (SCRIPTS / "lamini").rglob("*.py") if path.stem != "compiled"
    )
