"""The lock of `make demo`: one run at a time, and no lock outlives its run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from lamini.lock import EXIT_LOCKED


def start(lock: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lamini.lock", str(lock), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_run_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / "running"
    # As in the Makefile, a shell starts the run: the lock must not end with the shell.
    first = start(lock, "sh", "-ec", "echo started; sleep 60 & echo $!; wait")
    assert first.stdout is not None
    assert first.stdout.readline() == "started\n"
    child = int(first.stdout.readline())

    second = start(lock, "echo", "second")
    out, error = second.communicate()
    assert (second.returncode, out) == (EXIT_LOCKED, "")
    assert error == f"{lock}: another run in this folder holds this lock\n"

    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert start(lock, "true").wait() == EXIT_LOCKED, "its child still runs"
    os.kill(child, signal.SIGKILL)
    first.communicate()  # ends when the child's end of the pipe is closed
    assert start(lock, "true").wait() == 0


def test_the_exit_status_is_that_of_the_command(tmp_path: Path) -> None:
    assert start(tmp_path / "running", "sh", "-c", "exit 3").wait() == 3
    assert start(tmp_path / "running").wait() == 1
