"""The one exception type that people are meant to read.

A `LaminiError` says what is wrong, where (file, key or row), and what to do about it. Scripts let
it end the job; the workflow prints its message without a traceback.
"""


class LaminiError(Exception):
    """Bad input or an outside failure, with the place and the remedy in the message."""


class SettingsError(LaminiError):
    """The configuration is wrong; names the key and what is allowed."""


class StopRequested(LaminiError):
    """Work was stopped by a signal after saving its state; run the same command to go on."""
