"""Clients of `make bench-teacher`: `teacher_clients.py CLIENT JSON` runs one.

Each client is used as its documentation shows, and writes its answers to `folder`. Printed are CPU
seconds of the process and its children, wall seconds, peak memory in MB, rows written.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

MODEL = "bench-model"
SYSTEM = "You are a helpful assistant. Please respond as concisely as possible."
TASK = "Explain in two sentences why the sky of this planet looks blue at noon and red at dusk. "


def prompts(count: int) -> Iterator[str]:
    """Yield prompts of about 40 tokens, each with its number."""
    for number in range(count):
        yield f"#{number:07d}# {TASK}{TASK}"


def messages(prompt: str) -> list[dict[str, str]]:
    """Messages of a prompt, as in the generation of responses."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]


def write_rows(folder: Path, texts: Iterable[str]) -> int:
    """Write the answers of a client to `pairs.jsonl`; returns their number."""
    lines = [json.dumps({"response": text}) + "\n" for text in texts]
    (folder / "pairs.jsonl").write_text("".join(lines))
    return len(lines)


def ours(base_url: str, count: int, concurrency: int, folder: Path, look_ahead: int | None) -> int:
    """Our client, with ledger, pacing, progress file and progress line."""
    import orjson

    from lamini.log import Progress, start_logging
    from lamini.settings.teacher import Sampling, Teacher
    from lamini.teacher.request import chat_request
    from lamini.teacher.session import open_teacher

    start_logging(folder / "log.txt", "bench")
    settings = Teacher.model_validate(
        {
            "model": MODEL,
            "endpoints": [{"base_url": base_url}],
            "max_concurrency": concurrency,
            "jobs": 1,
            "requests_per_minute": None,
            "tokens_per_minute": 1e12,
            "prices": {MODEL: {"prompt": 0.5, "completion": 1.5}},
            "responses": {"system_message": SYSTEM},
        }
    )
    sampling = Sampling(temperature=0.7, max_tokens=256)
    requests = (chat_request(MODEL, messages(prompt), sampling) for prompt in prompts(count))
    rows = 0
    with (
        open_teacher(settings, folder / "results/a.ledger.jsonl", job="bench a/0") as teacher,
        Progress(count, "pairs", details=teacher.status) as progress,
        open(folder / "pairs.jsonl", "wb") as output,
    ):
        for _, answer in teacher.ask(requests, look_ahead):
            output.write(orjson.dumps({"response": answer.text}, option=orjson.OPT_APPEND_NEWLINE))
            progress.advance()
            rows += 1
    return rows


async def _side_by_side(
    ask: Callable[[str], Any], count: int, concurrency: int, output: Path
) -> int:
    """Send all prompts, `concurrency` at once; each answer is appended to a file on arrival."""
    free = asyncio.Semaphore(concurrency)
    rows = 0
    with open(output, "a") as handle:

        async def one(prompt: str) -> None:
            nonlocal rows
            async with free:
                text = await ask(prompt)
            if text is not None:
                handle.write(json.dumps({"response": text}) + "\n")
                rows += 1

        await asyncio.gather(*map(one, prompts(count)))
    return rows


def aiohttp(base_url: str, count: int, concurrency: int, folder: Path) -> int:
    """aiohttp alone: no retries, no ledger."""
    run = _aiohttp(base_url, count, concurrency, folder, dumps=json.dumps, loads=json.loads)
    return asyncio.run(run)


def aiohttp_tuned(base_url: str, count: int, concurrency: int, folder: Path) -> int:
    """aiohttp alone on uvloop, with orjson."""
    import orjson
    import uvloop

    def dumps(body: Any) -> str:
        return orjson.dumps(body).decode()

    run = _aiohttp(base_url, count, concurrency, folder, dumps=dumps, loads=orjson.loads)
    return uvloop.run(run)


async def _aiohttp(
    base_url: str,
    count: int,
    concurrency: int,
    folder: Path,
    *,
    dumps: Callable[[Any], str],
    loads: Callable[[bytes], Any],
) -> int:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": "Bearer none"}
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, json_serialize=dumps
    ) as session:

        async def ask(prompt: str) -> str:
            body = {
                "model": MODEL,
                "messages": messages(prompt),
                "temperature": 0.7,
                "max_tokens": 256,
            }
            async with session.post(f"{base_url}/chat/completions", json=body) as response:
                reply = loads(await response.read())
            text: str = reply["choices"][0]["message"]["content"]
            return text

        return await _side_by_side(ask, count, concurrency, folder / "pairs.jsonl")


def _openai(
    base_url: str, count: int, concurrency: int, folder: Path, **client_options: Any
) -> int:
    import openai

    async def run() -> int:
        async with openai.AsyncOpenAI(base_url=base_url, **client_options) as client:

            async def ask(prompt: str) -> str | None:
                try:
                    completion = await client.chat.completions.create(
                        model=MODEL, messages=messages(prompt), temperature=0.7, max_tokens=256
                    )
                except openai.OpenAIError:
                    return None  # a lost row: only the client's own retries count
                text: str = completion.choices[0].message.content
                return text

            return await _side_by_side(ask, count, concurrency, folder / "pairs.jsonl")

    return asyncio.run(run())


def openai(base_url: str, count: int, concurrency: int, folder: Path) -> int:
    """The `openai` package with its defaults."""
    return _openai(base_url, count, concurrency, folder)


def openai_aiohttp(base_url: str, count: int, concurrency: int, folder: Path) -> int:
    """The `openai` package with its aiohttp transport."""
    import openai

    return _openai(base_url, count, concurrency, folder, http_client=openai.DefaultAioHttpClient())


CLIENTS: dict[str, Callable[..., int]] = {
    function.__name__: function
    for function in (ours, aiohttp, aiohttp_tuned, openai, openai_aiohttp)
}


def main(client: str, arguments: str) -> None:
    """Run one client and print its numbers."""
    options = json.loads(arguments)
    options["folder"] = Path(options["folder"])
    options["folder"].mkdir(parents=True, exist_ok=True)
    os.environ["OPENAI_API_KEY"] = "none"
    os.environ.setdefault("LAMINI_PLAIN_PROGRESS", "1")
    core = options.pop("core", None)
    if core is not None:
        os.sched_setaffinity(0, {core})
    if client == "ours":
        options.setdefault("look_ahead", None)
    started = time.perf_counter()
    if client in CLIENTS:
        rows = CLIENTS[client](**options)
    else:
        import teacher_peers

        rows = getattr(teacher_peers, client)(**options)
    seconds = time.perf_counter() - started
    usages = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    measured = {
        "rows": rows,
        "seconds": seconds,
        "cpu": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "megabytes": max(usage.ru_maxrss for usage in usages) / 1024,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
