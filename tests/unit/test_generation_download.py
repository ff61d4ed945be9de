"""A download is complete and verified, or leaves no file; a broken one is resumed."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lamini.errors import LaminiError
from lamini.generation.download import download_file
from lamini.settings.params.generation import DownloadFile

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


@contextlib.contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Address of a server on loopback that answers with a handler."""
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with _served(Handler) as address:
        yield address


def test_a_file_arrives(site):
    digest = hashlib.sha256(CONTENT).hexdigest()
    download_file(file=FILE, settings=DownloadFile(url=f"{site}/file", sha256=digest))
    assert FILE.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "sha256", "message"),
    [
        ("missing", None, "404"),
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


class Web(BaseHTTPRequestHandler):
    """A server that can break off, ignore `Range`, refuse it, and change its file."""

    content = CONTENT
    tag: str | None = '"one"'
    ranges = True
    breaks: list[int]
    """Bytes after which each of the next replies ends."""
    asked: list[tuple[str | None, str | None]]
    """`Range` and `If-Range` of each request."""

    def do_GET(self) -> None:
        wanted, only = self.headers.get("Range"), self.headers.get("If-Range")
        self.asked.append((wanted, only))
        start = 0
        if wanted and self.ranges and only in (None, self.tag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(self.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            last, size = len(self.content) - 1, len(self.content)
            self.send_header("Content-Range", f"bytes {start}-{last}/{size}")
        else:
            self.send_response(200)
        if self.tag:
            self.send_header("ETag", self.tag)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        end = start + self.breaks.pop(0) if self.breaks else None
        self.wfile.write(self.content[start:end])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def web(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Web, "breaks", [], raising=False)
    monkeypatch.setattr(Web, "asked", [], raising=False)
    with _served(Web) as address:
        yield f"{address}/file"


def _download(url: str, content: bytes | None = CONTENT) -> None:
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    download_file(file=FILE, settings=DownloadFile(url=url, sha256=digest))


def _break_off(url: str, content: bytes | None = CONTENT) -> None:
    """A download that ends with 1,000 bytes, as the second reply brings none."""
    Web.breaks += [1000, 0]
    with pytest.raises(LaminiError, match=r"got 1,000 of 2,304,000 bytes.*1,000 bytes are kept"):
        _download(url, content)
    assert not FILE.exists()
    Web.asked.clear()


def _is_whole(content: bytes = CONTENT) -> bool:
    return FILE.read_bytes() == content and [*FILE.parent.iterdir()] == [FILE]


def test_a_transfer_that_breaks_twice_is_resumed(web):
    Web.breaks += [1000, 5000]
    _download(web)
    assert _is_whole()
    assert Web.asked == [(None, None), ("bytes=1000-", '"one"'), ("bytes=6000-", '"one"')]


def test_a_later_job_requests_the_rest_alone(web):
    _break_off(web)
    _download(web)
    assert _is_whole()
    assert Web.asked == [("bytes=1000-", '"one"')]


def test_a_server_that_ignores_ranges_sends_the_whole_file(web, monkeypatch):
    monkeypatch.setattr(Web, "ranges", False)
    Web.breaks += [1000]
    _download(web)
    assert _is_whole()


def test_a_server_that_ignores_ranges_and_breaks_off_again_ends_the_job(web, monkeypatch):
    monkeypatch.setattr(Web, "ranges", False)
    Web.breaks += [1000, 1000]
    with pytest.raises(LaminiError, match="got 1,000 of"):
        _download(web)
    assert len(Web.asked) == 2


@pytest.mark.parametrize("checked", [True, False])
def test_a_changed_file_is_downloaded_from_its_start(web, monkeypatch, checked):
    _break_off(web, CONTENT if checked else None)
    monkeypatch.setattr(Web, "content", CONTENT[::-1])
    monkeypatch.setattr(Web, "tag", '"two"')
    _download(web, CONTENT[::-1] if checked else None)
    assert _is_whole(CONTENT[::-1])
    assert Web.asked == [("bytes=1000-", '"one"')]


def test_without_a_version_another_size_shows_a_changed_file(web, monkeypatch):
    monkeypatch.setattr(Web, "tag", None)
    _break_off(web)
    longer = CONTENT[::-1] + b"more"
    monkeypatch.setattr(Web, "content", longer)
    _download(web, longer)
    assert _is_whole(longer)
    assert Web.asked == [("bytes=1000-", None), (None, None)]


def test_without_a_version_the_digest_shows_a_changed_file(web, monkeypatch):
    monkeypatch.setattr(Web, "tag", None)
    _break_off(web)
    monkeypatch.setattr(Web, "content", CONTENT[::-1])
    _download(web, CONTENT[::-1])
    assert _is_whole(CONTENT[::-1])
    assert Web.asked == [("bytes=1000-", None), (None, None)]


def test_without_version_and_digest_nothing_is_resumed(web, monkeypatch):
    monkeypatch.setattr(Web, "tag", None)
    Web.breaks += [1000]
    _download(web, None)
    assert _is_whole()
    assert Web.asked == [(None, None), (None, None)]


def test_a_range_that_cannot_be_satisfied(web, monkeypatch):
    _break_off(web)
    (FILE.parent / ".file.part").write_bytes(CONTENT)
    _download(web)
    assert _is_whole(), "all bytes were there, but the file was not renamed"
    assert Web.asked == [(f"bytes={len(CONTENT)}-", '"one"')]
    FILE.unlink()
    _break_off(web)
    shorter = CONTENT[:500]
    monkeypatch.setattr(Web, "content", shorter)
    _download(web, shorter)
    assert _is_whole(shorter)
    assert Web.asked == [("bytes=1000-", '"one"'), (None, None)]


def test_a_damaged_part_is_downloaded_again(web):
    _break_off(web)
    (FILE.parent / ".file.part").write_bytes(b"x" * 1000)
    _download(web)
    assert _is_whole()
    assert Web.asked == [("bytes=1000-", '"one"'), (None, None)]
