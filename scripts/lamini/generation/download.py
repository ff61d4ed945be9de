"""Download of the public files under `downloads`, checked by size and SHA-256."""

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
    """Download one file to `file`; its SHA-256 is logged, and checked if one is configured.

    Raises:
        LaminiError: the server does not answer, sends fewer bytes than it announced, or the SHA-256
            is wrong. No file is written then.
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
                    f" correct `downloads.{Path(file).name}` if the new file is the right one"
                )
    except (urllib.error.URLError, IncompleteRead, TimeoutError, ConnectionError) as error:
        raise LaminiError(
            f"{settings.url}: cannot be downloaded ({error}); without network access,"
            f" copy the file to {file} by hand"
        ) from error
    logging.getLogger("lamini").info("%s: SHA-256 %s", file, digest.hexdigest())
