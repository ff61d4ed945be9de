"""Process of the local server: `python -m lamini.teacher.serve`, see `lamini.teacher.server`.

It reads its settings from standard input and writes its address to the file descriptor in the
settings. It ends when its parent process ends, even if the parent is killed.
"""

import ctypes
import json
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until SIGTERM, or until the parent process ends."""
    settings = json.loads(sys.stdin.readline())
    _end_with_parent(settings["parent"])
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


def _end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when the parent's thread ends, even by SIGKILL."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent ended before prctl
        os._exit(1)


if __name__ == "__main__":
    main()
