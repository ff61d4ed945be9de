"""User-provided input files: data in the repository, rating files, local copies of datasets.

A clone or a checkout changes their modification times. Rules therefore take them as `ancient`, and
a digest of their content is one of the `params`: an edit recomputes results, a clone does not.
Files below `results/` are outputs of rules, and Snakemake compares them in its usual way.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from lamini.paths import is_result

HASHED_BYTES = 2**20
"""Maximum size of files that are compared by content. Larger files are never part of a clone, and
reading them at every start of a job takes too long; size and modification time are compared."""


def is_user_file(path: str) -> bool:
    """Whether a file is user-provided: neither the output of a rule nor part of a package."""
    return not (is_result(path) or path.startswith("package:"))


def rule_inputs(paths: Iterable[str]) -> list[str]:
    """Inputs of a rule: user-provided files as `ancient`; outputs of rules unchanged; files of
    packages left out."""
    from snakemake.io import ancient

    wanted = [path for path in paths if not path.startswith("package:")]
    return [ancient(path) if is_user_file(path) else path for path in wanted]


def files_of(path: str) -> list[Path]:
    """The file itself, or all files below a folder, sorted, without `__pycache__`."""
    root = Path(path)
    if not root.is_dir():
        return [root]
    files = sorted(file for file in root.rglob("*") if file.is_file())
    return [file for file in files if "__pycache__" not in file.parts]


def user_files_digest(paths: Iterable[str]) -> str | None:
    """Digest of the user-provided files among `paths`; None if there are none.

    A folder is expanded to all its files (`files_of`). A missing file is hashed as "missing";
    Snakemake reports it.
    """
    given = sorted(path for path in paths if is_user_file(path))
    if not given:
        return None
    digest = hashlib.blake2b(digest_size=16)
    for file in (file for path in given for file in files_of(path)):
        digest.update(f"{file}\0".encode())
        digest.update(_content(file))
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    if not file.exists():
        return b"missing"
    status = file.stat()
    if status.st_size > HASHED_BYTES:
        return f"{status.st_size} {status.st_mtime_ns}".encode()
    return file.read_bytes()
