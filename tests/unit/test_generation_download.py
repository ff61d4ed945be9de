"""A download is complete and verified, or leaves no file."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lamini.errors import LaminiError
from lamini.generation.download import download_file
from lamini.settings.params import DownloadFile

CONTENT = bytes(range(256)) * 9000
FILE = Path("downloads/file")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path == "/cut" else CONTENT)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_arrives(site):
    digest = hashlib.sha256(CONTENT).hexdigest()
    download_file(file=FILE, settings=DownloadFile(url=f"{site}/file", sha256=digest))
    assert FILE.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "sha256", "message"),
    [
        ("missing", None, "404"),
        ("cut", None, "try again|cannot be downloaded"),
        ("file", "0" * 64, "SHA-256 is"),
    ],
)
def test_nothing_is_left_of_a_bad_download(site, path, sha256, message):
    with pytest.raises(LaminiError, match=message):
        download_file(file=FILE, settings=DownloadFile(url=f"{site}/{path}", sha256=sha256))
    assert not list(Path().glob("downloads/*"))


def test_a_server_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaminiError, match="copy the file to downloads/file by hand"):
        download_file(file=FILE, settings=DownloadFile(url="http://127.0.0.1:9/file"))
