"""Compilation of functions by numba, which keeps the compiled code on disk for later processes.

numba compiles a function anew when the file of the function itself was changed. But compiled code
also contains functions, constants and types of other modules, and a file of compiled code cannot be
read when one of its types has another name. So the name of that file has a hash of all modules of
this folder: after a change of any of them, each function is compiled again.

Compiled functions use functions and constants of this folder only.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call; it runs without the lock of Python's threads."""
    # numba names the file after the function's qualified name.
    function.__qualname__ += f"_{_version()}"
    return numba.njit(cache=True, nogil=True)(function)


@functools.cache
def _version() -> str:
    """Hash of the modules of this folder."""
    digest = hashlib.sha256()
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:12]
