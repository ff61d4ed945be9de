"""A reply that was not requested is never taken for the answer to the next request."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import sleep

import aiohttp
import pytest
from raw_endpoint import RawEndpoint, http_reply

from lamini.teacher.connections import QUIET_SECONDS, OneReplyConnector


@dataclass
class Repeating(RawEndpoint):
    """Answers with the prompt; sends the first reply of a connection again after `delay` seconds.

    `delay` None: no second reply; 0: together with the first one, in one write.
    """

    delay: float | None
    connections: dict[object, int] = field(default_factory=dict)
    """Number of requests by connection, in the order of the connections."""

    def reply(self, body: dict, writer) -> bool:
        content = body["messages"][0]["content"]
        raw = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
        whole = http_reply(json.dumps(raw).encode())
        count = self.connections[writer] = self.connections.get(writer, 0) + 1
        if count > 1:  # so slow that a second reply to the first request would come before it
            self.loop.call_later(QUIET_SECONDS, writer.write, whole)
        elif self.delay is None:
            writer.write(whole)
        elif self.delay == 0:
            writer.write(whole * 2)
        else:
            writer.write(whole)
            self.loop.call_later(self.delay, writer.write, whole)
        return True

    @property
    def requests(self) -> list[int]:
        """Number of requests of each connection."""
        return list(self.connections.values())


async def answers(endpoint: RawEndpoint, pauses: Sequence[float], blocked: float = 0) -> list[str]:
    """Answers to prompts "0", "1", ..., with a pause in seconds after each; `blocked`: seconds for
    which the event loop stands still after each pause."""
    texts = []
    connector = OneReplyConnector(asyncio.get_running_loop())
    async with aiohttp.ClientSession(connector=connector) as session:
        for number, pause in enumerate(pauses):
            body = {"messages": [{"role": "user", "content": str(number)}]}
            async with session.post(f"http://127.0.0.1:{endpoint.port}", json=body) as response:
                reply = json.loads(await response.read())
            texts.append(reply["choices"][0]["message"]["content"])
            await asyncio.sleep(pause)
            sleep(blocked)
    return texts


@pytest.mark.parametrize(
    ("delay", "pause"),
    [
        (0.0, 0.0),
        (0.0, 3 * QUIET_SECONDS),
        (0.0001, 0.0),
        (QUIET_SECONDS / 4, 0.0),
        (2 * QUIET_SECONDS, 3 * QUIET_SECONDS),
    ],
)
def test_a_second_reply_answers_no_request(caplog, delay, pause):
    """In the same packet, directly after the first reply, or later, on an idle connection."""
    with Repeating(delay) as endpoint:
        pauses = [pause, pause, 3 * QUIET_SECONDS]
        assert asyncio.run(answers(endpoint, pauses)) == ["0", "1", "2"]
    assert endpoint.requests == [1, 1, 1]
    told = [r for r in caplog.records if "a reply that was not requested" in r.message]
    assert [r.args for r in told] == [("127.0.0.1",)]  # once per host


def test_a_second_reply_that_is_not_read_yet_answers_no_request():
    """It came while the event loop was busy."""
    with Repeating(delay=4 * QUIET_SECONDS) as endpoint:
        pauses = [2 * QUIET_SECONDS] * 2
        texts = asyncio.run(answers(endpoint, pauses, blocked=4 * QUIET_SECONDS))
    assert texts == ["0", "1"]


def test_connections_are_reused_after_a_quiet_time():
    with Repeating(None) as endpoint:
        assert asyncio.run(answers(endpoint, [2 * QUIET_SECONDS] * 3)) == ["0", "1", "2"]
    assert endpoint.requests == [3]


class Greeting(RawEndpoint):
    """Sends a reply before each connection's first request."""

    async def _connection(self, reader, writer) -> None:
        writer.write(http_reply(b"{}"))
        await reader.read()


def test_a_reply_before_the_first_request_answers_no_request(monkeypatch):
    async def connect(self, *arguments):
        protocol = await at_once(self, *arguments)
        await asyncio.sleep(QUIET_SECONDS)
        return protocol

    at_once = aiohttp.TCPConnector._create_connection
    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", connect)
    with (
        Greeting() as endpoint,
        pytest.raises(aiohttp.ClientConnectionError, match="reply before the request"),
    ):
        asyncio.run(answers(endpoint, [0.0]))
