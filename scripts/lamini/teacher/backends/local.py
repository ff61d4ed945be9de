"""`backend: local`: each job starts the server of `teacher.server`."""

from lamini.settings.teacher import Teacher
from lamini.teacher.backends import CLIENT_MEMORY_MB, BackendKind

_SERVER_MEMORY_MB = 8000
"""Main memory of a server of a large model in addition to its weights, in MiB."""


def _memory_mb(teacher: Teacher) -> int:
    server = teacher.server
    if server is None or (server.memory_mb is None and server.parameters is None):
        return CLIENT_MEMORY_MB
    if server.memory_mb is not None:
        return server.memory_mb
    return round(_SERVER_MEMORY_MB + 2 * (server.parameters or 0) / 2**20)


BACKEND = BackendKind(
    "lamini.teacher.local:LocalBackend",
    "local server",
    asks_endpoints=False,
    threads=lambda teacher: teacher.server.threads if teacher.server else 1,
    gpus=lambda teacher: teacher.server.gpus if teacher.server else 0,
    memory_mb=_memory_mb,
)
