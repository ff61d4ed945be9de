"""One SLURM cluster for all tests of this folder, and checkouts for its runs."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, ClusterError
from packages import install_packages
from runs import CHAIN, CHAIN_TARGETS, LEDGERS, REPLAY, Run, copy_demo

from checkouts import Checkout, check_out


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster. If it cannot start, tests fail in CI and are skipped elsewhere."""
    folder = tmp_path_factory.mktemp("slurm")
    reason = install_packages()
    made = Cluster(folder) if reason is None else None
    try:
        if made is not None:
            try:
                made.start()
            except ClusterError as error:
                reason = str(error)
        if reason is not None and os.environ.get("CI"):
            pytest.fail(f"no SLURM cluster in CI: {reason}")
        if made is None or reason is not None:
            pytest.skip(f"NO SLURM CLUSTER, so nothing here was tested: {reason}")
        print(f"SLURM {made.run('sinfo', '--version').split()[-1]}, memory by {made.containment}")
        yield made
    finally:
        if made is not None:
            made.stop()


@pytest.fixture(scope="session")
def ledgers(finished_demo: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All answers of the teacher in the finished demo, exported to one file."""
    file = tmp_path_factory.mktemp("ledgers") / LEDGERS
    finished_demo.run("python", "-m", "lamini.teacher", "export", str(file))
    return file


@pytest.fixture
def replaying(ledgers: Path, tmp_path: Path) -> Checkout:
    """A fresh checkout with only the ledgers of the finished demo."""
    fresh = check_out(tmp_path / "project")
    fresh.run("python", "-m", "lamini.teacher", "import", str(ledgers))
    return fresh


@pytest.fixture
def before_training(finished_demo: Checkout, tmp_path: Path) -> Checkout:
    """The finished demo without its checkpoints and all results downstream of them."""
    later = ("checkpoints", "answers", "evals", "tables", "figures")
    return copy_demo(finished_demo, tmp_path / "demo", *later)


@pytest.fixture(scope="session")
def chain(
    cluster: Cluster, finished_demo: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """A started run of all stages: one result of each is deleted, the ledgers are kept.

    Most of its time it waits for SLURM and for Snakemake's next look, so other tests run beside it.
    """
    demo = copy_demo(finished_demo, tmp_path_factory.mktemp("chain") / "demo")
    for name in CHAIN:
        path = demo.folder / "results" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    run = Run(demo, *CHAIN_TARGETS, overlay=REPLAY)
    yield run
    run.end()


@pytest.fixture
def quiet(chain: Run) -> None:
    """The idle cluster, for tests that disturb other jobs too."""
    chain.wait(900)
