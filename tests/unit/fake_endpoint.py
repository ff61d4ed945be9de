"""An OpenAI-compatible loopback endpoint with faults on demand, which counts requests.

It stands in for a vendor's faults and limits, nothing else: what a real server does is tested
against a real one.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

Fault = Callable[[str, int], str | None]
"""From the prompt and the number of the attempt to the name of a fault, or None."""


@dataclass
class FakeEndpoint:
    """The server, running in a thread between `with` and its end.

    Args:
        fault: which fault to answer with.
        latency: seconds until each reply.
        retry_after: value of the `Retry-After` header of 429s.
        per_minute: a real limiter: a bucket of one second's worth of requests.
        say_limit: whether replies carry `x-ratelimit-*` headers.
        port: 0 for any.
        models: reply to a request for the list of models: names, a JSON body, or a status.
        usage: usage of each answer.
    """

    fault: Fault = lambda prompt, attempt: None
    latency: float = 0.0
    retry_after: str | None = None
    per_minute: float | None = None
    say_limit: bool = False
    port: int = 0
    models: list[str] | dict | int = 404
    usage: dict = field(default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 5})
    lists: int = 0
    """How often the list of models was requested."""
    requests: list[dict] = field(default_factory=list)
    """Method, path, headers and body of each request, while `record` is set."""
    record: bool = False
    asked: Counter = field(default_factory=Counter)
    """How often each prompt came."""
    paid: Counter = field(default_factory=Counter)
    """How often each prompt was answered well."""
    statuses: Counter = field(default_factory=Counter)
    most_at_once: int = 0
    answered_before_slow: int = 0
    """Good answers before the answer to a slow prompt."""

    def __enter__(self) -> "FakeEndpoint":
        self._at_once = 0
        self._tokens, self._filled = (self.per_minute or 0) / 60, time.monotonic()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main(ready))
        self._loop.close()

    async def _main(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._list)
        return app

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.lists += 1
        if isinstance(self.models, int):
            return self._error(str(self.models), {"Location": "http://127.0.0.2:1/v1/models"})
        rows = [{"id": name, "object": "model"} for name in self.models]
        return web.json_response(
            self.models if isinstance(self.models, dict) else {"object": "list", "data": rows}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            response = await self._reply(request)
        finally:
            self._at_once -= 1
        self.statuses[response.status] += 1
        return response

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.record:
            self.requests.append(
                {
                    "method": request.method,
                    "path": request.path_qs,
                    "headers": dict(request.headers),
                    "body": body,
                }
            )
        prompt = body["messages"][-1]["content"]
        self.asked[prompt] += 1
        if self.latency:
            await asyncio.sleep(self.latency)
        headers, within = self._limit()
        fault = self.fault(prompt, self.asked[prompt]) if within else "429"
        good = {
            "id": f"chatcmpl-{prompt}",
            "model": f"{body['model']}-answering",
            "choices": [
                {"message": {"content": f"answer to {prompt}"}, "finish_reason": "stop", "index": 0}
            ],
            "usage": self.usage,
        }
        if fault is None:
            self.paid[prompt] += 1
            return web.json_response(good, headers=headers | {"x-request-id": f"req-{prompt}"})
        if fault in ("null", "broken", "no_usage", "slow"):
            self.paid[prompt] += 1
            if fault == "slow":
                await asyncio.sleep(4)
                self.answered_before_slow = sum(self.paid.values())
            return web.json_response(_changed(good, fault))
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "reset":
            request.transport.abort()
            return web.Response()
        if fault == "cut":
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(json.dumps(good).encode()[:40])
            request.transport.abort()
            return response
        return self._error(fault, headers)

    def _error(self, fault: str, headers: dict[str, str]) -> web.Response:
        if fault == "malformed":
            return web.Response(body=b'{"choices": [{"mess')
        if fault == "no_choices":
            return web.json_response({"choices": [], "usage": {}})
        if fault == "error_in_200":
            return web.json_response({"error": {"message": "upstream is busy", "code": 502}})
        status, _, code = fault.partition(" ")
        if status == "429" and self.retry_after is not None:
            headers = headers | {"Retry-After": self.retry_after}
        message = f"the endpoint's own words on {status}, key sk-secret-of-the-test"
        error = {"message": message, "type": "some_error", "code": code or None}
        return web.json_response({"error": error}, status=int(status), headers=headers)

    def _limit(self) -> tuple[dict[str, str], bool]:
        if self.per_minute is None:
            return {}, True
        now, rate = time.monotonic(), self.per_minute / 60
        self._tokens = min(rate, self._tokens + (now - self._filled) * rate)
        self._filled = now
        within = self._tokens >= 1
        self._tokens -= within
        headers = {
            "x-ratelimit-limit-requests": str(int(self.per_minute)),
            "x-ratelimit-remaining-requests": str(int(self.per_minute) - 1),
            "x-ratelimit-reset-requests": f"{1000 / rate:.0f}ms",
        }
        return (headers if self.say_limit else {}), within


def _changed(good: dict, fault: str) -> dict:
    """A paid completion without content, without usage, or cut off."""
    choice = good["choices"][0]
    if fault == "null":
        choice["message"]["content"] = None
    elif fault == "broken":
        choice |= {"message": {"content": "half"}, "finish_reason": "error"}
    elif fault == "no_usage":
        del good["usage"]
    return good
