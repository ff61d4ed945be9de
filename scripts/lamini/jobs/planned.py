"""Comparison of a job with what was planned when the run started.

A job may start days after its run. On a cluster it reads the configuration and the code again; on
one machine it reads the code again. If one of them was edited in between, the job would make a
result of the new state, and Snakemake would record it as a result of the planned one,
permanently. So the run writes what it planned (`write_plan`), and each job compares itself with it
before it computes anything (`check_planned`).
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from lamini.errors import LaminiError
from lamini.files import atomic_writer, stable_hash
from lamini.jobs.code import module_digests
from lamini.jobs.provenance import code_version, package_versions
from lamini.jobs.settings import recorded_settings
from lamini.paths import PLAN_FILE

_MAX_NAMED = 3
"""Maximum number of changes that a message names."""


def write_plan(workflow: Any, families: Mapping[str, str]) -> None:
    """Write what is planned for each job of a starting run to `PLAN_FILE`.

    The file has the `settings` by digest, the digests of each job's settings and inputs by its
    first output (`jobs`), the digest of each module of the rules' code (`modules`), and the
    versions of the `packages` in this process's `environment`.

    Args:
        workflow: Snakemake's workflow, with its complete job graph.
        families: family of each rule of the pipeline, by the rule's name.
    """
    settings: dict[str, Any] = {}
    jobs: dict[str, list[str]] = {}
    for job in workflow.dag.jobs:
        if job.rule.name in families and job.output:
            planned = recorded_settings(job.params)
            digest = stable_hash(planned)
            settings[digest] = planned
            jobs[str(job.output[0])] = [digest, _inputs_digest(job.input)]
    modules: dict[str, str] = {}
    for family in sorted(set(families.values())):
        modules |= module_digests(family)
    plan = {
        "settings": settings,
        "jobs": jobs,
        "modules": modules,
        "packages": package_versions(),
        "environment": sys.prefix,
    }
    with atomic_writer(PLAN_FILE, "wb") as handle:
        handle.write(orjson.dumps(plan, option=orjson.OPT_NON_STR_KEYS))


def check_planned(
    rule: str, output: str, settings: Mapping[str, object], inputs: Iterable[str]
) -> None:
    """Check that a job does what was planned when its run started; call it before any work.

    Code and packages are compared as they are now; the job's provenance record has the same state.
    Nothing is compared if no run planned the output: the job was started by hand.

    Args:
        rule: name of the rule's family.
        output: the rule's first output.
        settings: settings of the result.
        inputs: the rule's input files.

    Raises:
        LaminiError: names what has changed, and the remedy.
    """
    code_version()  # cached: the record at the end of the job has the commit of its start
    if not PLAN_FILE.is_file():
        return
    plan = orjson.loads(PLAN_FILE.read_bytes())
    if output not in plan["jobs"]:
        return
    planned, planned_inputs = plan["jobs"][output]
    if stable_hash(settings) != planned:
        changes = list(changed_settings(plan["settings"][planned], settings))
        raise _changed(output, "settings", changes)
    if _inputs_digest(inputs) != planned_inputs:
        raise _changed(output, "input files of the rule", [])
    if edited := sorted(
        name for name, digest in module_digests(rule).items() if plan["modules"].get(name) != digest
    ):
        raise _changed(output, f"code of {rule}", edited)
    versions = package_versions()
    if sys.prefix == plan["environment"] and versions != plan["packages"]:
        before = plan["packages"]
        changes = [
            f"{name} {before.get(name)} is {version} now"
            for name, version in versions.items()
            if before.get(name) != version
        ]
        raise _changed(output, "installed packages", changes)


def changed_settings(
    before: Mapping[str, object], after: Mapping[str, object], prefix: str = ""
) -> Iterator[str]:
    """Differing settings, each as `recipe.epochs 5 is 8 now`."""
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from changed_settings(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key} {_short(old)} is {_short(new)} now"


def list_changes(changes: list[str]) -> str:
    """The first changes, and the number of the others."""
    more = len(changes) - _MAX_NAMED
    return ", ".join([*changes[:_MAX_NAMED], *([f"{more} more"] if more > 0 else [])])


def _changed(output: str, kind: str, changes: list[str]) -> LaminiError:
    verb = "has" if kind.startswith("code") else "have"
    named = f" ({list_changes(changes)})" if changes else ""
    return LaminiError(
        f"{output}: the {kind} {verb} changed since this run was planned{named}, so nothing was"
        " made; undo the change, or stop the run and start it again with the change"
    )


def _inputs_digest(inputs: Iterable[str]) -> str:
    return stable_hash([str(path) for path in inputs])


def _short(value: Any) -> str:
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 40 else f"{text[:37]}..."
