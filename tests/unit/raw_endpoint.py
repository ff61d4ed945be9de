"""A raw HTTP server on loopback, for replies that no HTTP library would send."""

import asyncio
import json
import threading
from typing import Self


class RawEndpoint:
    """The server, running in a thread between `with` and its end; a subclass writes the replies."""

    port: int
    """Set once the server runs."""

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        starting = asyncio.start_server(self._connection, "127.0.0.1", 0)
        server = self.loop.run_until_complete(starting)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def _connection(self, reader, writer) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                if not self.reply(body, writer):
                    writer.transport.abort()
                    return
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def reply(self, body: dict, writer: asyncio.StreamWriter) -> bool:
        """Send the reply to a request with this JSON body; False: then end the connection."""
        raise NotImplementedError


def http_reply(raw: bytes, status: str = "200", **headers: str) -> bytes:
    """A reply with this body; `retry_after` is the header `retry-after`."""
    lines = [f"HTTP/1.1 {status} Some", f"Content-Length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw
