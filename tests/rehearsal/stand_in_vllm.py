#!/usr/bin/env python3
"""A stand-in for `vllm serve`, with the arguments that the paper's configuration gives it.

It answers a request for new instructions with as many as were asked, in the labels of the prompt,
and any other request with a short sentence. An unknown argument ends it, as it would end vLLM.
"""

import argparse
import asyncio
import hashlib
import os
import re

from aiohttp import web

_THINGS = ("a wooden bridge", "the night train", "an old map", "wild garlic", "a folding bicycle")
_FORMS = (
    "Explain how to repair {} in {} steps.",
    "Write a short letter about {} to {} neighbours.",
    "What should I know about {} before I am {} years old?",
    "List {} facts that children like, all of them about {}.",
)


def main() -> None:
    parser = argparse.ArgumentParser("vllm")
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model")
    for name in ("revision", "served-model-name", "host", "generation-config"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("port", "max-model-len", "max-num-seqs", "tensor-parallel-size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.served_model_name, arguments.host, arguments.port))


def answer(prompt: str) -> str:
    """New instructions if the prompt asks for examples, else a sentence."""
    if not (asked := re.search(r"Generate (\d+) diverse examples", prompt)):
        return f"In short: {_number(prompt)} words would be enough for that."
    return "\n".join(
        f"<example>{_instruction(_number(f'{prompt}{n}'))}</example>" for n in range(int(asked[1]))
    )


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


def _instruction(number: int) -> str:
    form, thing = _FORMS[number % len(_FORMS)], _THINGS[number % len(_THINGS)]
    parts = (number % 9973, thing) if form.startswith("List") else (thing, number % 9973)
    return form.format(*parts)


async def _serve(name: str, host: str, port: int) -> None:
    key = f"Bearer {os.environ['VLLM_API_KEY']}"

    async def chat(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != key:
            return web.json_response({"error": {"message": "wrong key"}}, status=401)
        body = await request.json()
        if body["model"] != name:
            return web.json_response({"error": {"message": "no such model"}}, status=404)
        text = answer(body["messages"][-1]["content"])
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        words = len(text.split())
        usage = {"prompt_tokens": 50, "completion_tokens": words, "total_tokens": 50 + words}
        answered = {"id": "chatcmpl-1", "object": "chat.completion", "model": name}
        return web.json_response({**answered, "choices": [choice], "usage": usage})

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"}]})

    async def health(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
