"""Ten times the paper (150 students, 2,000 shards) is planned within limits of time and memory."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkouts import ENVIRONMENT, ROOT, Checkout, read_job_table

FACTOR = 10
SHARDS = 2000
SECONDS, MEBIBYTES = 60, 1024
# Started by a small process: the peak memory of a program begins with that of its parent.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"used {used.ru_utime + used.ru_stime} s, {used.ru_maxrss / 1024} MiB")
sys.exit(code)
"""


def _ten_times(config: Path) -> dict[str, Any]:
    """An overlay with ten copies of each student and 2,000 shards in total."""
    models = yaml.safe_load((config / "models.yaml").read_text())["models"]
    sources = yaml.safe_load((config / "sources.yaml").read_text())["sources"]
    students = {name: model for name, model in models.items() if model["role"] == "student"}
    copies = {f"{n}-{i}": m for n, m in students.items() for i in range(1, FACTOR)}
    paper = sum(source["shards"] for source in sources.values())
    more = {n: {"shards": math.ceil(s["shards"] * SHARDS / paper)} for n, s in sources.items()}
    return {"models": copies, "students": [*students, *copies], "sources": more}


@pytest.mark.slow
def test_ten_times_the_paper_is_planned_in_a_minute(checkout: Checkout) -> None:
    overlay = checkout.folder / "ten_times.yaml"
    overlay.write_text(yaml.safe_dump(_ten_times(ROOT / "config")))
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(checkout.folder / "scripts")}
    planning = ("snakemake", "-n", "--quiet", "rules", "--configfile", overlay.name)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *planning],
        cwd=checkout.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    counts = read_job_table(text)
    assert counts["train_model"] == FACTOR * 15 and counts["generate_pairs"] >= SHARDS
    used = re.search(r"^used ([\d.]+) s, ([\d.]+) MiB$", text, re.MULTILINE)
    assert used is not None, text
    seconds, mebibytes = map(float, used.groups())
    print(f"{seconds:.0f} s of the processor, {mebibytes:.0f} MiB")
    assert seconds < SECONDS
    assert mebibytes < MEBIBYTES
