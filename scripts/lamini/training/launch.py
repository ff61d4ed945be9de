"""Start, signal and end several training processes on this machine.

`nodes` uses `accelerate launch` for several machines. On one machine this launcher does three
things that `accelerate launch` does not: it forwards stop signals to every process, leaves time to
save a checkpoint, and returns an exit code that distinguishes a stopped run from a failed one.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time

from lamini.training.interrupts import EXIT_STOPPED, STOP_SIGNALS

logger = logging.getLogger("lamini")
_GRACE_SECONDS = 20.0


def launched_already() -> bool:
    """Whether a launcher started this process as one of several."""
    return "RANK" in os.environ


def visible_gpus() -> int:
    """Number of GPUs that this process may use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def launch(processes: int, arguments: list[str]) -> int:
    """Run `python -m lamini.training` in several processes; returns the exit code of the run.

    Args:
        processes: number of processes.
        arguments: command-line arguments of each process.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(processes),
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "lamini.training", *arguments],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            # A new session, so that Ctrl-C reaches only this process, which forwards it once.
            start_new_session=True,
        )
        for rank in range(processes)
    ]

    def pass_on(number: int, frame: object) -> None:
        for process in started:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in STOP_SIGNALS}
    try:
        return _wait(started)
    finally:
        _end(started)
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(started: list[subprocess.Popen[bytes]]) -> int:
    """Wait until every process exits with 0 or 85, or any process fails; returns the exit code."""
    while True:
        codes = [process.poll() for process in started]
        failed = [code for code in codes if code not in (None, 0, EXIT_STOPPED)]
        if failed:
            logger.error("process %d of the run failed; ending the others", codes.index(failed[0]))
            return failed[0] if failed[0] > 0 else 1
        if None not in codes:
            return EXIT_STOPPED if EXIT_STOPPED in codes else 0
        time.sleep(0.1)


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    for process in started:
        if process.poll() is None:
            process.kill()
    for process in started:
        process.wait(_GRACE_SECONDS)
