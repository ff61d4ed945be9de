"""Messages about failures of live requests."""

import logging
import os

import aiohttp

from lamini.teacher.endpoints import Target
from lamini.teacher.replies import RetryableError

logger = logging.getLogger("lamini")

_FAILURE_EVERY = 300.0
"""Shortest time in seconds between two messages about failures of requests."""
_LOGGED_PAUSE = 30.0
"""Pause in seconds from which on it is logged."""


class FailureLog:
    """Logs failures that matter to the user, each once.

    Args:
        down_after: seconds without a good answer after which the client stops.
    """

    def __init__(self, down_after: float) -> None:
        self._down_after = down_after
        self._logged_pause = 0.0
        self._silent_until = 0.0

    def failed(self, target: Target, error: RetryableError, now: float) -> None:
        """Log the first failure of an endpoint at once; later ones at most every few minutes."""
        if error.overloaded or target.limits.failures != 1 or now < self._silent_until:
            return
        self._silent_until = now + _FAILURE_EVERY
        logger.warning(
            "%s: %s; trying again, for up to %g s without a good answer",
            target.url,
            error,
            self._down_after,
        )

    def paused(self, target: Target, now: float) -> None:
        """Log a long pause of an endpoint once."""
        until = target.limits.closed_until
        if until - now >= _LOGGED_PAUSE and until > self._logged_pause:
            self._logged_pause = until
            logger.warning(
                "%s asks to wait %.0f s (%s)", target.url, until - now, target.limits.last_failure
            )


def in_words(error: Exception) -> str:
    """A failure of a connection, without the name of its class unless it has no other text."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return f"cannot connect: {os.strerror(error.os_error.errno)}"
    return str(error) or type(error).__name__
