"""Check of this machine's GPU: precision, attention kernels, training runs, speed.

`make gpu-check`, on one GPU and without access to the hub (docs/gpu.md). It prints a table and then
one line of JSON, `{"device": ..., "checks": {...}, "failed": [...]}`. The exit code is 1 when a
check failed. Without a GPU, the checks run on the CPU where possible.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import datasets
import torch
from gpu_jobs import check_memory, check_resume, check_two_ranks
from gpu_machine import REAL, Machine, Row, free, start
from gpu_numbers import check_evaluation, check_families
from gpu_speed import check_compiled, check_speed
from paper_students import CONFIGS
from rounds import print_table
from transformers.utils.logging import disable_progress_bar

CHECKS: dict[str, Callable[[Machine], Iterator[Row]]] = {
    "families": check_families,
    "evaluation": check_evaluation,
    "memory": check_memory,
    "resume": check_resume,
    "two_ranks": check_two_ranks,
    "speed": check_speed,
    "compiled": check_compiled,
}


def run(machine: Machine, names: Sequence[str]) -> list[Row]:
    """Run the named checks and return their rows; a check that raises gives a failed row."""
    rows: list[Row] = []
    for name in names:
        print(f"  {name}", file=sys.stderr, flush=True)
        try:
            rows += CHECKS[name](machine)
        except Exception as error:  # the other checks must run after any error
            traceback.print_exc()
            text = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]:.120}"
            rows.append(Row(f"{name}: breaks off", text, "ends", "FAILED"))
        free()
    return rows


def report(device: str, rows: Sequence[Row]) -> int:
    """Print the table and the line of JSON; returns the exit code, 1 when a check failed."""
    print_table(
        ["what", "measured", "limit", ""],
        [[row.what, row.measured, row.limit, row.verdict] for row in rows],
    )
    failed = [row.what for row in rows if row.verdict == "FAILED"]
    checks = {row.what: {k: v for k, v in asdict(row).items() if k != "what"} for row in rows}
    print(json.dumps({"device": device, "checks": checks, "failed": failed}, ensure_ascii=False))
    return int(bool(failed))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS))
    parser.add_argument(
        "--size",
        choices=("real", "small"),
        help="size of the models in the speed checks (default: real on a GPU)",
    )
    parser.add_argument(
        "--students",
        nargs="+",
        choices=(*REAL, *CONFIGS),
        default=list(REAL),
        help="models of the speed checks at real size",
    )
    parser.add_argument(
        "--pairs", type=int, help="pairs per step of the speed checks (default: 256, small: 16)"
    )
    options = parser.parse_args(arguments)
    os.environ.setdefault("LAMINI_PLAIN_PROGRESS", "1")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # no start message of torch's profiler
    logging.getLogger("lamini").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*deterministic")
    warnings.filterwarnings("ignore", category=FutureWarning)
    disable_progress_bar()
    datasets.disable_progress_bars()
    datasets.disable_caching()
    with tempfile.TemporaryDirectory() as folder:
        real = None if options.size is None else options.size == "real"
        machine = start(Path(folder), real, options.students, options.pairs)
        if not machine.gpu:
            print("No GPU here: nothing of this table was measured on one.\n")
        rows = run(machine, options.only)
    return report(f"{machine.name}, torch {torch.__version__}", rows)


if __name__ == "__main__":
    sys.exit(main())
