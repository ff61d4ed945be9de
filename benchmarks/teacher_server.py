"""Endpoint for the clients of `make bench-teacher`: a fast server that counts its requests.

`python teacher_server.py PORT_FILE` serves chat completions on loopback until it is killed. Prompts
contain their number as `#0000123#`. `POST /reset` with JSON sets `latency` (seconds) and
`per_minute`, and clears the account. `per_minute` is the rate of a token bucket that holds one
second's requests, as vendors use it; null: no limit. `GET /account` returns the account.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

_NUMBER = re.compile(rb"#(\d{7})#")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ANSWER = "The shortest useful answer to this one takes about forty words, as many do. " * 4
"""Text of every answer after its prompt's number: about 60 tokens."""


class Account:
    """Counts of requests and answers since the last reset, and the rate limiter."""

    def __init__(self, latency: float = 0.05, per_minute: float | None = None) -> None:
        self.latency, self.rate = latency, per_minute and per_minute / 60
        self.paid: Counter[int] = Counter()
        self.refused = 0
        self.at_once = self.most_at_once = 0
        self.first = self.last = 0.0
        self._tokens, self._filled = self.rate or 0.0, time.monotonic()

    def within_limit(self) -> bool:
        """Whether the rate limiter allows one more request; if so, it is counted."""
        if self.rate is None:
            return True
        now = time.monotonic()
        self._tokens = min(self.rate, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def counts(self) -> dict[str, Any]:
        """The account's counts, for JSON."""
        return {
            "paid": self.paid.total(),
            "prompts": len(self.paid),
            "refused": self.refused,
            "at_once": self.at_once,
            "most_at_once": self.most_at_once,
            "seconds": self.last - self.first,
        }


class Server(asyncio.Protocol):
    """One connection. It implements `asyncio.Protocol`, so that the server's own cost is small."""

    account = Account()

    def __init__(self) -> None:
        self._buffer = b""
        self._last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; called once by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request in the buffer."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < total:
                return
            request, self._buffer = self._buffer[:total], self._buffer[total:]
            self._last = b"connection: close" in request[:end].lower()
            self._answer(request, request[end + 4 :])

    def _answer(self, request: bytes, body: bytes) -> None:
        path = request.split(b" ", 2)[1]
        if path == b"/reset":
            Server.account = Account(**json.loads(body))
            self._reply(200, b"{}")
        elif path == b"/account":
            self._reply(200, json.dumps(self.account.counts()).encode())
        elif path.endswith(b"/chat/completions"):
            self._chat(body)
        elif path.endswith(b"/models"):
            self._reply(200, b'{"object": "list", "data": [{"id": "bench-model"}]}')
        else:
            self._reply(404, b'{"error": {"message": "only /v1/chat/completions"}}')

    def _chat(self, body: bytes) -> None:
        account = self.account
        match = _NUMBER.search(body)
        number = int(match[1]) if match else -1
        account.first = account.first or time.monotonic()
        if not account.within_limit():
            account.refused += 1
            message = b'{"error": {"message": "rate limit", "code": "rate_limit_exceeded"}}'
            self._reply(429, message, b"Retry-After: 1\r\n" + self._limit_headers())
            return
        account.at_once += 1
        account.most_at_once = max(account.most_at_once, account.at_once)
        asyncio.get_running_loop().call_later(account.latency, self._complete, account, number)

    def _complete(self, account: Account, number: int) -> None:
        account.at_once -= 1
        if number >= 0:  # no number: a client's probe of the limits
            account.paid[number] += 1
        account.last = time.monotonic()
        if self._transport.is_closing():
            return
        completion = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "bench-model",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": f"#{number:07d}# {ANSWER}"},
                    "finish_reason": "stop",
                    "logprobs": None,
                }
            ],
            "usage": {"prompt_tokens": 60, "completion_tokens": 64, "total_tokens": 124},
        }
        name = f"x-request-id: req_{number:032d}\r\n".encode()
        self._reply(200, json.dumps(completion).encode(), name + self._limit_headers())

    def _limit_headers(self) -> bytes:
        rate = self.account.rate
        if rate is None:
            return b""
        return (
            f"x-ratelimit-limit-requests: {rate * 60:.0f}\r\n"
            f"x-ratelimit-remaining-requests: {rate * 60 - 1:.0f}\r\n"
            f"x-ratelimit-reset-requests: {1000 / rate:.0f}ms\r\n"
            "x-ratelimit-limit-tokens: 1000000000\r\n"
            "x-ratelimit-remaining-tokens: 999999000\r\n"
            "x-ratelimit-reset-tokens: 1ms\r\n"
        ).encode()

    def _reply(self, status: int, body: bytes, headers: bytes = b"") -> None:
        start = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n".encode()
        length = f"Content-Length: {len(body)}\r\n\r\n".encode()
        self._transport.write(start + headers + length + body)
        if self._last:
            self._transport.close()


async def serve(port_file: Path) -> None:
    """Serve until cancelled; `port_file` is written when the server accepts connections."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=4096)
    temporary = port_file.with_suffix(".part")
    temporary.write_text(str(server.sockets[0].getsockname()[1]))
    temporary.rename(port_file)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
