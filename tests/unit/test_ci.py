"""The hub's workflow file calls targets that exist, with the Python of pyproject.toml."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
(JOB,) = WORKFLOW["jobs"].values()


def _step(part: str) -> dict[str, Any]:
    """The only step that runs or uses something with this text."""
    (step,) = [s for s in JOB["steps"] if part in s.get("run", "") + s.get("uses", "")]
    return step


def test_every_target_of_the_matrix_exists() -> None:
    targets = JOB["strategy"]["matrix"]["target"]
    assert targets == ["check", "test-unit", "demo", "docs"]
    assert _step("make ")["run"] == "make ${{ matrix.target }}"
    for target in targets:
        planned = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert planned.returncode == 0, planned.stderr
    unknown = subprocess.run(["make", "-n", "no-such"], cwd=ROOT, capture_output=True, check=False)
    assert unknown.returncode == 2


def test_python_is_the_oldest_of_the_project(tmp_path: Path) -> None:
    output = tmp_path / "output"
    environment = os.environ | {"GITHUB_OUTPUT": str(output)}
    subprocess.run(["bash", "-ec", _step("sed ")["run"]], cwd=ROOT, env=environment, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=")
    assert output.read_text() == f"python={oldest}\n"
    assert re.fullmatch(r"3\.\d+", oldest)
    assert _step("setup-python")["with"]["python-version"] == "${{ steps.oldest.outputs.python }}"


def test_runs_of_one_branch_do_not_pile_up() -> None:
    assert WORKFLOW["concurrency"] == {
        "group": "ci-${{ github.ref }}",
        "cancel-in-progress": True,
    }
    assert set(WORKFLOW[True]) == {"push", "pull_request", "workflow_dispatch"}, (
        "YAML's `on` is true"
    )


def test_the_environment_is_cached_by_the_files_that_make_it() -> None:
    cache = _step("actions/cache@")["with"]
    hashed = re.search(r"hashFiles\((.+?)\)", cache["key"])
    assert hashed is not None
    rule = re.search(r"^\.venv/installed: (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert rule is not None
    assert re.findall(r"'(.+?)'", hashed[1]) == rule[1].split()
    assert cache["path"] == ".venv"


def test_the_report_of_the_demo_is_kept() -> None:
    step = _step("upload-artifact")
    assert step["with"]["path"].split() == ["results/report/", "results/logs/"]
    assert "matrix.target == 'demo'" in step["if"]
    from lamini import paths

    assert str(paths.LOGS) == "results/logs"
