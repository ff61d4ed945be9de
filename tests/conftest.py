"""Fixtures of several test folders: a fresh checkout, and the finished demo, run once."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from checkouts import Checkout, check_out

DEMO_SECONDS = 3000
"""The first test that needs the finished demo also runs it."""


class OneProcessForAFile(LoadScopeScheduling):
    """The tests of a file run in one process, and so do all those with the cluster.

    The machine has one SLURM.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "slurm" if file.startswith("tests/slurm/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """With `--dist loadfile`, divide the tests as above."""
    return OneProcessForAFile(config, log) if config.option.dist == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Raise the timeout of tests that need the finished demo."""
    for item in items:
        if "finished_demo" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(DEMO_SECONDS))


@pytest.fixture
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a project's folder without results, on a machine without a key."""
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "config").symlink_to(Path(__file__).parents[1] / "config")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh checkout without results."""
    return check_out(tmp_path / "project")


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Checkout]:
    """A checkout with the finished demo, which runs once for all tests.

    Of several test processes, the first one runs it and the others copy it, as tests change it.
    While working on the tests, FINISHED_DEMO can name a checkout where that was done before.
    """
    if "FINISHED_DEMO" in os.environ:
        yield Checkout(Path(os.environ["FINISHED_DEMO"]))
        return
    own = tmp_path_factory.mktemp("demo") / "project"
    if worker_id == "master":
        yield _run_demo(own)
        return
    shared = tmp_path_factory.getbasetemp().parent / "finished-demo"
    with Path(f"{shared}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            shutil.copytree(_run_demo(own).folder, shared, symlinks=True)
    if not own.exists():
        shutil.copytree(shared, own, symlinks=True)
    yield Checkout(own)


def _run_demo(folder: Path) -> Checkout:
    demo = check_out(folder)
    done = demo.snakemake("--profile", "demo", check=False)
    (folder / "terminal.txt").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, f"the demo failed:\n{done.stdout[-4000:]}\n{done.stderr[-12000:]}"
    return demo
