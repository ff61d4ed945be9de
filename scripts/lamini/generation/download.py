"""Fetching the public files named under `downloads`, whole and checked, or not at all."""

import hashlib
import logging
import urllib.error
import urllib.request
from http.client import IncompleteRead
from pathlib import Path

from lamini.errors import LaminiError
from lamini.files import atomic_writer
from lamini.log import Progress
from lamini.settings.params import DownloadFile

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60.0


def download_file(*, file: str | Path, settings: DownloadFile) -> None:
    """Download one file to `file`; the SHA-256 is checked, or recorded where none is set.

    Raises:
        LaminiError: when the server does not answer, sends less than it announced, or the file
            is not the expected one. Nothing is left behind then.
    """
    digest = hashlib.sha256()
    try:
        with (
            urllib.request.urlopen(settings.url, timeout=_TIMEOUT_SECONDS) as response,
            atomic_writer(file, "wb") as handle,
        ):
            size = int(response.headers.get("Content-Length") or 0)
            with Progress(max(1, size >> 20), "MiB") as progress:
                received = 0
                while chunk := response.read(_CHUNK_BYTES):
                    handle.write(chunk)
                    digest.update(chunk)
                    received += len(chunk)
                    progress.advance((received >> 20) - progress.done)
            if size and received != size:
                raise LaminiError(f"{settings.url}: got {received:,} of {size:,} bytes; try again")
            if settings.sha256 and digest.hexdigest() != settings.sha256:
                raise LaminiError(
                    f"{settings.url}: SHA-256 is {digest.hexdigest()}, not {settings.sha256};"
                    f" correct `downloads.{Path(file).name}` if the file has rightly changed"
                )
    except (urllib.error.URLError, IncompleteRead, TimeoutError, ConnectionError) as error:
        raise LaminiError(
            f"{settings.url}: cannot be downloaded ({error}); where there is no network,"
            f" put the file at {file} by hand"
        ) from error
    logging.getLogger("lamini").info("%s: SHA-256 %s", file, digest.hexdigest())
