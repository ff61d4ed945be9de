"""Benchmark of the teacher client against other clients, with one local server.

`make bench-teacher`; `SIZE=0.1` sends a tenth of the requests. Client and server have one core
each. A client's cost is the CPU time of a long run minus that of a short run, so that start-up does
not count. All clients run in turn within a round, and each is compared with ours in that round.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from rounds import finish, print_table
from teacher_runs import BARE, PEERS, Bench, ClientRun, find_clients, run_job

OTHERS = 5.0  # required ratio of CPU time to ours, for all peers except aiohttp alone
BARS = {
    "cpu_256_vs_aiohttp_tuned": 1 / 1.15,
    "cpu_1024_vs_aiohttp_tuned": 1 / 1.15,
    "speed_256_vs_aiohttp": 0.9,
    "speed_1024_vs_aiohttp": 0.9,
    "kept_1024": 1.0,
    "limiter_rows": 1.0,
    "limiter_rate": 0.98,
    "limiter_refused": 1.0,
    "kill_paid_again": 1.0,
    "kill_rows": 1.0,
    "resume_seconds": 1.0,
    "resume_memory": 1.0,
    "bytes_per_answer": 1.0,
    "memory": 1.0,
    "exact_vs_polars": 2.0,
    "minhash_vs_datasketch": 20.0,
    "rouge_vs_rouge_score": 1000.0,
    "deduplication_agrees": 1.0,
}
FAST, SLOW = 24_000, 3_000
"""Requests of a long run, for clients that need a fraction of a millisecond, and for the others."""
LIMIT, LIMITED = 3_000, 750
"""Requests per minute that the rate limiter allows, and number of requests sent to it."""
KILLED, IN_FLIGHT = 5_000, 100
LEDGER_ROWS, RESUME_SECONDS, RESUME_MB = 2_580_000, 10.0, 1536.0
ANSWER_BYTES, CLIENT_MB = 2048.0, 200.0
Rows = list[list[Any]]


def measure_costs(
    bench: Bench, clients: list[str], concurrency: int, size: float, rounds: int
) -> tuple[Rows, dict[str, float]]:
    """CPU and wall time per request of all clients, run in turn; ratios are medians of rounds."""
    costs: dict[str, list[float]] = {client: [] for client in clients}
    times: dict[str, list[float]] = {client: [] for client in clients}
    longest: dict[str, ClientRun] = {}
    for number in range(rounds):
        for client in clients[number % len(clients) :] + clients[: number % len(clients)]:
            more = round((FAST if client in ("ours", *BARE) else SLOW) * size)
            short = bench.run(client, count=concurrency, concurrency=concurrency)
            run = bench.run(client, count=concurrency + more, concurrency=concurrency)
            costs[client].append(1000 * (run.cpu - short.cpu) / more)
            times[client].append((run.seconds - short.seconds) / more)
            longest[client] = run
    ours = longest["ours"]
    if not ours.rows:
        raise RuntimeError("our own client failed")

    def compared(measured: dict[str, list[float]], client: str) -> float:
        pairs = zip(measured[client], measured["ours"], strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    peers = [client for client in clients if client != "ours" and longest[client].rows]
    ratios = {f"cpu_{concurrency}_vs_{client}": compared(costs, client) for client in peers}
    ratios[f"speed_{concurrency}_vs_aiohttp"] = compared(times, "aiohttp")
    ratios[f"kept_{concurrency}"] = ours.rows / ours.asked
    if concurrency == 1024:
        ratios["memory"] = CLIENT_MB / ours.megabytes
    else:
        ratios["bytes_per_answer"] = ANSWER_BYTES / ours.disk_bytes
    rows = [
        [
            f"{client}, {concurrency} in flight",
            statistics.median(costs[client]),
            ratios.get(f"cpu_{concurrency}_vs_{client}", 1.0),
            run.asked - run.rows,
            round(1 / statistics.median(times[client])),
            round(run.megabytes),
            round(run.disk_bytes),
        ]
        for client, run in longest.items()
        if run.rows
    ]
    return rows, ratios


def measure_limiter(bench: Bench, clients: list[str]) -> tuple[Rows, dict[str, float]]:
    """Behaviour of each client under a rate limit that the server enforces."""
    rows, ratios = [], {}
    for client in clients:
        bench.reset(per_minute=LIMIT)
        run = bench.run(client, count=LIMITED, concurrency=IN_FLIGHT, limited=True)
        account = bench.account()
        needed = (LIMITED - 1) * 60 / LIMIT
        rate = needed / account["seconds"] if account["seconds"] else 0.0
        rows.append([client, run.rows, account["refused"], account["seconds"], 100 * rate])
        if client == "ours":
            ratios = {
                "limiter_rows": run.rows / LIMITED,
                "limiter_rate": rate,
                "limiter_refused": 0.01 * LIMITED / max(account["refused"], 0.01 * LIMITED),
            }
    bench.reset()
    return rows, ratios


def measure_kills(bench: Bench, clients: list[str], size: float) -> tuple[Rows, dict[str, float]]:
    """Kill each client (SIGKILL) when half of the answers are paid, then run the command again."""
    rows, ratios = [], {}
    count = round(KILLED * size)
    for client in clients:
        bench.reset()
        folder = bench.folder / f"killed_{client}"
        options: dict[str, Any] = {"count": count, "concurrency": IN_FLIGHT, "folder": folder}
        killed = bench.kill_at(client, count // 2, **options)
        run = bench.run(client, keep=True, timeout=60 + 60 * size, **options)
        # A client that hangs has not sent all requests.
        again = max(bench.account()["paid"] - count, 0)
        distinct, written = bench.written(folder)
        name = f"{client} (hangs)" if run.hung else client
        rows.append(
            [name, killed["paid"], killed["at_once"], again, count - distinct, written - distinct]
        )
        if client == "ours":
            allowed = IN_FLIGHT + 0.01 * count
            ratios = {
                "kill_paid_again": allowed / max(again, allowed),
                "kill_rows": float(distinct == written == count),
            }
    return rows, ratios


def measure_resume(folder: Path, size: float) -> tuple[Rows, dict[str, float]]:
    """Resume from a ledger of the paper's size."""
    arguments = {"path": str(folder / "big/a.ledger.jsonl"), "rows": round(LEDGER_ROWS * size)}
    written = run_job("write_ledger", arguments)
    resumed = run_job("resume", arguments)
    shutil.rmtree(folder / "big")
    ratios = {
        "resume_seconds": RESUME_SECONDS * size / resumed["own_seconds"],
        "resume_memory": RESUME_MB / resumed["megabytes"],
    }
    row = [resumed["rows"], written["bytes"] / 1e9, resumed["own_seconds"], resumed["megabytes"]]
    return [row], ratios


