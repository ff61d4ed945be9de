"""Each path of a run is written in `lamini.paths` only; logs are named after rule and wildcards."""

import re
import tokenize
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lamini import paths
from lamini.workflow.rule_logs import name_logs

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "rules").glob("*.smk"), ROOT / "Snakefile"]


def literals(path: Path) -> list[str]:
    """String literals of a file, its docstrings left out."""
    with path.open("rb") as handle:
        tokens = [
            token.string
            for token in tokenize.tokenize(handle.readline)
            if token.type not in (tokenize.COMMENT, tokenize.NAME, tokenize.ENCODING)
        ]
    return [text for text in tokens if not re.match(r'[rf]*"""', text)]


def test_no_other_file_writes_a_path_of_the_results() -> None:
    found = {
        str(path.relative_to(ROOT)): [text for text in literals(path) if "results/" in text]
        for path in SOURCES
        if path != Path(paths.__file__)
    }
    assert len(found) > 200
    assert {path: texts for path, texts in found.items() if texts} == {}


def test_every_path_is_used() -> None:
    words = Counter(word for path in SOURCES for word in re.findall(r"\w+", path.read_text()))
    names = [name for name in vars(paths) if name.isupper()]
    assert len(names) > 60
    assert [name for name in names if words[name] < 2] == []


def test_a_path_within_other_results_has_its_wildcards_filled_in() -> None:
    found = paths.within(Path("/elsewhere/results"), paths.PAIRS, source="alpaca", shard="0003")
    assert found == Path("/elsewhere/results/pairs/alpaca/0003.jsonl")
    assert paths.is_result(paths.TOPICS)
    assert not paths.is_result("results.csv")


class Rule(SimpleNamespace):
    """A rule as Snakemake has it, as far as its logs need it."""

    def set_log(self, log: str) -> None:
        self.log = [log]


@pytest.mark.parametrize(
    ("name", "script", "output", "job"),
    [
        ("select_topics", "select_topics", paths.TOPICS, "select_topics"),
        (
            "generate_pairs",
            "generate_pairs",
            r"results/pairs/{source,alpaca|p3}/{shard,\d{4}}.jsonl",
            "generate_pairs/{source}/{shard}",
        ),
        (
            "select_queries_alpaca",
            "select_queries",
            "results/queries/alpaca/0000.jsonl",
            "select_queries/alpaca",
        ),
        (
            "evaluate_record",
            "evaluate_model",
            "results/evals/{model}/record.json",
            "evaluate_record/{model}",
        ),
        ("train_model", None, paths.CHECKPOINT_MANIFEST, "train_model/{model}"),
    ],
)
def test_a_log_is_named_after_the_rule_and_its_wildcards(
    name: str, script: str | None, output: str, job: str
) -> None:
    script = script and f"../scripts/{script}.py"
    rule: Any = Rule(name=name, script=script, output=[output], log=[], output_modifier="any")
    name_logs(SimpleNamespace(rules=[rule]))
    assert rule.log == [f"results/logs/{job}.log"]
    assert rule.benchmark == f"results/benchmarks/{job}.jsonl"
    assert rule.log_modifier == rule.benchmark_modifier == "any"


def test_a_users_rule_and_a_declared_log_stay() -> None:
    own: Any = Rule(name="count_nouns", script="mine/count_nouns.py", output=["nouns.txt"], log=[])
    declared: Any = Rule(
        name="topics", script="../scripts/select_topics.py", output=["t"], log=["mine.log"]
    )
    name_logs(SimpleNamespace(rules=[own, declared]))
    assert (own.log, declared.log) == ([], ["mine.log"])
    assert not hasattr(own, "benchmark")
