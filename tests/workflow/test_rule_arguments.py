"""Each rule has its function's arguments: one input, output, param or wildcard of each name."""

import importlib
import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lamini.jobs.run import arguments
from lamini.status.graph import with_plan

ROOT = Path(__file__).parents[2]


def _function(script: str) -> Any:
    """The function that a rule's script runs."""
    text = (ROOT / "scripts" / Path(script).name).read_text()
    (name,) = re.findall(r"run_job\(snakemake, (\w+)\)", text)
    (module,) = re.findall(rf"from ([\w.]+) import .*\b{name}\b", text)
    return getattr(importlib.import_module(module), name)


def _jobs(workflow: Any) -> dict[str, SimpleNamespace]:
    """One job of each rule with a script, with what Snakemake hands to it."""
    return {
        job.rule.name: SimpleNamespace(
            rule=job.rule.name,
            script=job.rule.script,
            input=job.input,
            output=job.output,
            params=job.params,
            wildcards=job.wildcards,
        )
        for job in workflow.dag.jobs
        if job.rule.script
    }


def test_every_rule_has_its_functions_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = with_plan([Path("config/demo.yaml"), Path("config/examples/sweep.yaml")], {}, _jobs)
    assert "fit_sweep" in found
    assert len(found) > 30
    for job in found.values():
        function = _function(job.script)
        names = set(inspect.signature(function).parameters)
        assert arguments(job, function).keys() == names, job.rule
