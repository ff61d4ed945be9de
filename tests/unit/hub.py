"""A model hub on loopback: the part of Hugging Face's HTTP interface that uploads and pins use.

It keeps what is committed, as the real one would show it, and the rights that a token has.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN = "hf_token_of_the_test"
LFS_ENDINGS = (".parquet", ".safetensors", ".bin")


@dataclass
class Hub:
    """The server, running in a thread between `with` and its end."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files by path, by repository (`datasets/lab/name` or `lab/name`)."""
    private: dict[str, bool] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    commits: dict[str, dict[str, str]] = field(default_factory=dict)
    """Commit of each branch, and of each commit that exists, by public repository."""
    gated: set[str] = field(default_factory=set)
    """Repositories that nobody with the request's token may read."""
    large: dict[str, bytes] = field(default_factory=dict)
    """Contents of large files by their SHA-256."""

    def __enter__(self) -> "Hub":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any]:
        """Status and JSON of one request."""
        path = path.partition("?")[0]
        self.requests.append(f"{method} {path}")
        if path.startswith("/large/"):
            return self._store(path.rpartition("/")[2], body)
        if found := re.fullmatch(r"/api/(models|datasets)/(.+)/revision/(.+)", path):
            prefix = "datasets/" if found[1] == "datasets" else ""
            return self._information(f"{prefix}{found[2]}", unquote(found[3]))
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

    def _information(self, repository: str, revision: str) -> tuple[int, Any]:
        """Information on a repository; the hub's codes of errors are in a header."""
        if repository in self.gated:
            return 403, {"error": "Access is restricted.", "code": "GatedRepo"}
        if repository not in self.commits:
            return 401, {"error": "Repository not found", "code": "RepoNotFound"}
        if (commit := self.commits[repository].get(revision)) is None:
            return 404, {"error": f"Invalid rev id: {revision}", "code": "RevisionNotFound"}
        day = f"20{10 + int(commit[0], 16)}-01-02T03:04:05.000Z"
        name = repository.removeprefix("datasets/")
        return 200, {
            "_id": "621ffdc036468d709f174328",
            "id": name,
            "sha": commit,
            "lastModified": day,
            "private": False,
            "gated": False,
            "disabled": False,
            "downloads": 1,
            "likes": 1,
            "tags": [],
            "siblings": [{"rfilename": "config.json"}],
        }

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
                token = self.headers.get("Authorization", "")
                status, value = hub.answer(self.command, self.path, body, token)
                content = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if "code" in value:
                    self.send_header("X-Error-Code", value["code"])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = _reply

            def log_message(self, *_: object) -> None:
                """Say nothing on standard error."""

        return Handler


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(LFS_ENDINGS) else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
