"""What all benchmarks share: alternating rounds, and the form in which they end.

A benchmark prints a table and then one line of JSON, `{"ratios": {...}, "bars": {...}}`: how much
better we are than the peer that ran beside us (higher is better), and what we promise. It exits
with 1 when a promise is broken.
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
    """One run of one side."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of all threads and finished child processes."""


def cpu_seconds() -> float:
    """CPU time of this process and its finished children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def alternate(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[Timing]]:
    """Run all sides in turn, `rounds` times, so that a busy machine disturbs them alike.

    The order turns with each round, as what runs first after a pause is often slower.
    """
    timings: dict[str, list[Timing]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            gc.collect()  # a side does not clean up after the one before
            wall, cpu = time.perf_counter(), cpu_seconds()
            sides[name]()
            timing = Timing(time.perf_counter() - wall, cpu_seconds() - cpu)
            timings[name].append(timing)
            print(f"  round {number + 1}: {name}: {timing.wall:.2f} s", file=sys.stderr, flush=True)
    return timings


def median_wall(timings: Sequence[Timing]) -> float:
    """Median seconds."""
    return statistics.median(timing.wall for timing in timings)


def ratio(peer: Sequence[Timing], ours: Sequence[Timing]) -> float:
    """How many times faster we are: the median of the rounds' own ratios."""
    return statistics.median(p.wall / o.wall for p, o in zip(peer, ours, strict=True))


def print_table(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A Markdown table; numbers with three significant digits."""
    texts = [[f"{c:.3g}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    for line in (heading, ["---"] * len(heading), *texts):
        print("| " + " | ".join(line) + " |")


def finish(ratios: Mapping[str, float], bars: Mapping[str, float]) -> int:
    """Print the last line; the exit code is 1 if a ratio is below its bar."""
    missed = [name for name, bar in bars.items() if ratios[name] < bar]
    for name in missed:
        print(f"missed: {name} is {ratios[name]:.3g}, the bar is {bars[name]:g}")
    rounded = {name: round(value, 3) for name, value in ratios.items()}
    print(json.dumps({"ratios": rounded, "bars": dict(bars)}), flush=True)
    return int(bool(missed))
