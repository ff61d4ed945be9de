"""A loopback endpoint with OpenAI's Files and Batches, which counts the paid requests.

A batch takes one step each time it is looked at: validating, in_progress, finalizing, its end. What
is in progress is paid for. Live requests are answered with the same words.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from fake_endpoint import FakeEndpoint

from lamini.settings.teacher import Teacher

Json = dict[str, Any]
ENQUEUED = 20


def say_nothing_new(body: Json) -> tuple[str, str]:
    return f"answer to {body['messages'][-1]['content']}", "stop"


@dataclass
class BatchEndpoint(FakeEndpoint):
    """The server.

    Args:
        write: from a request's body to the text and the finish reason of its answer.
        fate: from the number of a batch to how it ends: `completed`, `expired` with half of its
            answers (as `cancelled` ones), or `failed` with any other word as the error's code.
        line: from a prompt and how often it was in a batch to what becomes of it there: None, a
            status with an optional code, `none` (a line without response), `absent` (no line).
        call: from an operation (`upload`, `create`, `list`, `look`, `cancel`, `content`) and its
            number to a fault: a status, `reset`, `lost` (it is done, and the reply is lost), `cut`,
            `short` (whole lines are missing), `malformed`, `kill` and `kill_after` (of `victim`).
        enqueued: most tokens in unfinished batches, of which each request has `ENQUEUED`.
        say_limit: whether refusals name that limit.
        looks: how often a batch must be looked at while it is in progress.
    """

    write: Callable[[Json], tuple[str, str]] = say_nothing_new
    fate: Callable[[int], str] = lambda number: "completed"
    line: Callable[[str, int], str | None] = lambda prompt, attempt: None
    call: Callable[[str, int], str | None] = lambda operation, number: None
    enqueued: int | None = None
    say_limit: bool = True
    looks: int = 1
    victim: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    batches: dict[str, Json] = field(default_factory=dict)
    calls: Counter = field(default_factory=Counter)
    live: int = 0
    """Requests answered by the live API."""
    history: list[tuple[str, str]] = field(default_factory=list)
    """Operations with their object, in order."""

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 28)
        for method, path, operation, handler in (
            ("POST", "/v1/files", "upload", self._upload),
            ("GET", "/v1/files/{id}/content", "content", self._content),
            ("POST", "/v1/batches", "create", self._create),
            ("GET", "/v1/batches", "list", self._list),
            ("GET", "/v1/batches/{id}", "look", self._look),
            ("POST", "/v1/batches/{id}/cancel", "cancel", self._cancel),
        ):
            app.router.add_route(method, path, self._with_faults(operation, handler))
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    def _with_faults(self, operation: str, handler: Callable) -> Callable:
        async def handle(request: web.Request) -> web.StreamResponse:
            assert request.headers["Authorization"] == "Bearer sk-secret-of-the-test"
            self.calls[operation] += 1
            fault = self.call(operation, self.calls[operation])
            self.history.append((operation, request.match_info.get("id", "")))
            if fault == "kill":
                self._kill()
            if fault in ("reset", "kill"):
                request.transport.abort()
                return web.Response()
            if fault and fault[0].isdigit():
                return self._error(fault, {})
            if fault == "malformed":
                return web.json_response(text='{"id": "batch_')
            response = await handler(request)
            if fault == "kill_after":
                self._kill()
            if fault in ("lost", "kill_after"):
                request.transport.abort()
            elif fault == "short":
                return web.Response(body=b"".join(response.body.splitlines(keepends=True)[:-1]))
            elif fault == "cut":
                cut = web.StreamResponse(headers={"Content-Length": str(len(response.body))})
                await cut.prepare(request)
                await cut.write(response.body[: len(response.body) // 2])
                request.transport.abort()
                return cut
            return response

        return handle

    def _kill(self) -> None:
        assert self.victim
        os.kill(self.victim, signal.SIGKILL)

    # --- Files -----------------------------------------------------------------------------------

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "batch"
        data = form["file"].file.read()
        file = self._new_file(data)
        self.names[file] = form["file"].filename
        return web.json_response({"id": file, "object": "file", "bytes": len(data)})

    async def _content(self, request: web.Request) -> web.Response:
        data = self.files.get(request.match_info["id"])
        return self._error("404", {}) if data is None else web.Response(body=data)

    def _new_file(self, data: bytes) -> str:
        file = f"file-{len(self.files)}"
        self.files[file] = data
        return file

    # --- Batches ---------------------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["endpoint"] == "/v1/chat/completions" and body["completion_window"] == "24h"
        rows = self._rows(body["input_file_id"])
        batch = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "endpoint": body["endpoint"],
            "completion_window": "24h",
            "input_file_id": body["input_file_id"],
            "metadata": body.get("metadata"),
            "created_at": 1_700_000_000 + len(self.batches),
            "status": "validating",
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "fate": self.fate(len(self.batches)),
            "rows": rows,
        }
        self.batches[batch["id"]] = batch
        return self._shown(batch)

    async def _list(self, request: web.Request) -> web.Response:
        newest_first = list(reversed(self.batches.values()))
        if after := request.query.get("after"):
            ids = [batch["id"] for batch in newest_first]
            newest_first = newest_first[ids.index(after) + 1 :]
        page = newest_first[:2]  # small, so that more than one is needed
        return web.json_response(
            {
                "object": "list",
                "data": [self._public(batch) for batch in page],
                "has_more": len(newest_first) > len(page),
            }
        )

    async def _look(self, request: web.Request) -> web.Response:
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return self._error("404", {})
        step = {
            "validating": self._validate,
            "in_progress": self._work,
            "finalizing": self._end,
            "cancelling": self._end,
        }.get(batch["status"])
        shown = self._shown(batch)
        if step:
            step(batch)
        return shown

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["id"]]
        if batch["status"] not in ("validating", "in_progress"):
            return self._error("409", {})
        was_at_work = batch["status"] == "in_progress"
        batch["status"], batch["fate"] = "cancelling", "cancelled"
        if was_at_work:
            self._answer_rows(batch)
        return self._shown(batch)

    def _validate(self, batch: Json) -> None:
        keys = [row["custom_id"] for row in batch["rows"]]
        assert len(keys) == len(set(keys)) <= 50_000
        enqueued = ENQUEUED * sum(
            len(other["rows"])
            for other in self.batches.values()
            if other["status"] in ("in_progress", "finalizing")
        )
        if self.enqueued is not None and enqueued + ENQUEUED * len(keys) > self.enqueued:
            limit = f"Limit: {self.enqueued:,} enqueued tokens. " if self.say_limit else ""
            told = f"Enqueued token limit reached for m. {limit}Please try again."
            self._fail(batch, "token_limit_exceeded", told)
        elif batch["fate"] not in ("completed", "expired"):
            self._fail(batch, batch["fate"], "the API's own words, key sk-secret-of-the-test")
        else:
            batch["status"] = "in_progress"
            batch["request_counts"]["total"] = len(keys)

    def _fail(self, batch: Json, code: str, message: str) -> None:
        batch["status"] = "failed"
        data = [{"code": code, "message": message, "line": 1, "param": None}]
        batch["errors"] = {"object": "list", "data": data}

    def _work(self, batch: Json) -> None:
        """Answer the requests, and have them paid for."""
        batch["looks"] = batch.get("looks", 0) + 1
        if batch["looks"] == self.looks:
            self._answer_rows(batch)
            batch["status"] = "finalizing"

    def _answer_rows(self, batch: Json) -> None:
        rows = batch["rows"]
        answered = rows if batch["fate"] == "completed" else rows[: len(rows) // 2]
        output, errors = [], []
        for row in answered:
            prompt = row["body"]["messages"][-1]["content"]
            self.asked[prompt] += 1
            fault = self.line(prompt, self.asked[prompt])
            if fault is None:
                self.paid[prompt] += 1
                output.append(self._line(row, 200, self.answer(row["body"])))
            elif fault == "none":
                told = {"code": "server_error", "message": "no luck"}
                errors.append({"custom_id": row["custom_id"], "response": None, "error": told})
            elif fault != "absent":
                status, _, code = fault.partition(" ")
                told = {"message": f"the endpoint's own words on {status}", "code": code or None}
                errors.append(self._line(row, int(status), {"error": told}))
        for row in rows[len(answered) :]:
            told = {"code": f"batch_{batch['fate']}", "message": "not in time"}
            errors.append({"custom_id": row["custom_id"], "response": None, "error": told})
        batch["output"], batch["error"] = list(reversed(output)), errors
        batch["request_counts"] |= {"completed": len(output), "failed": len(errors)}

    def _line(self, row: Json, status: int, body: Json) -> Json:
        response = {"status_code": status, "request_id": f"req-{row['custom_id']}", "body": body}
        return {"id": "batch_req_1", "custom_id": row["custom_id"], "response": response}

    def _end(self, batch: Json) -> None:
        for kind in ("output", "error"):
            if lines := batch.get(kind):
                data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
                batch[f"{kind}_file_id"] = self._new_file(data)
        batch["status"] = batch["fate"]

    def _rows(self, file: str) -> list[Json]:
        rows = [json.loads(line) for line in self.files[file].splitlines()]
        for row in rows:
            assert set(row) == {"custom_id", "method", "url", "body"}
            assert (row["method"], row["url"]) == ("POST", "/v1/chat/completions")
        return rows

    def _public(self, batch: Json) -> Json:
        return {name: value for name, value in batch.items() if name not in ("rows", "fate")}

    def _shown(self, batch: Json) -> web.Response:
        return web.json_response(self._public(batch))

    # --- The live API ----------------------------------------------------------------------------

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        self.live += 1
        return web.json_response(self.answer(await request.json()))

    def answer(self, body: Json) -> Json:
        text, finish_reason = self.write(body)
        message = {"role": "assistant", "content": text}
        return {
            "id": "chatcmpl-1",
            "model": f"{body['model']}-answering",
            "choices": [{"message": message, "finish_reason": finish_reason, "index": 0}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5},
        }

    def settings(self, **changes) -> Teacher:
        """Teacher settings for this endpoint, with the batch backend."""
        batch = {"poll_seconds": 0.02} | changes.pop("batch", {})
        values = {
            "model": "m",
            "backend": "batch",
            "endpoints": [{"base_url": self.base_url}],
            "responses": {"system_message": "Be brief."},
            "jobs": 1,
            "down_after": 20.0,
            "batch": batch,
        }
        return Teacher.model_validate(values | changes)
