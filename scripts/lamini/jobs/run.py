"""Runs the job of a rule: calls a function of the package and writes the provenance record.

Rule and function are matched by name: each parameter of the function is an input, output, param or
wildcard of the rule. The files that a job reads and writes are recorded here for every rule, from
the rule's declaration, so that no rule can omit them.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lamini.files import Files
from lamini.jobs.commits import HUB_COMMITS, commits_read, forget_commits
from lamini.jobs.gpus import take_gpus
from lamini.jobs.planned import check_planned
from lamini.jobs.previous import take_previous
from lamini.jobs.provenance import file_digests, record_job
from lamini.jobs.settings import recorded_settings
from lamini.jobs.start import start_job
from lamini.paths import LOGS

_KINDS = ("input", "output", "params", "wildcards")


def run_job(snakemake: Any, function: Callable[..., Mapping[str, object] | None]) -> None:
    """Run the function of a rule, and record the job's inputs and outputs.

    Args:
        snakemake: Snakemake's object in a script.
        function: the rule's function, called with `arguments`; it may return additional facts for
            the record, such as the `ledger` of its answers.
    """
    start_job(snakemake.log[0], job_name(snakemake.log[0]))
    rule, settings = function.__name__, recorded_settings(snakemake.params)
    check_planned(rule, str(snakemake.output[0]), settings, snakemake.input)
    read = file_digests(snakemake.input)
    if take_previous(rule, settings, read, snakemake.output, snakemake.log[0]):
        return
    take_gpus(int(snakemake.resources.get("gpu", 0)))
    forget_commits()
    facts = dict(function(**arguments(snakemake, function)) or {})
    if commits := commits_read():
        facts[HUB_COMMITS] = commits
    record_job(
        rule=rule,
        settings=settings,
        inputs=read,
        outputs=list(snakemake.output),
        facts=facts,
    )


def job_name(log: str) -> str:
    """Name of a job, such as `generate_pairs alpaca/0003`, from the path of its log."""
    path = Path(log).with_suffix("")
    if not path.is_relative_to(LOGS):
        return path.name
    rule, _, key = str(path.relative_to(LOGS)).partition("/")
    return f"{rule} {key}".strip()


def arguments(snakemake: Any, function: Callable[..., Any]) -> dict[str, Any]:
    """Keyword arguments of a rule's function, found by the names of its parameters.

    `inputs` and `outputs` are all named input or output files of the rule. Any other parameter is
    one of them, a param, or a wildcard. Files are `lamini.files.Files`.
    pydantic validates params and wildcards against the parameter's annotation.

    Args:
        snakemake: object with `input`, `output`, `params` and `wildcards`.
        function: the rule's function.

    Raises:
        TypeError: if the rule has no entry with the parameter's name, or several.
    """
    return {
        name: _argument(snakemake, parameter, f"{function.__name__}({name})")
        for name, parameter in inspect.signature(function).parameters.items()
    }


def _argument(snakemake: Any, parameter: inspect.Parameter, location: str) -> Any:
    name = parameter.name
    if name in ("inputs", "outputs"):
        files = snakemake.input if name == "inputs" else snakemake.output
        return {key: _paths(value) for key, value in files.items()}
    parts = {kind: dict(getattr(snakemake, kind).items()) for kind in _KINDS}
    matches = {kind: part[name] for kind, part in parts.items() if name in part}
    if len(matches) != 1:
        raise TypeError(
            f"{location}: rule {snakemake.rule} must have exactly one input, output, param or"
            f" wildcard with this name; found {', '.join(matches) or 'none'}"
        )
    ((kind, value),) = matches.items()
    if kind in ("input", "output"):
        return _paths(value)
    return TypeAdapter(parameter.annotation).validate_python(value)


def _paths(value: Any) -> Files:
    return Path(value) if isinstance(value, str) else [Path(path) for path in value]
