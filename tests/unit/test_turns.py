"""Conversations of several turns: seeds, the teacher's turns, the dataset, the training pairs."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from test_dataset_merge import merge, pair, params, write_shards
from test_students_chat import (
    CONFIG,
    CONVERSATIONS,
    FAMILIES,
    FIXED,
    NEED_SYSTEM,
    SYSTEM,
    _texts,
    _tokenizer,
)
from training_cases import recipe
from writing_endpoint import WritingEndpoint

from lamini.analysis.columns import read_batches
from lamini.conversations import conversation_of, is_conversation, problem_of
from lamini.dataset.card import COLUMNS
from lamini.dataset.croissant import croissant
from lamini.dataset.manifest import DatasetManifest
from lamini.dataset.published import import_published
from lamini.errors import LaminiError
from lamini.files import read_jsonl, write_jsonl
from lamini.generation.pairs import generate_pairs
from lamini.generation.prompts import prepare_prompts
from lamini.generation.queries import select_queries
from lamini.generation.seeds import BadRow, later_turns_of, prompt_of
from lamini.generation.turns import NextTurnTemplate
from lamini.human_evaluation.selection import shown_response
from lamini.plan.requests import planned_requests
from lamini.settings.params.common import Location
from lamini.settings.params.dataset import MergePairs
from lamini.settings.params.generation import GeneratePairs, PreparePrompts, SelectQueries
from lamini.settings.params.students import ChatTemplate, TokenizePairs
from lamini.settings.root import Config
from lamini.students.chat import CONTROL_TOKEN, INEXACT, chat_format, check_conversations
from lamini.students.token_cache import UNUSABLE, TokenCache
from lamini.students.tokenization import tokenize_pairs
from lamini.training.pairs import select_pairs
from lamini.workflow import Workflow

USER, ASSISTANT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([USER, ASSISTANT], None),
        ([USER, ASSISTANT, USER], None),
        ([], "is no list of messages"),
        ("user: a", "is no list of messages"),
        (["a"], "message 1 is no object"),
        ([ASSISTANT], "message 1 has the role 'assistant'; user and assistant must alternate"),
        ([USER, USER], "message 2 has the role 'user'; user and assistant must alternate"),
        ([USER, {"role": "tool", "content": "x"}], "message 2 has the role 'tool'"),
        ([{"role": "system", "content": "x"}, USER], "has a system turn"),
        ([USER, {"role": "assistant", "content": " \n"}], "message 2 has no text"),
        ([USER, {"role": "assistant", "content": None}], "message 2 has no text"),
        ([USER, ASSISTANT | {"tool_calls": [{}]}], "message 2 calls a tool"),
    ],
)
def test_what_is_a_conversation(messages: Any, problem: str | None) -> None:
    found = problem_of(messages)
    assert found is None if problem is None else (found or "").startswith(problem)
    assert is_conversation(messages) == (problem is None and len(messages) % 2 == 0)


def test_user_turns_of_seeds_go_to_the_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    talks = [conversation_of([" one ", "x", "two", "y", "three"]), conversation_of(["four", "z"])]
    wrong = [[ASSISTANT], [USER, USER]]
    write_jsonl("seeds.jsonl", [{"messages": talk} for talk in [*talks, *wrong]])
    seeds = {"format": "messages", "local": {"path": "seeds.jsonl"}}
    prepare_prompts(
        prompts="prompts.jsonl",
        funnel="funnel.json",
        settings=PreparePrompts.model_validate(
            {"source": "s", "seeds": seeds, "files": None, "samples": 9, "seed": 1, "version": 1}
        ),
    )
    assert json.loads(Path("funnel.json").read_text())["rejected"] == {"not_a_conversation": 2}
    select_queries(
        instructions=[Path("prompts.jsonl")],
        queries=[Path("queries.jsonl")],
        funnel=Path("f.json"),
        settings=SelectQueries(source="s", deduplication={}, shards=1, version=1),  # type: ignore[arg-type]
    )
    found = [(row["instruction"], row.get("later_turns")) for row in read_jsonl("queries.jsonl")]
    assert found == [("one", ["two", "three"]), ("four", None)]
    pl.DataFrame({"messages": talks}).write_parquet("seeds.parquet")
    rows = pl.read_parquet("seeds.parquet").to_dicts()
    assert [later_turns_of(row, "messages") for row in rows] == [["two", "three"], []]
    with pytest.raises(BadRow, match="no_messages"):
        prompt_of({"instruction": "x"}, "messages")


SAID = {
    "Name a tree.": "Oak.",
    "And a bird?": "Crow.",
    "Stop.": "Stopped.",
    "Refuse next.": "Yes.",
    "Help me to harm.": "I'm sorry, but I can't assist with that.",
    "Cut next.": "Fine.",
    "Seeded.": "First.",
    "Seeded too.": "Second.",
    "Repeat.": "Again.",
    "I cannot.": "I'm sorry, but I can't assist with that.",
}
NEXT = {
    "Name a tree.": "[user]\nAnd a bird?",
    "And a bird?": "User: And a fish?",
    "Stop.": "",
    "Refuse next.": "Help me to harm.",
    "Seeded too.": "Enough.",
    "Repeat.": "repeat. ",
}


def _teach(body: dict[str, Any]) -> tuple[str, str]:
    """Answers, and user turns after the last user turn that a prompt shows."""
    text = body["messages"][-1]["content"]
    if text.startswith("Below is a conversation"):
        shown = [line for line in text.split("\n") if line in SAID]
        asked = [line for line in shown if line in SAID and f"[user]\n{line}" in text][-1]
        return ("It goes on", "length") if asked == "Cut next." else (NEXT[asked], "stop")
    return SAID.get(text, "Hm."), "stop"


def _generate(endpoint: WritingEndpoint, count: int, **changes: Any) -> list[dict[str, Any]]:
    template = Path(CONFIG.parent / "scripts/lamini/generation/next_turn_prompt.jinja").read_text()
    turns = {"count": count, "template": template, "sampling": {"max_tokens": 7}}
    fields: dict[str, Any] = {
        "source": "s",
        "model": "m",
        "responses": {"system_message": "Be brief.", "sampling": {"max_tokens": 9}},
        "seed_requests": False,
        "seed": 42,
        "turns": turns if count > 1 else None,
    }
    generate_pairs(
        queries=Path("0000.jsonl"),
        pairs=Path("pairs/0000.jsonl"),
        report=Path("pairs/0000.report.json"),
        shard="0000",
        settings=GeneratePairs.model_validate(fields | changes),
        teacher=endpoint.settings(),
    )
    return list(read_jsonl("pairs/0000.jsonl"))


def test_the_teacher_writes_user_turns_and_answers_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    first = ["Name a tree.", "Stop.", "Refuse next.", "Cut next.", "Seeded.", "Repeat."]
    first.append("I cannot.")
    later = {"Seeded.": {"later_turns": ["Seeded too."]}}
    write_jsonl(
        "0000.jsonl",
        [
            {"id": f"s/{n}", "instruction": text, "instruction_source": "s", "subset": "x"}
            | later.get(text, {})
            for n, text in enumerate(first)
        ],
    )
    with WritingEndpoint(write=_teach) as endpoint:
        one = _generate(endpoint, 1)
        assert len(endpoint.requests) == 7
        assert all("messages" not in row for row in one)
        assert "turns" not in json.loads(Path("pairs/0000.report.json").read_text())
        two = _generate(endpoint, 2)
        asked = len(endpoint.requests)
        # user turns of 5 conversations, and answers to 3; the first answers are in the ledger
        assert asked == 7 + 5 + 3
        three = _generate(endpoint, 3)
        assert len(endpoint.requests) == asked + 2 + 2
        report = json.loads(Path("pairs/0000.report.json").read_text())
        assert _generate(endpoint, 3) == three
        assert len(endpoint.requests) == asked + 4
        again = json.loads(Path("pairs/0000.report.json").read_text())
    assert report == again
    assert (report["requests"], report["choice"]) == (19, "3 turns")
    assert report["prompt_tokens"] == 190
    assert report["turns"] == {"3": 2, "1": 5}
    assert report["ended"] == {
        "first_answer": 1,
        "user_turn_empty": 1,
        "user_turn_truncated": 1,
        "user_turn_repeated": 1,
        "answer_refusal": 1,
    }
    texts = [[message["content"] for message in row["messages"]] for row in three]
    assert texts == [
        ["Name a tree.", "Oak.", "And a bird?", "Crow.", "And a fish?", "Hm."],
        ["Stop.", "Stopped."],
        ["Refuse next.", "Yes."],
        ["Cut next.", "Fine."],
        ["Seeded.", "First.", "Seeded too.", "Second.", "Enough.", "Hm."],
        ["Repeat.", "Again."],
        ["I cannot.", SAID["I cannot."]],
    ]
    assert all(is_conversation(row["messages"]) for row in three)
    assert [row["messages"] for row in two] == [row["messages"][:4] for row in three]
    assert [{k: v for k, v in row.items() if k != "messages"} for row in three] == one
    sent = [body["messages"] for body in endpoint.requests]
    whole = ["Name a tree.", "Oak.", "And a bird?", "Crow.", "And a fish?"]
    assert [{"role": "system", "content": "Be brief."}, *conversation_of(whole)] in sent
    limits = {len(body["messages"]) == 1: body["max_tokens"] for body in endpoint.requests}
    assert limits == {True: 7, False: 9}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% if %}", "the prompt for the next user turn"),
        ("{{ message }}", "'message' is undefined"),
        ("Go on.", "does not show all of `messages`"),
    ],
)
def test_a_wrong_template_is_named(template: str, message: str) -> None:
    with pytest.raises(LaminiError, match=message):
        NextTurnTemplate(template, "my.jinja")


TALK = [
    {"role": "user", "content": "Mail a@b.org"},
    {"role": "assistant", "content": "Done.", "thoughts": "To a@b.org"},
    {"role": "user", "content": "<think>mine</think>?"},
    {"role": "assistant", "content": "Yes."},
]


def test_a_dataset_with_conversations_has_one_more_column(tmp_path: Path) -> None:
    rows = [
        pair(
            "s",
            0,
            instruction="Mail a@b.org",
            response="Done.",
            messages=TALK,
            thoughts="To a@b.org",
        ),
        pair("s", 1, messages=TALK[:3]),
        pair("s", 2),
        pair("s", 3, messages=[USER, ASSISTANT | {"content": ""}]),
    ]
    shards = write_shards(tmp_path, "s", rows, 1)
    plain = merge(tmp_path, shards, params("s"))
    assert "messages" not in plain["schema"]
    settings = params("s", turns={"s": 2}, thinking="keep", mask_personal_data=["email"])
    manifest = merge(tmp_path, shards, settings)
    assert manifest["schema"].keys() == {*plain["schema"], "messages"}
    source = manifest["sources"]["s"]
    assert {name: n for name, n in source["dropped"].items() if n} == {"no_conversation": 2}
    assert source["masked"] == {"instruction": 1, "response": 1, "messages": 2}
    found = pl.read_parquet(tmp_path / "mix.parquet")
    assert found.columns[:3] == ["instruction", "response", "instruction_source"]
    assert found.columns[-1] == "messages"
    answer = "<think>\nTo [EMAIL]\n</think>\n\nDone."
    assert found["messages"].to_list() == [
        conversation_of(["Mail [EMAIL]", answer, "<think>mine</think>?", "Yes."]),
        None,
    ]
    assert found["response"].to_list() == [answer, "Done 2."]
    card = (tmp_path / "mix.card.md").read_text()
    assert "| `messages` | list<" in card
    assert (
        "Conversations of several user turns, which seeds or the teacher wrote: s (up to 2)."
        in card
    )
    described = croissant(DatasetManifest.read(tmp_path / "mix.manifest.json"), COLUMNS, 0)
    fields = {each["name"]: each for each in described["recordSet"][0]["field"]}
    field = fields["messages"]
    assert [part["source"]["transform"] for part in field["subField"]] == [
        {"jsonPath": "role"},
        {"jsonPath": "content"},
    ]
    for whole, expected in (
        (False, ["Mail [EMAIL]", "Do thing 2."]),
        (True, ["Mail [EMAIL]\n\n<think>mine</think>?", "Do thing 2."]),
    ):
        columns = ["instruction", "response"]
        ((_, batch),) = read_batches(tmp_path / "mix.parquet", columns, whole=whole)
        assert batch["instruction"].to_pylist() == expected
        assert batch.schema.names == [*columns, "instruction_source"]
    assert batch["response"].to_pylist() == [f"{answer}\n\nYes.", "Done 2."]
    shown = [shown_response(row["response"], row["messages"]) for row in found.to_dicts()]
    assert shown == [f"{answer}\n\nUser: <think>mine</think>?\n\nAssistant: Yes.", "Done 2."]


def test_conversations_are_imported_from_files(tmp_path: Path) -> None:
    talks = [conversation_of(["a", "b", "c", "d"]), None, [USER]]
    rows = {"instruction": ["a"] * 3, "response": ["b"] * 3, "instruction_source": ["s"] * 3}
    pl.DataFrame({**rows, "messages": talks}).write_parquet(tmp_path / "data.parquet")
    every = [
        dict(zip([*rows, "messages"], row, strict=True))
        for row in zip(*rows.values(), talks, strict=True)
    ]
    write_jsonl(tmp_path / "data.jsonl", every)
    for name in ("data.parquet", "data.jsonl"):
        for read in (False, True):
            published = {"local": {"path": str(tmp_path / name)}, "messages": read}
            settings = MergePairs.model_validate(
                {"mixture": "mix", "sources": ["s"], "published": published, "files": None}
            )
            import_published(
                hits=[],
                dataset=tmp_path / "mix.parquet",
                manifest=tmp_path / "manifest.json",
                card=tmp_path / "card.md",
                settings=settings,
            )
            found = pl.read_parquet(tmp_path / "mix.parquet")
            assert ("messages" in found.columns) == read
            assert len(found) == (2 if read else 3)
            if read:
                assert found["messages"].to_list() == talks[:2]


def _talks(family: str) -> list[list[dict[str, str]]]:
    """Random conversations of one to three turns; many of them hostile."""
    draw, texts = random.Random(family), list(_texts(family))
    return [
        conversation_of([text for _ in range(draw.randint(1, 3)) for text in draw.choice(texts)])
        for _ in range(CONVERSATIONS)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_answer_is_trained_after_the_prompt_of_inference(family: str) -> None:
    tokenizer, options = _tokenizer(family), FIXED.get(family, {})
    system = SYSTEM if family in NEED_SYSTEM else None
    first = [] if system is None else [{"role": "system", "content": system}]
    form = chat_format(tokenizer, ChatTemplate(system=system, options=options))
    check_conversations(form, turns=True, thoughts=False)
    end, talks, trained = FAMILIES[family][1], _talks(family), 0
    for talk, answers in zip(talks, form.tokenize_turns(talks), strict=True):
        assert len(answers) == len(talk) // 2
        for number, one in enumerate(answers):
            before = [dict(each) for each in talk[: 2 * number + 1]]
            for each in before[1::2]:
                each["content"] = _without_thoughts(each["content"])
            before = [*first, *before]
            given = {"return_dict": False, **options}
            prompt = tokenizer.apply_chat_template(before, add_generation_prompt=True, **given)
            assert one.prompt == prompt
            if one.problem is None:
                trained += 1
                whole = tokenizer.apply_chat_template([*before, talk[2 * number + 1]], **given)
                assert whole[: len(prompt) + len(one.response)] == [*prompt, *one.response]
                supervised = tokenizer.decode(one.response)
                assert supervised.endswith(end)
                assert supervised.count(end) == 1
                said = talk[2 * number + 1]["content"].split("</think>")[-1].strip()
                assert said in supervised
            else:
                assert one.problem in (INEXACT, CONTROL_TOKEN)
            if any(earlier.problem == CONTROL_TOKEN for earlier in answers[:number]):
                assert one.problem == CONTROL_TOKEN
    assert trained > CONVERSATIONS / 3


def _without_thoughts(text: str) -> str:
    from lamini.thoughts import split_thoughts

    return split_thoughts(text)[0]


def test_a_template_that_refuses_several_turns_is_named() -> None:
    text = "{% if messages|length > 2 %}{{ raise_exception('one turn only') }}{% endif %}"
    tokenizer = _tokenizer("smollm2")
    form = chat_format(tokenizer, ChatTemplate(template=text + tokenizer.chat_template))
    check_conversations(form, turns=False, thoughts=False)
    with pytest.raises(LaminiError, match="refuses several turns: one turn only"):
        check_conversations(form, turns=True, thoughts=False)


def test_a_token_cache_has_a_pair_for_each_answer(tmp_path: Path) -> None:
    _tokenizer("qwen3").save_pretrained(tmp_path / "own")
    talks = [
        conversation_of([f"q{n}", "x<|im_end|>" if n == 3 else "b", "c", "d"]) for n in range(8)
    ]
    rows = pl.DataFrame(
        {
            "instruction": [f"q{n}" for n in range(10)],
            "response": [*(talk[1]["content"] for talk in talks), "pair", " "],
            "messages": [*talks, None, None],
        }
    )
    rows.write_parquet(tmp_path / "pairs.parquet")
    place = Location(path=str(tmp_path / "own"))
    for form in ("chat", "bare"):
        settings = TokenizePairs(
            tokenizer=place,
            prompt_format=form,
            chat=ChatTemplate() if form == "chat" else None,
            pad_token=None,
        )
        arguments: dict[str, Any] = {
            "dataset": tmp_path / "pairs.parquet",
            "manifest": tmp_path / form / "manifest.json",
            "settings": settings,
        }
        if form == "bare":
            with pytest.raises(LaminiError, match="they need prompt_format: chat"):
                tokenize_pairs(**arguments)
        else:
            tokenize_pairs(**arguments)
    cache = TokenCache(tmp_path / "chat")
    assert (len(cache), cache.dataset_rows) == (18, 10)
    assert cache.conversations.tolist() == [n for n in range(8) for _ in "ab"] + [8, 9]
    assert list(read_jsonl(tmp_path / "chat" / UNUSABLE)) == [
        {"pair": 6, "reason": CONTROL_TOKEN},
        {"pair": 7, "reason": CONTROL_TOKEN},
        {"pair": 17, "reason": "empty_response"},
    ]
    selection = select_pairs(cache, recipe(held_out_pairs=3))
    held, trained = (cache.conversations[part] for part in (selection.held_out, selection.training))
    assert len({*held.tolist()}) == 3
    assert not np.isin(held, trained).any()
    assert sorted([*held.tolist(), *trained.tolist()]) == [
        *(n for n in range(8) if n != 3 for _ in "ab"),
        8,
    ]


def _config() -> dict[str, Any]:
    paper: dict[str, Any] = {}
    for name in ("config", "sources", "models", "tasks"):
        paper |= yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    return paper


def test_students_of_conversations_need_a_chat_template() -> None:
    paper = _config()
    paper["sources"]["alpaca"]["turns"] = 2
    message = r"sources\.alpaca\.turns: lamini-gpt-124m would be trained on conversations.*gpt2 has"
    with pytest.raises(ValueError, match=message):
        Config.model_validate(paper)
    paper["students"] = ["lamini-gpt-124m"]
    paper["human_evaluation"] = {}
    paper["tokenizers"]["gpt2"] = {"folder": "own", "prompt_format": "chat"}
    assert Config.model_validate(paper).turns("d_all") == {"alpaca": 2}
    paper["dataset"] = "published"
    assert Config.model_validate(paper).turns("d_all") == {}
    paper["tokenizers"]["gpt2"]["prompt_format"] = "bare"
    Config.model_validate(paper)
    paper["published"]["messages"] = True
    with pytest.raises(ValueError, match=r"published\.messages: lamini-gpt-124m would be trained"):
        Config.model_validate(paper)


def test_the_plan_of_a_training_counts_each_answer(tmp_path: Path) -> None:
    paper = _config()
    paper["students"] = ["lamini-gpt-124m"]
    paper["human_evaluation"] = {}
    paper["tokenizers"]["gpt2"] = {"folder": "own", "prompt_format": "chat"}
    paper["mixtures"]["d_all"]["sources"] = ["alpaca"]
    paper["recipes"]["decoder_only"]["held_out_pairs"] = 0
    one = Workflow(paper).training_work("lamini-gpt-124m", tmp_path)
    paper["sources"]["alpaca"]["turns"] = 3
    three = Workflow(paper).training_work("lamini-gpt-124m", tmp_path)
    assert three.pairs == 3 * one.pairs == 3 * paper["sources"]["alpaca"]["samples"]
    # three prompts and answers, and the earlier turns once more before each later answer
    assert 3 * one.tokens < three.tokens < 6 * one.tokens


def test_the_plan_counts_all_turns(tmp_path: Path) -> None:
    paper = _config()
    before = {
        p.source: p for p in planned_requests(Workflow(paper), tmp_path) if p.stage == "pairs"
    }
    paper["sources"]["alpaca"]["turns"] = 3
    paper["students"] = []
    paper["human_evaluation"] = {}
    after = {p.source: p for p in planned_requests(Workflow(paper), tmp_path) if p.stage == "pairs"}
    samples = paper["sources"]["alpaca"]["samples"]
    assert after["alpaca"].requests == before["alpaca"].requests + 4 * samples
    assert after["alpaca"].prompt_tokens > 5 * before["alpaca"].prompt_tokens
    answered = before["alpaca"].completion_tokens / samples
    assert after["alpaca"].completion_tokens / samples > 3 * answered
    assert after["original_p3"] == before["original_p3"]
