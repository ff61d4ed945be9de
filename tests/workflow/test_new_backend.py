"""A backend of one new file makes a shard in a real run."""

import json
import shutil
from pathlib import Path

import echo_backend
import pytest

from checkouts import Checkout

PAIRS = "results/pairs/alpaca/0000.jsonl"
ECHO = ("--config", "teacher={backend: echo}")


@pytest.mark.slow
def test_one_more_file_is_a_backend_of_the_pipeline(checkout: Checkout) -> None:
    refused = checkout.snakemake("--profile", "demo", PAIRS, *ECHO, check=False)
    assert refused.returncode
    assert (
        "no such backend; backends/ has batch, external, local" in refused.stdout + refused.stderr
    )

    folder = checkout.folder / "scripts/lamini/teacher/backends"
    shutil.copy(Path(echo_backend.__file__), folder / "echo.py")
    done = checkout.snakemake("--profile", "demo", PAIRS, *ECHO)
    assert "Teacher: " in done.stderr and ", echo: ready" in done.stderr
    pairs = (checkout.folder / PAIRS).read_text().splitlines()
    rows = [json.loads(line) for line in pairs]
    assert rows and all(row["response"] in row["instruction"] for row in rows)
