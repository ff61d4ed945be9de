"""One job of a rule: a function of the package, called with what the rule declares.

A rule and its function meet by name: a parameter of the function is an input, output, param or
wildcard of the rule. What the job read and wrote is recorded here for every rule, from what
Snakemake declared, so that no rule can forget it.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lamini.jobs.provenance import file_digests, record_job
from lamini.jobs.start import start_job

Facts = Mapping[str, Any]
LOGS = Path("results/logs")
_KINDS = ("input", "output", "params", "wildcards")


def run_job(snakemake: Any, function: Callable[..., Facts | None]) -> None:
    """Run the function of a rule, and record what the job read and wrote.

    Args:
        snakemake: the object that Snakemake gives to a script.
        function: takes what `arguments` finds; may return further facts for the record, such as
            the `ledger` of its answers.
    """
    start_job(snakemake.log[0], job_name(snakemake.log[0]))
    read = file_digests(snakemake.input)
    facts = function(**arguments(snakemake, function))
    record_job(
        rule=function.__name__,
        settings=recorded_settings(snakemake.params),
        inputs=read,
        outputs=list(snakemake.output),
        facts=facts,
    )


def job_name(log: str) -> str:
    """The name of a job, such as `generate_pairs alpaca/0003`, by the place of its log."""
    place = Path(log).with_suffix("")
    if not place.is_relative_to(LOGS):
        return place.name
    rule, _, key = str(place.relative_to(LOGS)).partition("/")
    return f"{rule} {key}".strip()


def arguments(snakemake: Any, function: Callable[..., Any]) -> dict[str, Any]:
    """What a function gets of its rule, by the names of its parameters.

    `inputs` and `outputs` are all named files of the rule, as text. Any other name is that of a
    file or list of files (as `Path`), a param or a wildcard; pydantic validates params and
    wildcards as the parameter's annotation says.

    Args:
        snakemake: has `input`, `output`, `params` and `wildcards`.
        function: the rule's function.

    Raises:
        TypeError: when the rule has nothing of a parameter's name, or several things.
    """
    return {
        name: _argument(snakemake, parameter, f"{function.__name__}({name})")
        for name, parameter in inspect.signature(function).parameters.items()
    }


def recorded_settings(params: Any) -> dict[str, Any]:
    """The params that a result depends on: those of speed alone are not in `settings`."""
    named = {key: value for key, value in params.items() if key != "code"}
    settings: dict[str, Any] = named.get("settings", named)
    return settings


def _argument(snakemake: Any, parameter: inspect.Parameter, place: str) -> Any:
    name = parameter.name
    if name in ("inputs", "outputs"):
        files = snakemake.input if name == "inputs" else snakemake.output
        return {key: _text(value) for key, value in files.items()}
    parts = {kind: dict(getattr(snakemake, kind).items()) for kind in _KINDS}
    found = {kind: part[name] for kind, part in parts.items() if name in part}
    if len(found) != 1:
        raise TypeError(
            f"{place}: rule {snakemake.rule} must have one input, output, param or wildcard of this"
            f" name, and has {', '.join(found) or 'none'}"
        )
    ((kind, value),) = found.items()
    if kind in ("input", "output"):
        return _paths(value)
    return TypeAdapter(parameter.annotation).validate_python(value)


def _text(value: Any) -> str | list[str]:
    return str(value) if isinstance(value, str) else [str(path) for path in value]


def _paths(value: Any) -> Path | list[Path]:
    return Path(value) if isinstance(value, str) else [Path(path) for path in value]
