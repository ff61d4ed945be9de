"""Registry of teacher backends: properties of each `teacher.backend`, read without importing it.

To add a backend: add a module to `lamini.teacher.backends`, an entry here, and its name to
`Teacher.backend`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamini.settings.teacher import Teacher
    from lamini.teacher.backends.base import Backend


MEMORY_MB = 2000
"""Main memory of a job with requests to the teacher that starts no server, in MiB."""


@dataclass(frozen=True)
class BackendKind:
    """Properties of a backend that the rest of the pipeline needs."""

    implementation: str
    """Backend class as `module:class`, imported when the first request is sent."""
    title: str
    """Name in the output of `make plan`."""
    at_batch_price: bool = False
    """Whether answers cost the share `batch_share` of the price."""
    takes_days: bool = False
    """Whether a job may wait a day for its answers, even for a few of them."""
    threads: "Callable[[Teacher], int]" = lambda teacher: 1
    """Number of processor cores of a job."""
    gpus: "Callable[[Teacher], int]" = lambda teacher: 0
    """Number of GPUs of a job."""
    memory_mb: "Callable[[Teacher], int]" = lambda teacher: MEMORY_MB
    """Main memory of a job, in MiB."""

    def load(self) -> "type[Backend]":
        """Import and return the backend class."""
        found: type[Backend] = resolve_name(self.implementation)
        return found


BACKENDS: dict[str, BackendKind] = {
    "external": BackendKind("lamini.teacher.backends.live:LiveBackend", "live API"),
    "batch": BackendKind(
        "lamini.teacher.backends.batch:BatchBackend",
        "Batch API",
        at_batch_price=True,
        takes_days=True,
    ),
    "local": BackendKind(
        "lamini.teacher.backends.local:LocalBackend",
        "local server",
        threads=lambda teacher: teacher.server.threads if teacher.server else 1,
        gpus=lambda teacher: teacher.server.gpus if teacher.server else 0,
        memory_mb=lambda teacher: teacher.server.memory_mb if teacher.server else MEMORY_MB,
    ),
}
"""Backends by their name in the settings (`teacher.backend`)."""


def kind_of(teacher: "Teacher") -> BackendKind:
    """Backend that the teacher's settings select."""
    return BACKENDS[teacher.backend]
