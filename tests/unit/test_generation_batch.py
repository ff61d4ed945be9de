"""Shards from the Batch API equal live ones; no request is sent or paid twice."""

import csv
import random
from pathlib import Path

import pytest
from batch_endpoint import BatchEndpoint

from lamini.files import read_json, sha256_file, write_jsonl
from lamini.generation.instructions import generate_instructions
from lamini.generation.pairs import generate_pairs
from lamini.generation.reports import FunnelStage, QueryFunnel
from lamini.generation.summary import summarize_generation
from lamini.settings.params.generation import GenerateInstructions, GeneratePairs
from lamini.settings.sources import InstructionGeneration
from lamini.settings.teacher import InstructionRequests, Price, ResponseRequests, Teacher
from lamini.teacher.ledger import read_ledger

PRICES = {"m": Price(prompt=1000.0, completion=1000.0)}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")


def write_examples(body: dict) -> tuple[str, str]:
    """Five examples that depend only on the request; some are duplicates and are rejected."""
    draw = random.Random(body["messages"][-1]["content"])
    words = [f"Write a text on number {draw.randrange(40)}." for _ in range(5)]
    return "\n".join(f"<example>{text}</example>" for text in words), "stop"


def make_instructions(teacher: Teacher, name: str) -> dict[str, str]:
    """Generate one shard of 24 instructions; returns the digests of its files."""
    seeds = [{"id": f"s:{n}", "instruction": f"Tell {n}.", "subset": "s"} for n in range(30)]
    write_jsonl("prompts.jsonl", seeds)
    folder = Path("results/instructions") / name
    made = {
        "instructions": folder / "0000.jsonl",
        "rejects": folder / "0000.rejects.jsonl.zst",
        "report": folder / "0000.report.json",
    }
    generate_instructions(
        prompts=Path("prompts.jsonl"),
        topics=[],
        **made,
        shard="0000",
        settings=GenerateInstructions(
            source="some",
            generation=InstructionGeneration(instructions_per_request=5),
            model="m",
            requests=InstructionRequests(),
            seed_requests=False,
            count=24,
            seed=42,
            version=1,
        ),
        teacher=teacher,
    )
    return {kind: sha256_file(path) for kind, path in made.items()}


def make_pairs(teacher: Teacher, name: str) -> str:
    """Generate one shard of 30 pairs; returns its digest."""
    queries = [
        {"id": f"some/{n}", "instruction": f"Say {n}.", "instruction_source": "some"}
        for n in range(30)
    ]
    write_jsonl("queries.jsonl", queries)
    folder = Path("results/pairs") / name
    generate_pairs(
        queries=Path("queries.jsonl"),
        pairs=folder / "0000.jsonl",
        report=folder / "0000.report.json",
        shard="0000",
        settings=GeneratePairs(
            source="some",
            model="m",
            responses=ResponseRequests(system_message="Be brief."),
            seed_requests=False,
            seed=42,
        ),
        teacher=teacher,
    )
    return sha256_file(folder / "0000.jsonl")


def test_instructions_are_those_of_the_live_api_and_come_in_as_many_batches_as_rounds():
    with BatchEndpoint(write=write_examples) as endpoint:
        batch, live = endpoint.settings(), endpoint.settings(backend="external")
        made = make_instructions(batch, "batch")
        asked = endpoint.paid.total()
        assert len(endpoint.batches) > 1  # rounds: the first brings too few that are new
        expected = make_instructions(live, "live")
        assert endpoint.live == asked
        for kind in ("instructions", "rejects"):
            assert made[kind] == expected[kind]
        report = read_json("results/instructions/batch/0000.report.json")
        assert report["accepted"] == 24 and report["rejected"]["duplicate"]
        assert report["batch_prompt_tokens"] == report["prompt_tokens"] == 10 * asked
        # Another backend, over either ledger, asks nothing and changes nothing.
        assert make_instructions(live, "batch") == made
        assert make_instructions(batch, "live") == expected
        assert (endpoint.paid.total(), endpoint.live) == (asked, asked)


def test_pairs_are_those_of_the_live_api_and_half_the_price():
    def line(prompt: str, attempt: int) -> str | None:
        return "500" if prompt == "Say 7." and attempt == 1 else None

    with BatchEndpoint(line=line) as endpoint:
        batch, live = endpoint.settings(), endpoint.settings(backend="external")
        digest = make_pairs(batch, "batch")
        assert digest == make_pairs(live, "live") == make_pairs(live, "batch")
        assert endpoint.paid.total() == endpoint.live == 30
    stages = FunnelStage.of_counts({"rows": 30})
    QueryFunnel(source="some", stages=stages, shards=1).write("funnel.json")
    for name, dollars in (("batch", "0.225000"), ("live", "0.450000")):
        summarize_generation(
            prompts=[],
            queries=[Path("funnel.json")],
            instructions=[],
            pairs=[Path(f"results/pairs/{name}/0000.report.json")],
            summary=Path("summary.csv"),
            prices=PRICES,
        )
        rows = list(csv.DictReader(Path("summary.csv").read_text().splitlines()))
        assert [row["dollars"] for row in rows if row["stage"] == "pairs"] == [dollars]


def test_a_shard_begun_live_is_finished_in_a_batch():
    with BatchEndpoint() as endpoint:
        live = endpoint.settings(backend="external")
        expected = make_pairs(live, "whole")
        whole = Path("results/pairs/whole/0000.ledger.jsonl")
        begun = Path("results/pairs/begun/0000.ledger.jsonl")
        begun.parent.mkdir()
        begun.write_bytes(b"".join(whole.read_bytes().splitlines(keepends=True)[:12]))
        assert make_pairs(endpoint.settings(), "begun") == expected
        assert endpoint.paid.total() == 18 and endpoint.live == 30
    assert sum(bool(row.get("batch")) for row in read_ledger(begun)) == 18
