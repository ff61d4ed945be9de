"""`make verify`: compare every file of a finished run with its provenance record and manifest.

Run it before publishing, after a copy to another machine, or when a file system deletes old files.
`python -m lamini.verify` exits with status 1 if a file is lost or damaged.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lamini.command import run_command
from lamini.errors import LaminiError
from lamini.files import read_json, sha256_file
from lamini.jobs.provenance import provenance_path
from lamini.paths import JOB_RECORDS, JOBS_FILE, PROVENANCE
from lamini.status.graph import read_jobs

_MANIFEST = "manifest.json"


@dataclass
class Verification:
    """Result of the comparison."""

    files: int = 0
    """Number of files that are as recorded."""
    bytes: int = 0
    """Size of these files."""
    unrecorded: int = 0
    """Number of output files without a record, such as those of user-defined rules."""
    problems: dict[str, str] = field(default_factory=dict)
    """Problem of each lost or damaged file, by path."""
    remade: dict[str, str] = field(default_factory=dict)
    """The rule's output that has to be made again, by path of the lost or damaged file."""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lamini.verify", description=__doc__)
    parser.parse_args(arguments)
    return run_command(_verify)


def verify() -> Verification:
    """Compare all outputs of the last run, and all files of the manifests' folders.

    Raises:
        LaminiError: if no run has started here.
    """
    if not JOBS_FILE.is_file():
        raise LaminiError(f"{JOBS_FILE}: no such file; no run has started in this folder")
    verification = Verification()
    declared = [path for job in read_jobs() for path in job.outputs]
    for path in sorted({*declared, *_recorded()}):
        if path not in declared and not Path(path).is_file():
            continue  # an output of an earlier configuration, deleted since
        _compare(Path(path), verification)
    return verification


def _recorded() -> Iterator[str]:
    """Paths of all artifacts with a record."""
    for record in PROVENANCE.rglob("*.json"):
        if record.parent != JOB_RECORDS:
            yield read_json(record)["artifact"]


def _compare(path: Path, verification: Verification) -> None:
    record = provenance_path(path)
    if not path.is_file():
        verification.problems[str(path)] = "is missing"
        verification.remade[str(path)] = str(path)
    elif not record.is_file():
        verification.unrecorded += 1
    else:
        _compare_file(path, read_json(record)["sha256"], path, verification)
    if path.name == _MANIFEST and str(path) not in verification.problems:
        for name, entry in read_json(path).get("files", {}).items():
            # Declared files of the folder have a record of their own.
            if not provenance_path(path.parent / name).is_file():
                _compare_file(path.parent / name, entry["sha256"], path, verification)


def _compare_file(path: Path, sha256: str, output: Path, verification: Verification) -> None:
    if not path.is_file():
        problem = "is missing"
    elif sha256_file(path) != sha256:
        problem = "has another checksum"
    else:
        verification.files += 1
        verification.bytes += path.stat().st_size
        return
    verification.problems[str(path)] = problem
    verification.remade[str(path)] = str(output)


def _verify() -> None:
    verification = verify()
    size = f"{verification.files:,} files, {verification.bytes / 1e9:.2f} GB, are as recorded"
    others = f"; {verification.unrecorded:,} have no record" if verification.unrecorded else ""
    if not verification.problems:
        print(f"{size}{others}.")
        return
    for path, problem in verification.problems.items():
        print(f"{path} {problem}")
    targets = " ".join(dict.fromkeys(verification.remade.values()))
    raise LaminiError(
        f"{len(verification.problems):,} files are lost or damaged; {size}{others}. Make them again"
        f" first, alone, so that nothing else is planned: snakemake {targets} --force, with your"
        " --profile"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
