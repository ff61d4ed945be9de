"""A model hub on loopback: the part of Hugging Face's HTTP interface that the product uses.

It keeps what is committed, as the real one would show it, and the rights that a token has. Reading
of repositories is in `hub_files`.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hub_files import LFS_ENDINGS, Reply, Snapshots

TOKEN = "hf_token_of_the_test"


@dataclass
class Hub:
    """The server, running in a thread between `with` and its end."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files by path, by repository (`datasets/lab/name` or `lab/name`)."""
    private: dict[str, bool] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    public: Snapshots = field(default_factory=Snapshots)
    """Repositories that can be read."""
    large: dict[str, bytes] = field(default_factory=dict)
    """Contents of large files by their SHA-256."""

    def __enter__(self) -> "Hub":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.public.store = f"http://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, url: str, body: bytes, token: str, asked_range: str) -> Reply:
        """Answer to one request."""
        path = url.partition("?")[0]
        self.requests.append(f"{method} {path}")
        if (reply := self.public.reply(method, url, body, asked_range)) is not None:
            return reply
        status, value = self._to_write(path, body, token)
        return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _to_write(self, path: str, body: bytes, token: str) -> tuple[int, Any]:
        """Status and JSON of a request that uploads use."""
        if path.startswith("/large/"):
            return self._store(path.rpartition("/")[2], body)
        if token != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid username or password."}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._places(json.loads(body)["objects"])
        return self._of_repository(path, body)

    def _of_repository(self, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        found = re.fullmatch(r"/api/(models|datasets)/(.+)/(preupload|commit)/main", path)
        repository = (
            f"{'datasets/' if found and found[1] == 'datasets' else ''}{found and found[2]}"
        )
        if not found or repository not in self.repositories:
            return 404, {"error": f"not found: {path}"}
        if found[3] == "commit":
            return self._commit(repository, body)
        return 200, {"files": [_mode(file) for file in json.loads(body)["files"]]}

    def _store(self, digest: str, body: bytes) -> tuple[int, Any]:
        if hashlib.sha256(body).hexdigest() != digest:
            return 400, {"error": "not the announced content"}
        self.large[digest] = body
        return 200, {}

    def _places(self, objects: list[dict[str, Any]]) -> tuple[int, Any]:
        for item in objects:
            item["actions"] = {"upload": {"href": f"{self.address}/large/{item['oid']}"}}
        return 200, {"transfer": "basic", "objects": objects}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        prefix = "datasets/" if body.get("type") == "dataset" else ""
        repository = f"{prefix}{body['organization']}/{body['name']}"
        url = f"{self.address}/{repository}"
        if repository in self.repositories:
            return 409, {"error": "You already created this repo", "url": url}
        self.repositories[repository] = {}
        self.private[repository] = body.get("visibility") == "private" or body.get("private", False)
        return 200, {"url": url}

    def _commit(self, repository: str, body: bytes) -> tuple[int, Any]:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                self.repositories[repository][value["path"]] = content
            elif line["key"] == "lfsFile":
                self.repositories[repository][value["path"]] = self.large[value["oid"]]
        url = f"{self.address}/{repository}/commit/{'1' * 40}"
        return 200, {"success": True, "commitOid": "1" * 40, "commitUrl": url, "hookOutput": ""}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                token, asked = (self.headers.get(k, "") for k in ("Authorization", "Range"))
                reply = hub.answer(self.command, self.path, body, token, asked)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.content)

            do_GET = do_HEAD = do_POST = do_PUT = _reply

            def log_message(self, *_: object) -> None:
                """Say nothing on standard error."""

        return Handler


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(LFS_ENDINGS) else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
