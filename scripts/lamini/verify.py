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
    found = Verification()
    declared = [path for job in read_jobs() for path in job.outputs]
    for path in sorted({*declared, *_recorded()}):
        if path not in declared and not Path(path).is_file():
            continue  # an output of an earlier configuration, deleted since
        _compare(Path(path), found)
    return found


def _recorded() -> Iterator[str]:
    """Paths of all artifacts with a record."""
    for record in PROVENANCE.rglob("*.json"):
        if record.parent != JOB_RECORDS:
            yield read_json(record)["artifact"]


def _compare(path: Path, found: Verification) -> None:
    record = provenance_path(path)
    if not path.is_file():
        found.problems[str(path)] = "is missing"
        found.remade[str(path)] = str(path)
    elif not record.is_file():
        found.unrecorded += 1
    else:
        _compare_file(path, read_json(record)["sha256"], path, found)
    if path.name == _MANIFEST and str(path) not in found.problems:
        for name, facts in read_json(path).get("files", {}).items():
            # Declared files of the folder have a record of their own.
            if not provenance_path(path.parent / name).is_file():
                _compare_file(path.parent / name, facts["sha256"], path, found)


def _compare_file(path: Path, sha256: str, output: Path, found: Verification) -> None:
    if not path.is_file():
        problem = "is missing"
    elif sha256_file(path) != sha256:
        problem = "has another checksum"
    else:
        found.files += 1
        found.bytes += path.stat().st_size
        return
    found.problems[str(path)] = problem
    found.remade[str(path)] = str(output)


def _verify() -> None:
    found = verify()
    size = f"{found.files:,} files, {found.bytes / 1e9:.2f} GB, are as recorded"
    others = f"; {found.unrecorded:,} have no record" if found.unrecorded else ""
    if not found.problems:
        print(f"{size}{others}.")
        return
    for path, problem in found.problems.items():
        print(f"{path} {problem}")
    targets = " ".join(dict.fromkeys(found.remade.values()))
    raise LaminiError(
        f"{len(found.problems):,} files are lost or damaged; {size}{others}. Make them again first,"
        f" alone, so that nothing else is planned: snakemake {targets} --force, with your --profile"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
