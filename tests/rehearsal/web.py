"""A web server on loopback with the files that the configuration downloads.

Like the real servers it announces the size, sends parts of a file on request (`Range`), and has a
SHA-256 of each file, here in the overlay that names the addresses.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hub_data import ROOT, read_rows
from hub_files import part_of

DEMO = ROOT / "config/demo"
APPS = 63
INSTRUCTIONS = 252
"""Of self-instruct's user-oriented instructions, whose ids the exclusions name."""


def user_oriented() -> bytes:
    """Instructions with the ids of self-instruct's and four for each of 63 apps."""
    texts = read_rows(DEMO / "user_oriented_instructions.jsonl")
    rows = []
    for number in range(INSTRUCTIONS):
        row = texts[number % len(texts)]
        app = f"App {number * APPS // INSTRUCTIONS}"
        rows.append({**row, "id": f"user_oriented_task_{number}", "motivation_app": app})
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()


def files() -> dict[str, bytes]:
    """Contents by name in `downloads`."""
    return {
        "enwiki-category.sql.gz": (DEMO / "category.sql.gz").read_bytes(),
        "seed_tasks.jsonl": (DEMO / "seed_tasks.jsonl").read_bytes(),
        "user_oriented_instructions.jsonl": user_oriented(),
    }


class Web:
    """The server, running in a thread between `with` and its end.

    Args:
        contents: files by name.
        port: 0: any. Another address is another setting, so a continued run needs the same.
    """

    def __init__(self, contents: Mapping[str, bytes], port: int = 0) -> None:
        self.contents = contents
        self.refused: list[str] = []
        self._port = port

    def __enter__(self) -> "Web":
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def overlay(self) -> dict[str, Any]:
        """Addresses and checksums of the files, as settings."""
        return {
            "downloads": {
                name: {
                    "url": f"{self.address}/{name}",
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
                for name, content in self.contents.items()
            }
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = served.contents.get(self.path.removeprefix("/"))
                if content is None:
                    served.refused.append(self.path)
                    self.send_error(404)
                    return
                reply = part_of(content, self.headers.get("Range", ""))
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.content)))
                self.end_headers()
                self.wfile.write(reply.content)

            def log_message(self, *_: object) -> None:
                """Say nothing on standard error."""

        return Handler
