"""A loopback endpoint with answers from a test's function and faults of `fake_endpoint`."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from fake_endpoint import FakeEndpoint

from lamini.settings.teacher import Teacher


@dataclass
class WritingEndpoint(FakeEndpoint):
    """Answers each request with what `write` makes of its body: the text and the finish reason."""

    write: Callable[[dict], tuple[str, str]] = lambda body: ("", "stop")

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        self.asked[prompt] += 1
        self.requests.append(body)
        text, finish_reason = self.write(body)
        return web.json_response(
            {
                "id": "chatcmpl-1",
                "model": "the-model",
                "choices": [
                    {"message": {"content": text}, "finish_reason": finish_reason, "index": 0}
                ],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            }
        )

    def settings(self, **changes) -> Teacher:
        values = {
            "model": "m",
            "endpoints": [{"base_url": self.base_url}],
            "responses": {"system_message": "Be brief."},
            "max_concurrency": 8,
            "jobs": 1,
        }
        return Teacher.model_validate(values | changes)
