"""A full disk: one message with the file, nothing half written. `/dev/full` refuses every write."""

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lamini.command import run_command
from lamini.errors import DiskFullError, disk_full
from lamini.files import atomic_writer, write_json

REMEDY = "the disk or the quota is full, and the file was not written; make room, and run the same"


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of atomic writes lead to `/dev/full`."""

    def on_full_disk(dir: Path, prefix: str) -> tuple[int, str]:
        path = dir / f"{prefix}x"
        path.symlink_to("/dev/full")
        return os.open(path, os.O_RDWR), str(path)

    monkeypatch.setattr("lamini.files.tempfile.mkstemp", on_full_disk)


@pytest.mark.usefixtures("full_disk")
def test_a_write_names_the_file_and_keeps_its_old_content(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text("old")
    with pytest.raises(DiskFullError, match=f"^{path}: {REMEDY}"):
        write_json(path, {"new": 1})
    assert [item.name for item in tmp_path.iterdir()] == ["table.json"]
    assert path.read_text() == "old"


def test_other_errors_keep_their_kind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="input/output") as caught, atomic_writer(tmp_path / "a"):
        raise OSError(errno.EIO, "input/output error")
    assert not isinstance(caught.value, DiskFullError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.bin"), "a.bin"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "a file"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "a file"),
    ],
)
def test_errors_of_libraries_are_recognized(error: Exception, place: str) -> None:
    assert str(disk_full(error)).startswith(f"{place}: {REMEDY}")


def test_a_tool_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        Path("/dev/full").write_text("x")

    assert run_command(command) == 1
    assert capsys.readouterr().err == f"error: a file: {REMEDY} command again\n"


JOB = """
import sys
from pathlib import Path
from lamini.log import start_logging
logger = start_logging(sys.argv[1], "make_table 04")
logger.info("first")
logger.info("second")
Path("/dev/full").write_text("x")
"""


def test_a_job_ends_with_one_message_also_if_its_log_cannot_be_written(tmp_path: Path) -> None:
    log = tmp_path / "make_table/04.log"
    log.parent.mkdir()
    log.symlink_to("/dev/full")
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(log)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "[make_table 04] first",
        "[make_table 04] second",
        f"[make_table 04] a file: {REMEDY} command again",
    ]


def test_a_log_that_fails_otherwise_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lamini.log import _LogFile

    handler = _LogFile(tmp_path / "a.log")
    handler.emit(logging.LogRecord("a", logging.INFO, "", 0, "%d", ("no number",), None))
    handler.close()
    assert "--- Logging error ---" in capsys.readouterr().err
