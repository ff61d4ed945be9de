"""Teacher backends: each module of this folder is one; its name is the value of `teacher.backend`.

A module has the constant `BACKEND`, a `BackendKind`. The Snakefile reads it in every job, so the
modules here import no client, but name its class, a subclass of `lamini.teacher.backend.Backend`.
The class may also be in the module itself; the Snakefile then takes a moment longer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from lamini.errors import SettingsError
from lamini.settings.teacher import Teacher

if TYPE_CHECKING:
    from lamini.teacher.backend import Backend

CLIENT_MEMORY_MB = 2000
"""Main memory of the client, and of a small server beside it, in MiB."""
_MODULES = "lamini.teacher.backends.*"
"""All modules that may be imported here, for the digest of a rule's code (`lamini.jobs.code`)."""


@dataclass(frozen=True)
class BackendKind:
    """Properties of a backend that the rest of the pipeline needs."""

    implementation: "str | type[Backend]"
    """Backend class, or its name as `module:class`, imported when the first request is sent."""
    title: str
    """Name in the output of `make plan`."""
    asks_endpoints: bool = True
    """Whether the requests go to `teacher.endpoints`, which are checked when a run starts."""
    at_batch_price: bool = False
    """Whether answers cost the share `batch_share` of the price."""
    takes_days: bool = False
    """Whether a job may wait a day for its answers, even for a few of them."""
    threads: Callable[[Teacher], int] = lambda teacher: 1
    """Number of processor cores of a job."""
    gpus: Callable[[Teacher], int] = lambda teacher: 0
    """Number of GPUs of a job."""
    memory_mb: Callable[[Teacher], int] = lambda teacher: CLIENT_MEMORY_MB
    """Main memory of a job, in MiB."""

    def load(self) -> "type[Backend]":
        """Import and return the backend class."""
        if not isinstance(self.implementation, str):
            return self.implementation
        backend: type[Backend] = resolve_name(self.implementation)
        return backend


def kind_of(teacher: Teacher) -> BackendKind:
    """Backend that the teacher's settings select.

    Raises:
        SettingsError: if the backend's module has no `BACKEND`; names it.
    """
    module = import_module(_MODULES.replace("*", teacher.backend))
    kind = getattr(module, "BACKEND", None)
    if not isinstance(kind, BackendKind):
        raise SettingsError(
            f"teacher.backend {teacher.backend}: {module.__file__} has no"
            " `BACKEND = BackendKind(...)`; see lamini/teacher/backends/external.py"
        )
    return kind
