"""Conda environments: they have what their rules import, and the demo runs in them."""

import ast
import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name
from stand_in_conda import install, required

from checkouts import ENVIRONMENT, Checkout, check_out
from lamini.jobs.code import entry_point, module_digests, module_path

ROOT = Path(__file__).parents[2]
PAIRS = "results/pairs/alpaca/0000.jsonl"
SAME = (
    "results/dataset/d_all.parquet",
    "results/checkpoints/lamini-demo-t5/final/model.safetensors",
    "results/evals/lamini-demo-t5/rte.json",
    "results/tables/table_04.csv",
)
NOT_CALLED = {
    ("data", "lamini.students.tokenizers", "sentencepiece"),  # trains a tokenizer
}
"""Imports inside functions that no rule of the environment calls: environment, module, package."""


def rules_of_environments() -> dict[str, set[str]]:
    """Scripts of the rules of each environment; a rule without a script by its own name."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^ *rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            if environment := re.search(r"envs/(\w+)\.yaml", rule):
                script = re.search(r"scripts/(\w+)\.py", rule)
                name = script[1] if script else rule[: rule.index(":")]
                found.setdefault(environment[1], set()).add(name)
    return found


def imported(path: Path) -> Iterator[str]:
    """Names of the packages that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_environments_have_what_their_rules_import() -> None:
    """Modules count that a rule's code may reach, also in processes that it starts."""
    rules = rules_of_environments()
    distributions = importlib.metadata.packages_distributions()
    missing = set()
    for environment, names in rules.items():
        packages = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text())["dependencies"]
        available = required(next(item["pip"] for item in packages if isinstance(item, dict)))
        for rule in names:
            for module in module_digests(rule):
                for package in imported(module_path(module) or entry_point(rule)):
                    if package in sys.stdlib_module_names or package == "lamini":
                        continue
                    makers = {canonicalize_name(name) for name in distributions[package]}
                    if not makers & available:
                        missing.add((environment, module, package))
    assert sum(map(len, rules.values())) > 40
    assert missing == NOT_CALLED


@pytest.mark.skipif(
    "LAMINI_SLOW_TESTS" not in os.environ,
    reason="the demo once more takes some ten minutes: set LAMINI_SLOW_TESTS=1",
)
def test_the_demo_is_the_same_in_conda_environments(
    finished_demo: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "conda")
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}/conda/bin:{ENVIRONMENT['PATH']}")
    demo = check_out(tmp_path / "demo")
    options = ("--profile", "demo", "--sdm", "conda")
    demo.snakemake(PAIRS, *options)
    assert (demo.folder / PAIRS).read_text().count("\n") > 10, "the local teacher answers"
    # A local teacher's answers depend on the requests that it computes together, so the dataset is
    # made from the same ledgers.
    shutil.rmtree(demo.folder / "results")
    for ledger in finished_demo.folder.glob("results/**/*.ledger.jsonl*"):
        copy = demo.folder / ledger.relative_to(finished_demo.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ledger, copy)
    demo.snakemake(*options)
    for path in SAME:
        assert (demo.folder / path).read_bytes() == (finished_demo.folder / path).read_bytes(), path
