"""Queries, pairs and the summary: kept rows, requests, flags and costs."""

import csv
import json
from pathlib import Path

import pytest
from writing_endpoint import WritingEndpoint

from lamini.errors import LaminiError
from lamini.files import read_jsonl, write_jsonl
from lamini.generation.pairs import generate_pairs
from lamini.generation.queries import select_queries
from lamini.generation.reports import FunnelStage, PromptFunnel, QueryFunnel
from lamini.generation.summary import summarize_generation
from lamini.generation.texts import response_flags
from lamini.settings.dataset import Deduplication
from lamini.settings.params.generation import GeneratePairs, SelectQueries
from lamini.settings.teacher import Price
from lamini.teacher.ledger import read_ledger


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")


def rows(*instructions: str, start: int = 0) -> list[dict]:
    return [
        {"id": f"id{n}", "instruction": text, "subset": "s", "request": "k"}
        for n, text in enumerate(instructions, start)
    ]


def select(
    inputs: list[Path], shards: int, deduplication: Deduplication | None = None
) -> tuple[list[list[dict]], dict]:
    outputs = [Path(f"queries/{n:04}.jsonl") for n in range(shards)]
    select_queries(
        instructions=inputs,
        queries=outputs,
        funnel=Path("queries/funnel.json"),
        settings=SelectQueries(
            source="some",
            deduplication=deduplication or Deduplication(),
            shards=shards,
            version=1,
        ),
    )
    funnel = json.loads(Path("queries/funnel.json").read_text())
    return [list(read_jsonl(path)) for path in outputs], funnel


def test_the_first_of_equal_instructions_stays_across_shards():
    write_jsonl("a.jsonl", rows("Name a tree.", "Sing!", "Name  a\nTREE."))
    write_jsonl("b.jsonl", rows("sing!", "Ｓing!", "Dance.", "Straße?", "STRASSE?", start=3))
    shards, funnel = select([Path("a.jsonl"), Path("b.jsonl")], 3)
    assert [[row["id"] for row in shard] for shard in shards] == [
        ["some/id0", "some/id1"],
        ["some/id5"],
        ["some/id6"],
    ]
    assert shards[0][0] == {
        "id": "some/id0",
        "instruction": "Name a tree.",
        "instruction_source": "some",
        "subset": "s",
    }
    assert [stage["left"] for stage in funnel["stages"]] == [8, 4]
    everything, _ = select([Path("a.jsonl"), Path("b.jsonl")], 3, Deduplication(exact=False))
    assert [len(shard) for shard in everything] == [3, 3, 2]


def test_generated_instructions_keep_their_ids():
    made = [row | {"instruction_source": "some"} for row in rows("Sing!", "Dance.")]
    write_jsonl("a.jsonl", made)
    shards, _ = select([Path("a.jsonl")], 1)
    assert [row["id"] for row in shards[0]] == ["id0", "id1"]


def test_shards_that_cannot_be_filled_are_an_error():
    write_jsonl("a.jsonl", rows("Sing!", "sing!"))
    with pytest.raises(LaminiError, match="1 unique instructions cannot fill 2 shards"):
        select([Path("a.jsonl")], 2)


ANSWERS = {
    "Name a tree.": ("Oak.", "stop"),
    "Cut.": ("It begins with", "length"),
    "Nothing.": ("", "stop"),
    "Refuse.": ("I'm sorry, but I can't assist with that.", "stop"),
    "Filtered.": ("", "content_filter"),
}


def test_truncated_and_empty_answers_of_a_finished_shard_are_mended():
    def write(body: dict) -> tuple[str, str]:
        prompt = body["messages"][-1]["content"]
        known = ANSWERS[prompt]
        return (f"All of {prompt}", "stop") if body["max_tokens"] == 18 else known

    write_jsonl("0000.jsonl", [row | {"instruction_source": "some"} for row in rows(*ANSWERS)])
    mended = {
        "system_message": "Be brief.",
        "sampling": {"max_tokens": 9},
        "more_room": {"factor": 2},
    }
    with WritingEndpoint(write=write) as endpoint:
        before = pairs(endpoint)
        after = pairs(endpoint, responses=mended)
        assert endpoint.asked == dict.fromkeys(ANSWERS, 1) | {"Cut.": 2, "Nothing.": 2}
    changed = {row["instruction"] for row, old in zip(after, before, strict=True) if row != old}
    assert changed == {"Cut.", "Nothing."}
    assert [(row["response"], row["flags"]) for row in after[1:3]] == [
        ("All of Cut.", []),
        ("All of Nothing.", []),
    ]
    ledger = {row["key"]: row["text"] for row in read_ledger(Path("pairs/0000.ledger.jsonl"))}
    assert all(ledger[row["request"]] == row["response"] for row in after)
    report = json.loads(Path("pairs/0000.report.json").read_text())
    assert (report["requests"], report["prompt_tokens"]) == (5, 70)


def pairs(endpoint: WritingEndpoint, shard: str = "0000", **changes) -> list[dict]:
    settings = {
        "source": "some",
        "model": "m",
        "responses": {"system_message": "Be brief.", "sampling": {"max_tokens": 9}},
        "seed_requests": False,
        "seed": 42,
    } | changes
    facts = generate_pairs(
        queries=Path(f"{shard}.jsonl"),
        pairs=Path(f"pairs/{shard}.jsonl"),
        report=Path(f"pairs/{shard}.report.json"),
        shard=shard,
        settings=GeneratePairs.model_validate(settings),
        teacher=endpoint.settings(),
    )
    assert facts == {"ledger": f"pairs/{shard}.ledger.jsonl"}
    return list(read_jsonl(f"pairs/{shard}.jsonl"))


