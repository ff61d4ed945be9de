"""A small program with the interface of vLLM, for tests of `teacher.server.command`.

Like vLLM it starts a process of its own, which outlives it unless somebody ends both.
Usage: stand_in_server.py NAME PORT SECONDS_UNTIL_READY [SECONDS_PER_ANSWER]
"""

import asyncio
import os
import subprocess
import sys

from aiohttp import web


def main() -> None:
    name, port, until_ready, *latency = sys.argv[1:]
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", f"engine-of-{port}"])
    started = asyncio.run(serve(name, int(port), float(until_ready), float((latency or ["0"])[0])))
    sys.exit(started)


async def serve(name: str, port: int, until_ready: float, latency: float) -> None:
    async def chat(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer {os.environ['STAND_IN_KEY']}":
            return web.json_response({"error": {"message": "wrong key"}}, status=401)
        body = await request.json()
        await asyncio.sleep(latency)
        text = f"{os.environ.get('STAND_IN_GREETING', '')}{body['messages'][-1]['content']}"
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2}
        return web.json_response({"model": name, "choices": [choice], "usage": usage})

    async def health(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/health", health)
    await asyncio.sleep(until_ready)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
