"""`make install` and `make demo` on machines without uv, without `flock` and without a home."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = ["-r .venv/requirements.txt", "--no-deps -r .venv/data-only.txt", "--no-deps --editable ."]
PIP = ".venv/bin/pip install --quiet --disable-pip-version-check "


def _make(*arguments: str, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_uv_installs_the_lock_file_and_pip_follows_where_it_fails() -> None:
    planned = _make("-n", "-B", "install", "UV=/opt/uv").splitlines()
    uv = "/opt/uv pip install --quiet --compile-bytecode --python .venv/bin/python "
    assert [line for line in planned if "pip install" in line] == [
        f"{uv}{packages} || {PIP}{packages}" for packages in LINES
    ]


def test_without_uv_pip_installs_the_same() -> None:
    planned = _make("-n", "-B", "install", "UV=").splitlines()
    assert [line.strip() for line in planned if "pip install" in line] == [
        PIP + packages for packages in LINES
    ]


@pytest.mark.parametrize(("uv_status", "installers"), [(0, ["uv"]), (1, ["uv", "pip"])])
def test_a_uv_that_fails_is_replaced_by_pip(
    tmp_path: Path, uv_status: int, installers: list[str]
) -> None:
    """Stand-ins for uv and for the Python that creates the environment."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements.lock").write_text("a==1\nb==2  # data only\n")
    (tmp_path / "pyproject.toml").touch()
    log = tmp_path / "log"
    _program(tmp_path / "uv", f'echo uv "$@" >> {log}; exit {uv_status}')
    _program(tmp_path / "pip", f'echo pip "$@" >> {log}')
    create = 'test "$2" != venv || { mkdir -p .venv/bin && cp pip .venv/bin/pip; }'
    _program(tmp_path / "python", create)
    _make("install", f"UV={tmp_path}/uv", f"PYTHON={tmp_path}/python", cwd=tmp_path)
    lines = log.read_text().splitlines()
    assert [line.split()[0] for line in lines] == installers * len(LINES)
    assert [line for line in lines if line.endswith("-r .venv/requirements.txt")]
    assert (tmp_path / ".venv/requirements.txt").read_text() == "a==1\n"
    assert (tmp_path / ".venv/installed").exists()


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def test_the_demo_needs_no_program_flock() -> None:
    assert "flock" not in _make("-n", "demo")


SHOW = "include Makefile\nshow:\n\t@echo caches in $${XDG_CACHE_HOME:-HOME}\n"


@pytest.mark.parametrize(
    ("home", "expected"), [("/nonexistent", f"{ROOT}/.cache"), (str(ROOT), "HOME")]
)
def test_without_a_home_caches_are_in_the_project(
    tmp_path: Path, home: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "show.mk").write_text(SHOW)
    assert _make("-f", str(tmp_path / "show.mk"), "show", HOME=home) == f"caches in {expected}\n"