def queries(path: str, *instructions: str) -> None:
    write_jsonl(path, [row | {"instruction_source": "some"} for row in rows(*instructions)])


def answering(body: dict) -> tuple[str, str]:
    return ANSWERS[body["messages"][-1]["content"]]


def test_every_query_is_answered_in_order_and_marked():
    queries("0000.jsonl", *ANSWERS)
    with WritingEndpoint(write=answering) as endpoint:
        found = pairs(endpoint)
        report = Path("pairs/0000.report.json").read_bytes()
        assert pairs(endpoint) == found
    assert len(endpoint.requests) == len(ANSWERS)
    assert Path("pairs/0000.report.json").read_bytes() == report
    assert [row["instruction"] for row in found] == list(ANSWERS)
    assert [row["response"] for row in found] == [text for text, _ in ANSWERS.values()]
    assert [row["flags"] for row in found] == [
        [],
        ["truncated"],
        ["empty"],
        ["refusal"],
        ["empty", "truncated"],
    ]
    assert found[0] | {"request": ""} == {
        "id": "id0",
        "instruction": "Name a tree.",
        "response": "Oak.",
        "instruction_source": "some",
        "finish_reason": "stop",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "model": "the-model",
        "request": "",
        "flags": [],
    }
    assert endpoint.requests[0] == {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": endpoint.requests[0]["messages"][1]["content"]},
        ],
    }


def test_answers_are_found_again_when_queries_move_to_another_shard():
    queries("0000.jsonl", "Name a tree.", "Cut.")
    queries("0001.jsonl", "Cut.", "Nothing.")
    with WritingEndpoint(write=answering) as endpoint:
        pairs(endpoint, "0000", seed_requests=True)
        pairs(endpoint, "0001", seed_requests=True)
    assert len(endpoint.requests) == 3
    assert all(0 <= body["seed"] < 2**31 for body in endpoint.requests)


def test_an_answer_is_only_text():
    text = 'One\n{"id": "x"}\n\x00\u2028Two\u0085</script>'
    queries("0000.jsonl", "Name a tree.")
    with WritingEndpoint(write=lambda body: (text, "stop")) as endpoint:
        found = pairs(endpoint)
    assert len(Path("pairs/0000.jsonl").read_text(encoding="utf-8").splitlines()) == len(found) == 1
    assert found[0]["response"].startswith('One\n{"id": "x"}\n')


def test_flags():
    assert response_flags("Sorry, I cannot.", "stop") == ["refusal"]
    assert response_flags("A tree.", "length") == ["truncated"]


def test_the_summary_adds_up_shards(tmp_path):
    asked = {
        "stage": "instructions",
        "source": "si",
        "shard": "0000",
        "wanted": 10,
        "accepted": 9,
        "requests": 3,
        "asked": 30,
        "well_formed": 12,
        "rejected": {"empty": 2, "copied": 1},
        "complete": False,
        "max_requests": 9,
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "asked_model": "m",
        "finish_reasons": {},
        "models": {},
        "examples_too_long": 0,
        "subsets_too_small": 0,
    }
    answered = {
        "stage": "pairs",
        "source": "si",
        "shard": "0000",
        "wanted": 18,
        "accepted": 17,
        "requests": 18,
        "flags": {"empty": 1},
        "prompt_tokens": 10,
        "completion_tokens": 10,
        "asked_model": "x",
        "finish_reasons": {},
        "models": {},
    }
    funnels = {
        "prompts": PromptFunnel(
            source="si",
            stages=FunnelStage.of_counts({"rows": 9, "readable": 7}),
            rejected={"x": 2},
            rejected_rows=[],
            subsets=1,
            prompts_per_subset={"": 7},
        ),
        "queries": QueryFunnel(
            source="si", stages=FunnelStage.of_counts({"rows": 18, "exact": 17}), shards=2
        ),
    }
    files = {
        "prompts": [funnels["prompts"].as_json()],
        "queries": [funnels["queries"].as_json()],
        "instructions": [asked, asked | {"rejected": {}}],
        "pairs": [answered],
    }
    places: dict[str, list[Path]] = {}
    for stage, contents in files.items():
        places[stage] = [tmp_path / f"{stage}{n}.json" for n in range(len(contents))]
        for path, content in zip(places[stage], contents, strict=True):
            path.write_text(json.dumps(content))
    prices = {"m": Price(prompt=0.5, completion=1.5)}
    summarize_generation(**places, summary=tmp_path / "generation.csv", prices=prices)
    with open(tmp_path / "generation.csv", newline="") as handle:
        table = {row["stage"]: row for row in csv.DictReader(handle)}
    assert list(table) == ["prompts", "instructions", "queries", "pairs"]
    made = table["instructions"]
    assert (made["requests"], made["accepted"], made["asked"]) == ("6", "18", "60")
    assert (made["parse_rate"], made["rejected_empty"]) == ("0.4000", "2")
    assert float(made["dollars"]) == pytest.approx(2 * (1000 * 0.5 + 500 * 1.5) / 1e6)
    assert table["pairs"]["flagged_empty"] == "1"
    assert table["pairs"]["dollars"] == ""
    assert table["queries"]["rejected_rows"] == "1"
    assert table["prompts"]["rejected_rows"] == "2"
