"""Process of the local server: `python -m lamini.teacher.serve`, see `lamini.teacher.server`.

It reads its settings from standard input and writes its address to the file descriptor in the
settings. It runs llama.cpp itself, or starts a command. It ends when its parent process ends, even
if the parent is killed, and with it all processes of the command.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from typing import TypedDict

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_HEALTH_SECONDS = 0.25
_STOP_SECONDS = 10.0
_NO_PROXY = urllib.request.ProxyHandler({})


class ServerSettings(TypedDict):
    """The settings, as `lamini.teacher.server` sends them; see `LocalServer` for the others."""

    parent: int
    """Process id of the parent."""
    address_to: int
    """File descriptor to write the address to."""
    secret: str
    """API key."""
    model: str
    """Path or name of the weights."""
    name: str
    """The model's name in answers."""
    replaced: dict[str, str]
    """Texts of the placeholders in the command's arguments."""
    command: list[str]
    environment: dict[str, str]
    key_variable: str
    health_path: str
    slots: int
    context_tokens: int
    threads: int


def main() -> None:
    """Serve until SIGTERM, or until the parent process ends."""
    settings: ServerSettings = json.loads(sys.stdin.readline())
    if settings["command"]:
        sys.exit(_run_command(settings))
    _end_with_parent(settings["parent"], signal.SIGKILL)
    _serve_llama(settings)


def _serve_llama(settings: ServerSettings) -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings["model"]
    parameters.model_alias = {settings["name"]}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [settings["secret"]]
    parameters.n_parallel = settings["slots"]
    parameters.n_ctx = settings["slots"] * settings["context_tokens"]
    parameters.cpuparams.n_threads = settings["threads"]
    parameters.cpuparams_batch.n_threads = settings["threads"]
    parameters.ui = False
    parameters.offline = True
    parameters.cache_ram_mib = 0  # the default caches up to 8 GB of prompts; the job reserves 2 GB
    server = xllamacpp.Server(parameters)
    with os.fdopen(settings["address_to"], "w") as pipe:
        pipe.write(server.listening_address + "\n")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Event().wait()


def _run_command(settings: ServerSettings) -> int:
    """Run a command until SIGTERM or until it ends; returns its exit code."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    known = settings["replaced"] | {"port": port}
    command = [_replaced(argument, known) for argument in settings["command"]]
    environment = settings["environment"] | {settings["key_variable"]: settings["secret"]}

    def stop(number: int, frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    _end_with_parent(settings["parent"], signal.SIGTERM)
    _adopt_orphans()
    process = subprocess.Popen(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        preexec_fn=_end_with_me,  # noqa: PLW1509 - this process has a single thread
    )
    try:
        address = f"http://127.0.0.1:{port}"
        while process.poll() is None and not _healthy(address + settings["health_path"]):
            time.sleep(_HEALTH_SECONDS)
        if process.poll() is None:
            with os.fdopen(settings["address_to"], "w") as pipe:
                pipe.write(address + "\n")
        return process.wait()
    finally:
        _end_children()


def _replaced(argument: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        argument = argument.replace("{" + name + "}", value)
    return argument


def _healthy(url: str) -> bool:
    try:
        with urllib.request.build_opener(_NO_PROXY).open(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _end_children() -> None:
    """End all processes of the command: SIGTERM first, SIGKILL for those that stay."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.terminate()
    _, alive = psutil.wait_procs(children, timeout=_STOP_SECONDS)
    for child in alive:
        with contextlib.suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(alive, timeout=_STOP_SECONDS)


def _end_with_me() -> None:
    """Let the kernel kill the command if this process is killed; called in the new process."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _adopt_orphans() -> None:
    """Become the parent of the command's processes whose own parent ends, to end them too."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _end_with_parent(parent: int, number: signal.Signals) -> None:
    """Let the kernel send a signal to this process when the parent's thread ends in any way."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # the parent ended before prctl
        os._exit(1)


if __name__ == "__main__":
    main()
