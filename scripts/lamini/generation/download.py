"""Download of the public files under `downloads`, resumed after a break, checked by SHA-256.

The bytes received so far are in a hidden file beside the download, with its address, size and
version (RFC 9110: `ETag`, else `Last-Modified`). After a break, in this job or in a later one, only
the rest is requested (`Range`), of this version alone (`If-Range`). A server that has another
version, or does not send parts, sends the whole file, and the download starts again.
"""

import contextlib
import logging
import os
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TypedDict

from lamini.errors import LaminiError, disk_full
from lamini.files import read_json, sha256_file, sync_folder, write_json
from lamini.log import Progress
from lamini.settings.params.generation import DownloadFile

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60.0
_PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE = 206, 416
logger = logging.getLogger("lamini")


def download_file(*, file: str | Path, settings: DownloadFile) -> None:
    """Download one file to `file`; its SHA-256 is logged, and checked if one is configured.

    A broken transfer is resumed as long as each attempt brings more of the file.

    Raises:
        LaminiError: the server does not answer, an attempt brings no more of the file, or the
            SHA-256 is wrong. What was received is kept for the next job, unless it is wrong.
        DiskFullError: names the file.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = _PartialFile(file, settings)
    try:
        resumed = part.fetch_all()
        digest = sha256_file(part.path)
        if settings.sha256 and digest != settings.sha256 and resumed:
            logger.warning("%s: the resumed file is wrong; it is downloaded again", settings.url)
            part.forget()
            part.fetch_all()
            digest = sha256_file(part.path)
    except OSError as error:
        if full := disk_full(error, file):
            raise full from error
        raise
    if settings.sha256 and digest != settings.sha256:
        part.forget()
        raise LaminiError(
            f"{settings.url}: SHA-256 is {digest}, not {settings.sha256};"
            f" correct `downloads.{file.name}` if the new file is the right one"
        )
    os.replace(part.path, file)
    sync_folder(file.parent)
    part.forget()
    logger.info("%s: SHA-256 %s", file, digest)


class _Version(TypedDict):
    """The file that a part belongs to."""

    url: str
    version: str | None
    """`ETag` or `Last-Modified`; null: the server names none that is fit for a comparison."""
    size: int | None
    """Bytes of the whole file; null: the server does not say."""


class _Broken(Exception):
    """The transfer ended early."""


class _PartialFile:
    """The received part of a file.

    Args:
        file: path of the whole file.
        settings: its address and SHA-256.
    """

    def __init__(self, file: Path, settings: DownloadFile) -> None:
        self._file, self._settings = file, settings
        self.path = file.with_name(f".{file.name}.part")
        self._version_file = file.with_name(f".{file.name}.part.json")

    @property
    def size(self) -> int:
        """Number of received bytes."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def forget(self) -> None:
        """Delete the part."""
        self.path.unlink(missing_ok=True)
        self._version_file.unlink(missing_ok=True)

    def fetch_all(self) -> bool:
        """Fetch the rest of the file; returns whether the file was put together from parts."""
        most = 0
        while True:
            try:
                return self._fetch(self._known())
            except (_Broken, HTTPException, TimeoutError, ConnectionError) as error:
                if self.size <= most:
                    raise self._failed(error) from error
                most = self.size
                logger.warning("%s: %s; the rest is requested", self._settings.url, error)
            except urllib.error.URLError as error:
                raise self._failed(error) from error

    def _failed(self, error: Exception) -> LaminiError:
        kept = f"; {self.size:,} bytes are kept, try again" if self.size else ""
        return LaminiError(
            f"{self._settings.url}: cannot be downloaded ({error}){kept}; without network access,"
            f" copy the file to {self._file} by hand"
        )

    def _known(self) -> _Version | None:
        """The file that the part belongs to; None if it cannot be resumed, and is deleted."""
        known: _Version | None = None
        with contextlib.suppress(LaminiError):  # no such file, or an incomplete one
            known = read_json(self._version_file)
        # Without a version, only the SHA-256 tells whether both parts belong together.
        safe = known and (known["version"] or self._settings.sha256)
        if known and safe and known["url"] == self._settings.url and self.size:
            return known
        self.forget()
        return None

    def _fetch(self, known: _Version | None) -> bool:
        """Request the file, or its rest; returns whether the server sent the rest."""
        request = urllib.request.Request(self._settings.url)
        start = self.size
        if known:
            request.add_header("Range", f"bytes={start}-")
            if known["version"]:
                request.add_header("If-Range", known["version"])
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
                rest = known is not None and response.status == _PARTIAL_CONTENT
                if rest and known and not self._continues(response, known, start):
                    self.forget()
                    return self._fetch(None)
                self._receive(response, start if rest else 0)
                return rest
        except urllib.error.HTTPError as error:
            if known is None or error.code != _RANGE_NOT_SATISFIABLE:
                raise
            if known["size"] == start and error.headers.get("Content-Range") == f"bytes */{start}":
                return True  # the part is the whole file
        self.forget()
        return self._fetch(None)

    def _continues(self, response: HTTPResponse, known: _Version, start: int) -> bool:
        """Whether a reply has the bytes after the part, of a file of the same size and version."""
        span, _, size = response.headers.get("Content-Range", "").partition("/")
        same_size = known["size"] is None or size in ("*", str(known["size"]))
        version = _version(response)
        same_version = version is None or version == known["version"]
        return span.startswith(f"bytes {start}-") and same_size and same_version

    def _receive(self, response: HTTPResponse, start: int) -> None:
        length = response.headers.get("Content-Length")
        size = None if length is None else start + int(length)
        if not start:
            self.path.unlink(missing_ok=True)
            version = _Version(url=self._settings.url, version=_version(response), size=size)
            write_json(self._version_file, version)
        with (
            open(self.path, "ab") as handle,
            Progress(max(1, (size or 0) >> 20), "MiB") as progress,
        ):
            while chunk := response.read(_CHUNK_BYTES):
                handle.write(chunk)
                progress.advance((handle.tell() >> 20) - progress.done)
            handle.flush()
            os.fsync(handle.fileno())
        if size is not None and self.size != size:
            raise _Broken(f"got {self.size:,} of {size:,} bytes")


def _version(response: HTTPResponse) -> str | None:
    """Version of a file for `If-Range`; a weak ETag is not fit for it."""
    tag: str = response.headers.get("ETag", "W/")
    version: str | None = response.headers.get("Last-Modified") if tag.startswith("W/") else tag
    return version
