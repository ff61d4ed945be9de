"""Partitions of a SLURM site, and their comparison with `partitions.yaml`.

The executor's own functions read both: `partitions.yaml`, and SLURM's partitions as it would write
them into such a file. `sinfo` adds the memory of the largest node and the state.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, isinf
from pathlib import Path
from typing import Any

import yaml
from snakemake_executor_plugin_slurm.partitions import (
    Partition,
    generate_partitions_from_slurm_query,
    parse_time_to_minutes,
    read_partition_file,
)

from lamini.slurm import ask


@dataclass(frozen=True)
class SitePartition:
    """Limits of one partition, as SLURM has them."""

    minutes: float
    """Time limit of a job; infinite without one."""
    mem_mb: int
    """Memory of the largest node, in MiB."""
    threads: int
    """Cores of the largest node."""
    gpus: int
    """GPUs of the node with the most."""
    is_up: bool

    def as_block(self) -> dict[str, int]:
        """The partition's entry in `partitions.yaml`."""
        block = {} if isinf(self.minutes) else {"max_runtime": int(self.minutes)}
        block |= {"max_mem_mb": self.mem_mb, "max_threads": self.threads}
        return block | ({"max_gpu": self.gpus} if self.gpus else {})


def site_partitions() -> dict[str, SitePartition]:
    """The partitions of this site, by name.

    Raises:
        LaminiError: SLURM does not answer.
    """
    nodes: dict[str, list[tuple[int, int, int, bool]]] = {}
    shown = ask("sinfo", "--noheader", "--format=%R|%m|%c|%G|%a")
    for line in shown.splitlines():
        name, memory, cores, gres, state = line.split("|")
        mem_mb, threads = int(memory.rstrip("+")), int(cores.rstrip("+"))
        nodes.setdefault(name, []).append((mem_mb, threads, _gpus(gres), state.startswith("up")))
    limits: Mapping[str, dict[str, Any]] = generate_partitions_from_slurm_query(None)["partitions"]
    return {
        name: SitePartition(
            minutes=_minutes(limits.get(name, {}).get("max_runtime")),
            mem_mb=max(memory for memory, *_ in members),
            threads=max(cores for _, cores, *_ in members),
            gpus=max(gpus for *_, gpus, _ in members),
            is_up=any(is_up for *_, is_up in members),
        )
        for name, members in nodes.items()
    }


def configured_partitions(path: Path) -> list[Partition]:
    """The partitions of `partitions.yaml`.

    Raises:
        WorkflowError: the file is missing or malformed.
    """
    partitions: list[Partition] = read_partition_file(path)
    return partitions


def differences(configured: list[Partition], site: Mapping[str, SitePartition]) -> Iterator[str]:
    """Entries of `partitions.yaml` that the site does not have, one sentence each."""
    for partition in configured:
        name, limits = partition.name, partition.limits
        here = site.get(name)
        if here is None:
            yield f"{name}: no such partition; this site has {', '.join(sorted(site))}"
            continue
        if not here.is_up:
            yield f"{name}: the partition is down; leave it out, or ask the site"
        for key, value, most in (
            ("max_runtime", limits.max_runtime, here.minutes),
            ("max_mem_mb", limits.max_mem_mb, here.mem_mb),
            ("max_threads", limits.max_threads, here.threads),
            ("max_gpu", limits.max_gpu, here.gpus),
        ):
            if not isinf(value) and value > most:
                yield f"{name}: {key} is {value:g}, the site's limit is {most:g}"


def suggestion(site: Mapping[str, SitePartition]) -> str:
    """`partitions.yaml` for this site."""
    blocks = {name: partition.as_block() for name, partition in site.items() if partition.is_up}
    return yaml.safe_dump({"partitions": blocks}, sort_keys=False)


def _gpus(gres: str) -> int:
    """GPUs in a node's generic resources, such as `gpu:a100:4(S:0-1),shard:8`."""
    parts = (part.partition("(")[0].split(":") for part in gres.split(","))
    return sum(int(part[-1]) if part[-1].isdigit() else 1 for part in parts if part[0] == "gpu")


def _minutes(limit: str | None) -> float:
    return inf if limit is None else float(parse_time_to_minutes(limit))
