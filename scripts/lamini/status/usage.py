"""Resources used by jobs: wall time, cores, GPUs and memory, from Snakemake's benchmark files.

A file has the values of a job's last successful run. Failed attempts and earlier runs are not
counted. If the last run reused a result, the values are those of the run that computed it. Cores
and GPUs are the reserved ones, because clusters charge for these.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import orjson

from lamini.errors import LaminiError
from lamini.files import read_jsonl
from lamini.jobs.previous import MEASURED
from lamini.paths import BENCHMARKS, within


class _Resources(TypedDict, total=False):
    """Reserved resources, of those that `_usage` reads."""

    nodes: object
    node_gpus: object
    gpu: object


class _Benchmark(TypedDict):
    """A row of a benchmark file; text in place of a number that was not measured."""

    s: float | str
    """Wall time, in seconds."""
    threads: NotRequired[object]
    cpu_time: NotRequired[object]
    """Seconds."""
    max_rss: NotRequired[object]
    """MiB."""
    resources: NotRequired[_Resources | None]


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources used by one job."""

    rule: str
    key: str
    seconds: float
    """Wall time."""
    cpu_hours: float
    """Reserved cores times wall time."""
    busy_cpu_hours: float
    """CPU time used."""
    gpu_hours: float
    """Reserved GPUs times wall time."""
    memory_mib: float
    """Peak resident set size."""


@dataclass
class Total:
    """Sums over jobs."""

    jobs: int = 0
    seconds: float = 0.0
    cpu_hours: float = 0.0
    busy_cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    memory_mib: float = 0.0
    """Maximum, not sum."""
    rules: dict[str, "Total"] = field(default_factory=dict)

    def add(self, usage: Usage) -> None:
        """Add the resources of one job."""
        self.jobs += 1
        self.seconds += usage.seconds
        self.cpu_hours += usage.cpu_hours
        self.busy_cpu_hours += usage.busy_cpu_hours
        self.gpu_hours += usage.gpu_hours
        self.memory_mib = max(self.memory_mib, usage.memory_mib)


def read_usage(results: Path) -> tuple[list[Usage], list[Path]]:
    """Usage of every job with a benchmark file, and the unreadable files.

    Args:
        results: the results folder.
    """
    folder = within(results, BENCHMARKS)
    usages, unreadable = [], []
    for path in sorted(folder.rglob("*.jsonl")):
        try:
            measured = path.with_suffix(MEASURED)
            *_, row = read_jsonl(measured if measured.is_file() else path)
            usages.append(_usage(path.relative_to(folder), cast("_Benchmark", row)))
        except (LaminiError, ValueError, orjson.JSONDecodeError):
            unreadable.append(path)  # still being written, or truncated by a power cut
    return usages, unreadable


def sum_usage(usages: Iterable[Usage]) -> Total:
    """Totals over all jobs and by rule."""
    total = Total()
    for usage in usages:
        total.add(usage)
        total.rules.setdefault(usage.rule, Total()).add(usage)
    return total


def _usage(path: Path, row: _Benchmark) -> Usage:
    rule, *rest = path.with_suffix("").parts
    seconds = float(row["s"])
    hours = seconds / 3600
    resources = row.get("resources") or {}
    spread = _number(resources.get("nodes"), 0) * _number(resources.get("node_gpus"), 0)
    return Usage(
        rule=rule,
        key="/".join(rest),
        seconds=seconds,
        cpu_hours=hours * _number(row.get("threads"), 1),
        busy_cpu_hours=_number(row.get("cpu_time"), 0) / 3600,
        gpu_hours=hours * _number(resources.get("gpu"), spread),
        memory_mib=_number(row.get("max_rss"), 0),
    )


def _number(value: object, otherwise: float) -> float:
    """Number, or `otherwise`: Snakemake writes `NA` or `-` for values that it did not measure."""
    return float(value) if isinstance(value, int | float) else otherwise
