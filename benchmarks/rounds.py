"""Shared parts of all benchmarks: alternating rounds, and the output format.

A benchmark prints a table and then one line of JSON, `{"ratios": {...}, "bars": {...}}`. A ratio is
our speed relative to a peer measured in the same run (higher is better); its bar is the minimum
that we promise. The exit code is 1 if a ratio is below its bar.
"""

import gc
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Time of one run of one side."""

    wall: float
    """Wall-clock time in seconds."""
    cpu: float
    """CPU time in seconds of all threads and finished child processes."""


def cpu_seconds() -> float:
    """CPU time of this process and its finished children, in seconds."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def alternate(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[Timing]]:
    """Run all sides in turn, `rounds` times, so that other load affects them equally.

    The order rotates each round, because the first run after a pause is often slower.
    """
    timings: dict[str, list[Timing]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            gc.collect()  # a side must not pay for the garbage of the previous one
            wall, cpu = time.perf_counter(), cpu_seconds()
            sides[name]()
            timing = Timing(time.perf_counter() - wall, cpu_seconds() - cpu)
            timings[name].append(timing)
            print(f"  round {number + 1}: {name}: {timing.wall:.2f} s", file=sys.stderr, flush=True)
    return timings


def median_wall(timings: Sequence[Timing]) -> float:
    """Median wall-clock time in seconds."""
    return statistics.median(timing.wall for timing in timings)


def ratio(peer: Sequence[Timing], ours: Sequence[Timing]) -> float:
    """Speed-up of ours over the peer: median of the ratios of the rounds."""
    return statistics.median(p.wall / o.wall for p, o in zip(peer, ours, strict=True))


def print_table(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table; floats with three significant digits."""
    texts = [[f"{c:.3g}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    for line in (heading, ["---"] * len(heading), *texts):
        print("| " + " | ".join(line) + " |")


def finish(ratios: Mapping[str, float], bars: Mapping[str, float]) -> int:
    """Print the last line; return exit code 1 if a ratio is below its bar, else 0."""
    missed = [name for name, bar in bars.items() if ratios[name] < bar]
    for name in missed:
        print(f"missed: {name} is {ratios[name]:.3g}, the bar is {bars[name]:g}")
    rounded = {name: round(value, 3) for name, value in ratios.items()}
    print(json.dumps({"ratios": rounded, "bars": dict(bars)}), flush=True)
    return int(bool(missed))