def measure_filters(size: float, peers: Path) -> tuple[Rows, dict[str, float]]:
    """The three deduplication filters against their reference implementations."""
    exact = run_job("exact", {"rows": round(1_000_000 * size)})
    minhash = run_job("minhash", {"rows": round(500_000 * size)})
    sketch = run_job("minhash_datasketch", {"rows": round(20_000 * size)}, peers)
    rouge = run_job("rouge", {"rows": round(200_000 * size), "sample": 400})
    ratios = {
        "exact_vs_polars": exact["ours"] / exact["theirs"],
        "minhash_vs_datasketch": minhash["ours"] / sketch["theirs"],
        "rouge_vs_rouge_score": rouge["ours"] / rouge["theirs"],
        "deduplication_agrees": min(minhash["equal"], rouge["equal"]),
    }
    rows = [
        ["exact, rows/s; polars", exact["ours"], exact["theirs"], exact["megabytes"]],
        [
            "MinHash verified, rows/s; datasketch",
            minhash["ours"],
            sketch["theirs"],
            minhash["megabytes"],
        ],
        ["ROUGE-L 0.7, pairs/s; rouge_score", rouge["ours"], rouge["theirs"], rouge["megabytes"]],
    ]
    return rows, ratios


def measure(folder: Path, size: float, rounds: int, only: list[str]) -> int:
    """Run all measurements and print the tables."""
    pythons = find_clients(only)
    clients = list(pythons)
    ratios: dict[str, float] = {}
    costs: Rows = []
    with Bench(folder, pythons) as bench:
        for concurrency in (256, 1024):
            rows, new_ratios = measure_costs(bench, clients, concurrency, size, rounds)
            costs += rows
            ratios |= new_ratios
        tables = [
            (
                [
                    "client",
                    "CPU ms a request",
                    "times ours",
                    "rows lost",
                    "requests/s",
                    "MB",
                    "bytes on disk a row",
                ],
                costs,
            )
        ]
        some = [c for c in clients if c in ("ours", "openai", "curator", "data_designer")]
        rows, new_ratios = measure_limiter(bench, some)
        ratios |= new_ratios
        tables.append((["3,000 a minute", "rows of 750", "429s", "s", "% of the limit"], rows))
        rest = [c for c in clients if c not in (*BARE, "openai_aiohttp")]
        rows, new_ratios = measure_kills(bench, rest, size)
        ratios |= new_ratios
        tables.append(
            (["killed at half", "paid", "in flight", "paid again", "lost", "twice"], rows)
        )
    rows, new_ratios = measure_resume(folder, size)
    ratios |= new_ratios
    tables.append((["resume of keys", "GB", "s", "MB"], rows))
    rows, new_ratios = measure_filters(size, pythons.get("openai", PEERS))
    ratios |= new_ratios
    tables.append((["filter", "ours", "theirs", "MB"], rows))
    for heading, rows in tables:
        print_table(heading, rows)
        print()
    bare = [f"cpu_{concurrency}_vs_aiohttp" for concurrency in (256, 1024)]
    peers = [name for name in ratios if name.startswith("cpu_") and name not in (*BARS, *bare)]
    return finish(ratios, BARS | dict.fromkeys(peers, OTHERS))


def main() -> int:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", nargs="*", default=[], help="only these clients, and ours")
    options = parser.parse_args()
    os.environ["LAMINI_PLAIN_PROGRESS"] = "1"
    with tempfile.TemporaryDirectory() as temporary:
        return measure(Path(temporary), options.size, options.rounds, options.clients)


if __name__ == "__main__":
    sys.exit(main())
