"""Files that people put there: data in the repository, rating files, local copies of datasets.

A clone or a checkout gives them new modification times, so the rules take them as `ancient`, and
their content goes into `params` as a fingerprint: an edit recomputes, a clone does not. Files below
`results/` are made by rules, and compared as Snakemake compares them.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HASHED_BYTES = 2**20
"""Files up to this size are compared by content. Larger ones never come with a clone; reading them
at every start of a job would take too long, so their size and modification time must do."""


def is_given(path: str) -> bool:
    """Whether a file is put there by people rather than made by a rule."""
    return not path.startswith(("results/", "package:"))


def root_inputs(paths: Iterable[str]) -> list[Any]:
    """Inputs of a rule: given files as `ancient`, made ones as they are, packaged ones left out."""
    from snakemake.io import ancient

    wanted = [path for path in paths if not path.startswith("package:")]
    return [ancient(path) if is_given(path) else path for path in wanted]


def files_of(path: str) -> list[Path]:
    """The file itself, or all files below a folder, in order, without Python's caches."""
    root = Path(path)
    if not root.is_dir():
        return [root]
    found = sorted(file for file in root.rglob("*") if file.is_file())
    return [file for file in found if "__pycache__" not in file.parts]


def fingerprint(paths: Iterable[str]) -> str | None:
    """A digest of the given files among `paths`; none when all are made by rules.

    A folder counts with all its files (`files_of`). A missing file counts as missing: Snakemake
    names it.
    """
    given = sorted(path for path in paths if is_given(path))
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
    facts = file.stat()
    if facts.st_size > HASHED_BYTES:
        return f"{facts.st_size} {facts.st_mtime_ns}".encode()
    return file.read_bytes()
