"""Fixtures of several test folders: a fresh checkout, and the finished demo, run once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkouts import Checkout, check_out

DEMO_SECONDS = 3000
"""The first test that needs the finished demo also runs it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Raise the timeout of tests that need the finished demo: the first of them runs it."""
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
def finished_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the finished demo, which runs once for all tests.

    While working on the tests, FINISHED_DEMO can name a checkout where that was done before.
    """
    if "FINISHED_DEMO" in os.environ:
        yield Checkout(Path(os.environ["FINISHED_DEMO"]))
        return
    demo = check_out(tmp_path_factory.mktemp("demo") / "project")
    done = demo.snakemake("--profile", "demo", check=False)
    assert done.returncode == 0, f"the demo failed:\n{done.stdout[-4000:]}\n{done.stderr[-12000:]}"
    yield demo
