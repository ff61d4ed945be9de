"""Exceptions whose messages are written for users.

The message of a `LaminiError` names the problem, its location (file, key or row) and the remedy. It
ends the job, and its message is printed without a traceback.
"""

import errno
import os

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class LaminiError(Exception):
    """Invalid input or an external failure; the message has location and remedy."""


class SettingsError(LaminiError):
    """Invalid configuration; the message has the key and the allowed values."""


class StopRequested(LaminiError):
    """A signal stopped the job after it saved its state; the same command resumes it."""


class DiskFullError(LaminiError, OSError):
    """The disk, or the user's quota on it, is full."""


def disk_full(
    error: BaseException | None, path: str | os.PathLike[str] = ""
) -> DiskFullError | None:
    """The error to report if a full disk caused `error`; None for other causes.

    Args:
        error: libraries such as polars raise errors of their own, with the system's text.
        path: the file that was written; default: the file name of `error`.
    """
    if error is None or isinstance(error, DiskFullError):
        return error
    numbered = isinstance(error, OSError) and error.errno in _DISK_FULL
    if not (numbered or any(os.strerror(code) in str(error) for code in _DISK_FULL)):
        return None
    name = os.fspath(path) or getattr(error, "filename", None) or "a file"
    return DiskFullError(
        f"{name}: the disk or the quota is full, and the file was not written; make room, and run"
        " the same command again"
    )
