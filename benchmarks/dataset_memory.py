"""Memory of the dataset's steps at several sizes, and what 26 million pairs would need.

`make bench-memory SIZES="0.1 0.2 0.4"`; 1 is the paper's size, 10 needs 50 GB of disk and hours.
For each step it shows the peak of own memory, then the peak with the pages of files, which the
system can drop. Below 0.1, fixed parts of memory hide what grows.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_dataset import EXAMPLES, PAIRS, SHARDS, run
from dataset_inputs import SOURCES, example_words, write_examples, write_pairs
from rounds import print_table

STEPS = (
    "merge",
    "find_contamination",
    "find_near_duplicates",
    "count_funnel",
    "measure",
    "measure_mattr_readings",
)
LARGE = 26_000_000


def main() -> int:
    """Run all steps at all sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=float, required=True, help="shares of the paper")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    options = parser.parse_args()
    peaks: dict[str, list[tuple[float, float]]] = {step: [] for step in options.steps}
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            for step, measured in _measured(Path(folder), size, options.steps):
                peaks[step].append((measured["own_megabytes"], measured["megabytes"]))
    rows = [
        [step, *map(_shown, by_size), *_slope(options.sizes, by_size)]
        for step, by_size in peaks.items()
    ]
    sizes = [f"{size:g}: own, all, MB" for size in options.sizes]
    print_table(["step", *sizes, "own bytes a pair", f"own at {LARGE:,}, GB"], rows)
    return 0


def _measured(folder: Path, size: float, steps: list[str]) -> Any:
    """Yield each step and what was measured of it; steps that a chosen one needs run, too."""
    examples = example_words(max(round(EXAMPLES * size), 100))
    write_examples(folder, examples)
    shards = max(round(SHARDS * size), len(SOURCES))
    pairs = [str(path) for path in write_pairs(folder, round(PAIRS * size), shards, examples)]
    of_funnel = STEPS[: STEPS.index("count_funnel")] if "count_funnel" in steps else ()
    needed = {"merge", *of_funnel, *steps}
    dataset = {"dataset": "d_all.parquet", "manifest": "d_all.manifest.json"}
    merging = {"pairs": pairs, "sources": list(SOURCES), "name": "d_all", "unique": False}
    for step in (step for step in STEPS if step in needed):
        measured = run(step, folder, **(merging if step == "merge" else dataset))
        if step in steps:
            yield step, measured


def _shown(peaks: tuple[float, float]) -> str:
    return ", ".join(f"{peak:,.0f}" for peak in peaks)


def _slope(sizes: list[float], peaks: list[tuple[float, float]]) -> list[str]:
    """Bytes of own memory per pair between the first and last size, and memory at `LARGE`."""
    if len(sizes) < 2:
        return ["", ""]
    pairs = PAIRS * (sizes[-1] - sizes[0])
    slope = (peaks[-1][0] - peaks[0][0]) * 2**20 / pairs
    large = peaks[-1][0] / 1024 + slope * (LARGE - PAIRS * sizes[-1]) / 2**30
    return [f"{slope:,.0f}", f"{large:.0f}"]


if __name__ == "__main__":
    sys.exit(main())
