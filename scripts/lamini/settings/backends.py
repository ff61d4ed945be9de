"""What each of `teacher.backend` is, without loading it.

Another backend is a module of `lamini.teacher.backends`, an entry here, and its name in `Teacher`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamini.settings.teacher import Teacher
    from lamini.teacher.backends.base import Backend


@dataclass(frozen=True)
class BackendKind:
    """What the rest of the pipeline asks about a backend."""

    implementation: str
    """Its class, as `module:class`; loaded when the first request must be sent."""
    title: str
    """As `make plan` calls it."""
    at_batch_price: bool = False
    """Whether answers cost `batch_share` of the price."""
    takes_days: bool = False
    """Whether a job may wait a day for its answers, however few they are."""
    threads: "Callable[[Teacher], int]" = lambda teacher: 1
    """Processor cores of a job."""

    def load(self) -> "type[Backend]":
        """The class."""
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
    ),
}
"""By their name in the settings."""


def kind_of(teacher: "Teacher") -> BackendKind:
    """The backend that some settings choose."""
    return BACKENDS[teacher.backend]
