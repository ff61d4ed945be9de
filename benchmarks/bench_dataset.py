"""Benchmark of merging and analysing a dataset of the paper's size, against other libraries.

`make bench-dataset`; `SIZE=0.1` uses a tenth of the data. Ours runs at full size. A peer that would
take an hour runs on a part, and ours runs on the same part for the ratio. Each measurement is a
separate process, with its own peak memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from dataset_inputs import SOURCES, example_words, write_dump, write_examples, write_pairs
from rounds import finish, print_table

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-bench/bin/python"
PAIRS, SHARDS, CATEGORIES, EXAMPLES = 2_580_000, 200, 2_200_000, 40_000
PEER_SHARDS = 20
PEER_TEXTS = 20_000
# A ratio is the peer's time divided by ours, or a limit (seconds, megabytes) divided by our value.
BARS = {
    "topics_seconds": 1.0,
    "topics_memory": 1.0,
    "merge_seconds": 1.0,
    "merge_memory": 1.0,
    "merge_memory_by_shards": 1.0,
    "mattr_speed": 1.0,
    "mattr_agreement": 1.0,
    "tokens_vs_library": 1 / 1.2,
    "contamination_seconds": 1.0,
    "contamination_memory": 1.0,
    "near_duplicates_seconds": 1.0,
    "near_duplicates_memory": 1.0,
}
LIMITS = {
    "topics": (60, 500),
    "merge": (90, 3 * 1024),
    "contamination": (600, 8 * 1024),
    "near_duplicates": (1200, 12 * 1024),
}
"""Seconds and megabytes, at full size."""
MATTR_SPEED = 5e6
"""Words per second, from the Parquet file to the table."""
GROWTH = 1.15
"""Allowed factor of memory for four times as many shards."""


def run(job: str, folder: Path, python: str | Path = sys.executable, **arguments: Any) -> Any:
    """Run one measurement of `dataset_jobs.py` in a new process and return its numbers."""
    environment = os.environ | {"LAMINI_PLAIN_PROGRESS": "1", "TOKENIZERS_PARALLELISM": "true"}
    command = [str(python), str(Path(__file__).with_name("dataset_jobs.py")), job]
    done = subprocess.run(
        [*command, json.dumps(arguments)],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    measured = json.loads(done.stdout.splitlines()[-1])
    print(f"  {job}: {measured}", file=sys.stderr, flush=True)
    return measured


def main() -> int:
    """Run all measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--folder", type=Path, help="folder that keeps the inputs between runs")
    options = parser.parse_args()
    if not PEERS.exists():
        print("the peers are missing: run `make bench-dataset`", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        return measure(folder.resolve(), options.size)


def measure(folder: Path, size: float) -> int:
    """Write the inputs, run the measurements, print the table."""
    shards = max(round(SHARDS * size), 2 * PEER_SHARDS)
    examples = example_words(max(round(EXAMPLES * size), 100))
    write_examples(folder, examples)
    write_dump(folder / "category.sql.gz", round(CATEGORIES * size))
    pairs = [str(p) for p in write_pairs(folder, round(PAIRS * size), shards, examples)]
    ratios: dict[str, float] = {}
    rows = [
        *_topics(folder, size, ratios),
        *_merge(folder, size, pairs, ratios),
        *_lexical(folder, ratios),
        *_overlaps(folder, size, ratios),
    ]
    print_table(["work", "ours", "peer, or limit", "times", "peak, MB"], rows)
    return finish(ratios, BARS)


def _limits(name: str, measured: Any, size: float, ratios: dict[str, float]) -> list[Any]:
    seconds, megabytes = LIMITS[name]
    ratios[f"{name}_seconds"] = seconds * size / measured["seconds"]
    ratios[f"{name}_memory"] = megabytes / measured["megabytes"]
    allowed = f"{seconds * size:.0f} s, {megabytes} MB"
    times = ratios[f"{name}_seconds"]
    return [f"{measured['seconds']:.1f} s", allowed, times, measured["megabytes"]]


def _topics(folder: Path, size: float, ratios: dict[str, float]) -> list[list[Any]]:
    rounds = [
        (
            run("select_topics", folder, dump="category.sql.gz"),
            run("select_topics_mwsql", folder, PEERS, dump="category.sql.gz"),
        )
        for _ in range(3)
    ]
    rounds.sort(key=lambda sides: sides[1]["own_seconds"] / sides[0]["own_seconds"])
    ours, peer = rounds[1]
    assert ours["rows"] == peer["rows"]
    ratios["topics_vs_mwsql"] = peer["own_seconds"] / ours["own_seconds"]
    return [
        [f"topics of {ours['rows']:,} categories", *_limits("topics", ours, size, ratios)],
        [
            "the same after imports, and with mwsql",
            f"{ours['own_seconds']:.2f} s",
            f"{peer['own_seconds']:.1f} s",
            ratios["topics_vs_mwsql"],
            peer["megabytes"],
        ],
    ]


def _merge(
    folder: Path, size: float, pairs: list[str], ratios: dict[str, float]
) -> list[list[Any]]:
    parts = []
    for times in (1, 2, 4):
        part = pairs[:: len(pairs) // (times * len(pairs) // 4)]
        name = f"part{times}"
        measured = run("merge", folder, pairs=part, sources=list(SOURCES), name=name, unique=False)
        parts.append(measured)
    whole = run("merge", folder, pairs=pairs, sources=list(SOURCES), name="d_all")
    few = pairs[:: len(pairs) // PEER_SHARDS][:PEER_SHARDS]
    sources = [s for s in SOURCES if any(Path(path).parent.name == s for path in few)]
    ours = run("merge", folder, pairs=few, sources=sources, name="few")
    peer = run("merge_datasets", folder, pairs=few, sources=sources, name="few")
    assert ours["rows"] == peer["rows"]
    ratios["merge_vs_datasets"] = peer["own_seconds"] / ours["own_seconds"]
    ratios["merge_memory_by_shards"] = GROWTH * parts[0]["megabytes"] / parts[-1]["megabytes"]
    growth = ", ".join(f"{part['megabytes']:.0f}" for part in parts)
    return [
        [f"merge {whole['rows']:,} pairs", *_limits("merge", whole, size, ratios)],
        [
            f"merge {ours['rows']:,} pairs after imports, and with datasets",
            f"{ours['own_seconds']:.1f} s",
            f"{peer['own_seconds']:.1f} s",
            ratios["merge_vs_datasets"],
            f"{ours['megabytes']:.0f}, {peer['megabytes']:.0f}",
        ],
        [
            "merge a quarter, half, all of the shards",
            "",
            "",
            ratios["merge_memory_by_shards"],
            growth,
        ],
    ]


def _lexical(folder: Path, ratios: dict[str, float]) -> list[list[Any]]:
    whole = run("mattr", folder, dataset="d_all.parquet")
    sample = run("mattr_sample", folder, dataset="d_all.parquet", rows=PEER_TEXTS)
    tokens = run("count_tokens", folder, dataset="d_all.parquet", rows=PEER_TEXTS)
    speed = whole["words"] / whole["own_seconds"]
    ratios["mattr_speed"] = speed / MATTR_SPEED
    ratios["mattr_agreement"] = 1.0 if sample["difference"] < 1e-9 else 0.0
    ratios["mattr_vs_lexicalrichness"] = sample["ratio"]
    ratios["tokens_vs_library"] = tokens["ratio"]
    return [
        [
            f"MATTR of {whole['words']:,} words",
            f"{speed / 1e6:.1f} M/s",
            f"{MATTR_SPEED / 1e6:.0f} M/s",
            ratios["mattr_speed"],
            whole["megabytes"],
        ],
        [
            "MATTR of one text, and with lexicalrichness",
            "",
            f"{sample['peer_words_per_second'] / 1e6:.2f} M/s",
            sample["ratio"],
            sample["megabytes"],
        ],
        [
            "token counts, and with tokenizers alone",
            f"{tokens['tokens_per_second'] / 1e6:.1f} M/s",
            "",
            tokens["ratio"],
            tokens["megabytes"],
        ],
    ]


def _overlaps(folder: Path, size: float, ratios: dict[str, float]) -> list[list[Any]]:
    dataset = {"dataset": "d_all.parquet", "manifest": "d_all.manifest.json"}
    contamination = run("find_contamination", folder, **dataset)
    near = run("find_near_duplicates", folder, **dataset)
    first = next(pq.ParquetFile(folder / "few.parquet").iter_batches(PEER_TEXTS))
    (folder / "texts.txt").write_text("\n".join(first["instruction"].to_pylist()) + "\n")
    ours = run("near_duplicates_sample", folder, texts="texts.txt")
    peer = run("near_duplicates_datasketch", folder, PEERS, texts="texts.txt")
    ratios["near_duplicates_vs_datasketch"] = peer["own_seconds"] / ours["own_seconds"]
    return [
        [
            f"contamination, {contamination['hits']:,} hits",
            *_limits("contamination", contamination, size, ratios),
        ],
        [
            f"near-duplicates, {near['near_duplicates']:,} found",
            *_limits("near_duplicates", near, size, ratios),
        ],
        [
            f"near-duplicates of {PEER_TEXTS:,}, and with datasketch",
            f"{ours['own_seconds']:.2f} s, {ours['near_duplicates']} found",
            f"{peer['own_seconds']:.1f} s, {peer['near_duplicates']} found",
            ratios["near_duplicates_vs_datasketch"],
            "",
        ],
    ]


if __name__ == "__main__":
    sys.exit(main())
