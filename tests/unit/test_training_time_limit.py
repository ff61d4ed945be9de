"""Training time under a SLURM time limit."""

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from lamini.training.interrupts import (
    StopSignals,
    read_time_left,
    seconds_until_stop,
    stop_before_time_limit,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:58\n", 58),
        ("59:00", 3540),
        ("1:00:01", 3601),
        ("1-23:59:59", 172799),
        ("2-00:00:00", 172800),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_squeues_times_are_read(text: str, seconds: float | None) -> None:
    assert read_time_left(text) == seconds


def test_time_is_kept_for_a_step_and_a_checkpoint() -> None:
    assert seconds_until_stop(60) == 54
    assert seconds_until_stop(172800) == 172500


@pytest.mark.parametrize(("left", "stopped"), [("0:01", "SIGUSR1"), ("UNLIMITED", None)])
def test_a_run_stops_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, left: str, stopped: str | None
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\ntest $2 = --jobs=7 && echo {left}\n")
    squeue.chmod(squeue.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with StopSignals() as signals:
        assert signal.getsignal(signal.SIGUSR1) != signal.SIG_DFL
        stop_before_time_limit()
        deadline = time.monotonic() + 1.5
        while signals.received is None and time.monotonic() < deadline:
            time.sleep(0.05)
    assert signals.received == stopped
    assert os.environ["SLURM_JOB_ID"] == "7"
