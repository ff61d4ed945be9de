"""Connections to endpoints; one that received more than the requested replies is not reused.

HTTP/1.1 has no number for a reply: the next reply on a connection is the answer. If a server or a
proxy sends a second reply to a request, aiohttp 3.14 keeps it and takes it for the answer to the
next request on that connection (https://github.com/aio-libs/aiohttp/issues/13656).
"""

import asyncio
import logging
import select
import weakref
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

logger = logging.getLogger("lamini")

QUIET_SECONDS = 0.05
"""Time for which a connection waits before its next request, so that a second reply that directly
follows the first one is seen. It costs connections, no speed: at 1,000 requests per second, 50."""


class OneReplyConnector(aiohttp.TCPConnector):
    """A pool of any number of connections that each bring one reply per request.

    A connection on which anything else arrived is closed before its next request. A second reply
    that arrives only while the next request waits for its answer cannot be recognized.
    """

    # `connect` is public. `_release` is private, and the only place where a connection comes back;
    # tests/unit/test_teacher_connections.py fails if aiohttp no longer calls it.

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=0, loop=loop)
        self._arrivals: weakref.WeakKeyDictionary[ResponseHandler, select.poll] = (
            weakref.WeakKeyDictionary()
        )
        """Of each connection that was used: a poll of its socket for unread bytes, or its end."""
        self._told: set[str] = set()

    async def connect(
        self, req: "ClientRequest", traces: list["Trace"], timeout: aiohttp.ClientTimeout
    ) -> "Connection":
        """Return a connection on which nothing arrived that was not requested.

        Raises:
            aiohttp.ClientConnectionError: a new connection ended, or brought a reply, before it was
                used.
        """
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert protocol is not None
            arrivals = self._arrivals.get(protocol)
            if not (protocol.should_close or (arrivals and arrivals.poll(0))):
                if not arrivals:
                    self._arrivals[protocol] = _arrivals(connection)
                return connection
            self._tell(req.connection_key, protocol)
            connection.close()
            if not arrivals:
                raise aiohttp.ClientConnectionError("end or reply before the request")

    def _release(
        self, key: "ConnectionKey", protocol: "ResponseHandler", *, should_close: bool = False
    ) -> None:
        if should_close or protocol.should_close:
            self._take_back(key, protocol, should_close)
        else:
            self._loop.call_later(QUIET_SECONDS, self._take_back, key, protocol, False)

    def _take_back(self, key: "ConnectionKey", protocol: "ResponseHandler", close: bool) -> None:
        self._tell(key, protocol)
        super()._release(key, protocol, should_close=close)

    def _tell(self, key: "ConnectionKey", protocol: "ResponseHandler") -> None:
        """Log once per host that a whole reply came without a request."""
        if len(protocol) and key.host not in self._told:
            self._told.add(key.host)
            logger.warning(
                "%s sent a reply that was not requested; its connection was closed. If such replies"
                " come late, prompts get answers of others: read some answers in the ledger",
                key.host,
            )


def _arrivals(connection: "Connection") -> select.poll:
    """A poll for unread bytes, or the end of the connection, in its socket."""
    assert connection.transport is not None
    waiting = select.poll()
    waiting.register(connection.transport.get_extra_info("socket").fileno(), select.POLLIN)
    return waiting
