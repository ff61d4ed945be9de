"""The demo with `--sdm conda`: each job runs with the packages of its environment only."""

import os
from pathlib import Path

import pytest
from stand_in_conda import install

from checkouts import ENVIRONMENT, Checkout, check_out

SAME = (
    "results/dataset/d_all.parquet",
    "results/checkpoints/lamini-demo-t5/final/model.safetensors",
    "results/evals/lamini-demo-t5/rte.json",
    "results/tables/table_4.csv",
)


@pytest.mark.skipif(
    "LAMINI_SLOW_TESTS" not in os.environ,
    reason="the demo once more takes some ten minutes: set LAMINI_SLOW_TESTS=1",
)
def test_the_demo_is_the_same_in_conda_environments(
    finished_demo: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "conda")
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}/conda/bin:{ENVIRONMENT['PATH']}")
    demo = check_out(tmp_path / "demo")
    demo.snakemake("--profile", "demo", "--sdm", "conda")
    for path in SAME:
        assert (demo.folder / path).read_bytes() == (finished_demo.folder / path).read_bytes(), path
