"""The local teacher: llama.cpp or a command, which serves on loopback while the job runs."""

import contextlib
import importlib.util
import json
import logging
import os
import re
import secrets
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lamini.errors import LaminiError, StopRequested
from lamini.files import resolve_path
from lamini.settings.teacher import LocalServer

logger = logging.getLogger("lamini")

_STOP_SECONDS = 5.0
_STOP_COMMAND_SECONDS = 25.0
"""A command may have many processes, which `serve` ends one after another."""
_LOG_LINES_SHOWN = 5
_NOT_SENT = {"model_path", "revision", "parameters", "start_timeout"}


class ServerProcess:
    """One server. Start and stop it from the same thread: the server ends when that thread ends.

    Args:
        settings: the model file, slots, context length and threads.
        name: the model's name in answers.
        log_file: the server's output is appended here.

    Raises:
        LaminiError: the model file or the server's package is missing.
    """

    def __init__(self, settings: LocalServer, name: str, log_file: Path) -> None:
        self.settings, self.name, self.log_file = settings, name, log_file
        self.model = check_local(settings)
        self.secret = secrets.token_urlsafe(24)
        self.address = ""
        self._process: subprocess.Popen | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """Make a `start` that runs in another thread raise `StopRequested`."""
        self._cancelled = True

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            LaminiError: the server ended, or was not ready after `start_timeout`; names its log.
            StopRequested: `cancel` was called.
        """
        began = time.monotonic()
        read_end, write_end = os.pipe()
        # Idle OpenMP threads must not spin: they would block the cores of busy threads.
        environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_file, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lamini.teacher.serve"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[write_end],
                env=environment,
                start_new_session=True,  # Ctrl-C reaches only the job, which stops the server
            )
        os.close(write_end)
        try:
            self._send_settings(write_end)
            self.address = self._read_address(read_end, began + self.settings.start_timeout)
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(read_end)
        logger.info(
            "local teacher %s: %d slots at %s, ready after %.1f s; log: %s",
            Path(self.model).name,
            self.settings.slots,
            self.address,
            time.monotonic() - began,
            self.log_file,
        )

    def _send_settings(self, write_end: int) -> None:
        """Send the settings through a pipe: a command line is public, and they hold the key."""
        assert self._process is not None and self._process.stdin is not None
        settings = {
            "parent": os.getpid(),
            "address_to": write_end,
            "secret": self.secret,
            "model": str(self.model),
            "name": self.name,
            **self.settings.model_dump(exclude=_NOT_SENT),
        }
        counts = ("slots", "context_tokens", "threads", "gpus")
        settings["replaced"] = {
            "model": str(self.model),
            "name": self.name,
            "revision": self.settings.revision or "main",
            **{name: str(settings[name]) for name in counts},
        }
        with contextlib.suppress(BrokenPipeError):  # the server ended: `_read_address` raises
            self._process.stdin.write(json.dumps(settings).encode() + b"\n")
            self._process.stdin.close()

    def _read_address(self, read_end: int, deadline: float) -> str:
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([read_end], [], [], 0.2)
            if self._cancelled:
                raise StopRequested("stopped while the local teacher was starting")
            if not ready and time.monotonic() < deadline:
                continue
            if not ready:
                raise LaminiError(
                    f"the local teacher was not ready after {self.settings.start_timeout:g} s; see"
                    f" {self.log_file}, or raise teacher.server.start_timeout"
                )
            block = os.read(read_end, 4096)
            if not block:
                raise self._death()
            text += block
        return text.decode().strip()

    def ended(self) -> LaminiError | None:
        """The error if the server ended by itself, else None."""
        gone = self._process is not None and self._process.poll() is not None
        return self._death() if gone else None

    def _death(self) -> LaminiError:
        """The error of a server that ended by itself, with the last lines of its log."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        lines = self.log_file.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
        said = "\n  ".join(line.replace(self.secret, "[key]") for line in lines)
        return LaminiError(
            f"the local teacher ended with status {self._process.returncode}; see {self.log_file}:"
            f"\n  {said}"
        )

    def stop(self) -> None:
        """Stop the server and wait until its process ends."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_COMMAND_SECONDS if self.settings.command else _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def check_local(settings: LocalServer) -> Path | str:
    """Check that the weights and the server's program exist.

    Returns:
        path of the weights; for a command, which may load them from a hub, `model_path` if there is
        no such file.

    Raises:
        LaminiError: the model file, package `xllamacpp` or the command is missing.
    """
    if settings.command:
        if shutil.which(settings.command[0]) is None:
            raise LaminiError(
                f"teacher.server.command: {settings.command[0]}: no such program; install it"
                " (`make install-teacher` for vLLM), or give its path"
            )
        path = resolve_path(settings.model_path)
        if path.exists():
            return path
        pinned = r"[0-9a-f]{40}" if settings.model_path.count("/") == 1 else ".+"
        if not re.fullmatch(pinned, settings.revision or ""):
            raise LaminiError(
                f"teacher.server.model_path: {settings.model_path}: no such file or folder; for a"
                " model of the hub, set teacher.server.revision to the commit (40 hex digits), for"
                " another name that the command knows, to any label"
            )
        return settings.model_path
    model = resolve_path(settings.model_path)
    if not model.is_file():
        raise LaminiError(f"teacher.server.model_path: {model}: no such file")
    if importlib.util.find_spec("xllamacpp") is None:
        raise LaminiError("teacher.backend local: package xllamacpp is missing; run `make install`")
    return model
