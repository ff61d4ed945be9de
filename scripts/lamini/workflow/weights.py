"""Identity of local weights: of a teacher, of reference models and of tokenizers.

For the teacher it is part of the model's name. The name is in the body of each request, so the
request key depends on the weights: the ledgers' answers of other weights are not reused, and
results name the weights that answered. For other models and tokenizers it is one of the params.
"""

import functools
import hashlib
import re
from pathlib import Path

from lamini.errors import LaminiError
from lamini.files import resolve_path
from lamini.settings.teacher import Teacher
from lamini.user_files import files_of, is_user_file

_DIGITS = 12
"""Hex digits of a commit or digest in the name; a label is whole."""
_BLOCKS, _BLOCK_BYTES = 64, 2**16
"""Blocks of each file that are read. Reading all of a large model at every start of a job takes too
long; training changes bytes everywhere in the file."""


def with_weights(teacher: Teacher) -> Teacher:
    """The teacher's settings, with the identity of local weights in `model`: `NAME@IDENTITY`.

    Unchanged if the backend is not `local`, or if the weights have no `revision` and are missing
    here; `lamini.teacher.server.check_local` reports missing ones before the server starts.
    """
    server = teacher.server
    if teacher.backend != "local" or server is None:
        return teacher
    identity = server.revision or weights_digest(server.model_path)
    if identity is None:
        return teacher
    digest = re.fullmatch(r"[0-9a-f]{32,}", identity)
    name = f"{teacher.model}@{identity[:_DIGITS] if digest else identity}"
    price = teacher.prices.get(teacher.model)
    prices = teacher.prices | ({name: price} if price else {})
    return teacher.model_copy(update={"model": name, "prices": prices})


def weights_digest(model_path: str) -> str | None:
    """Digest of a file, or of all files in a folder: names, sizes and evenly spaced blocks.

    None: there is no such file or folder on this machine.
    """
    try:
        root = resolve_path(model_path)
    except LaminiError:  # the package is not installed
        return None
    if not root.exists():
        return None
    digest = hashlib.blake2b(digest_size=16)
    for file in files_of(str(root)):
        size = file.stat().st_size
        name = file.relative_to(root).as_posix() if root.is_dir() else ""
        digest.update(f"{name}\0{size}\0".encode())
        _add_blocks(digest, file, size)
    return digest.hexdigest()


@functools.cache  # of the process: many jobs read the same weights
def user_weights_digest(path: str) -> str | None:
    """`weights_digest` of a user-provided path; None for outputs of rules and files of packages."""
    return weights_digest(path) if is_user_file(path) else None


def _add_blocks(digest: hashlib.blake2b, file: Path, size: int) -> None:
    with file.open("rb") as handle:
        if size <= _BLOCKS * _BLOCK_BYTES:
            digest.update(handle.read())
            return
        for number in range(_BLOCKS):
            handle.seek((size - _BLOCK_BYTES) * number // (_BLOCKS - 1))
            digest.update(handle.read(_BLOCK_BYTES))
