"""Several processes on this machine, started, warned and ended as one.

`nodes` does it on several machines by `accelerate launch`, which works on one, too. This keeps what
that loses: stop signals reach every process, there is time to save, and the exit code says whether
the run was stopped or failed.
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
    """Whether this process is one of several that someone else started."""
    return "RANK" in os.environ


def visible_gpus() -> int:
    """How many GPUs this process may use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def launch(processes: int, arguments: list[str]) -> int:
    """Run `python -m lamini.training` in several processes; returns the exit code of the whole.

    Args:
        processes: how many.
        arguments: the command line that each gets.
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
            # A terminal's Ctrl-C comes to this process alone, which passes it on once.
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
    """Until all have ended well, or one has failed and the others are no use."""
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
