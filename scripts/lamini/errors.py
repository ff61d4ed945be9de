"""Exceptions whose messages are written for users.

The message of a `LaminiError` names the problem, its location (file, key or row) and the remedy. It
ends the job, and its message is printed without a traceback.
"""


class LaminiError(Exception):
    """Invalid input or an external failure; the message has location and remedy."""


class SettingsError(LaminiError):
    """Invalid configuration; the message has the key and the allowed values."""


class StopRequested(LaminiError):
    """A signal stopped the job after it saved its state; the same command resumes it."""
