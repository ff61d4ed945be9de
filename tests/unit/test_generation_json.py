"""JSON answers: what is read of each kind, what is rejected and why, and a shard of them."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_generation_instructions import shard  # noqa: F401 (a fixture)
from writing_endpoint import WritingEndpoint

from lamini.errors import LaminiError
from lamini.generation.parsing.examples import Json, parse_examples
from lamini.generation.prompt_template import PromptTemplate
from lamini.settings.teacher import InstructionRequests, InstructionTemplate

TEMPLATE = "package:lamini/generation/instruction_prompt_json.jinja"
SHOWN = ['Say "hello" to her.\nBe polite.', "Name a river."]


def read(text: str, field: str | None = None) -> tuple[list[str], list[tuple[str, str]]]:
    form = InstructionTemplate(template=TEMPLATE, parser="json", field=field)
    prompt = PromptTemplate(form).render(SHOWN, ["Art"], 5)
    parsed = parse_examples(text, label=Json(field), truncated=False, shown=SHOWN, prompt=prompt)
    return parsed.instructions, [(reject.reason, reject.text) for reject in parsed.rejects]


TWO = ["Write a poem.", "Why is it dark?"]
LIST = json.dumps(TWO)


@pytest.mark.parametrize(
    "text",
    [
        LIST,
        f'{{"instructions": {LIST}}}',
        f'{{"topic": "Art", "n": 2, "about": {{"a": [1]}}, "instructions": {LIST}, "done": true}}',
        f"```json\n{LIST}\n```",
        f"```\n{LIST}```",
        f"Here are [two] of them:\n\n```json\n{LIST}\n```\nTell me if [more] are needed.",
        f'<think>Drafts: [1]\n["A draft."]</think>\n{LIST}',
        json.dumps(TWO, indent=2),
        '["Write a poem.", "Why is it dark?",]',
        '["Write a poem.", "Why is it dark?"',
        '{"instructions": ["1. Write a poem.", "2. Why is it dark?"]}',
    ],
)
def test_one_list_is_read(text):
    instructions, rejects = read(text)
    assert instructions == TWO
    assert {reason for reason, _ in rejects} <= {"thought"}


def test_a_field_of_objects_is_read():
    rows = [{"instruction": TWO[0], "input": "", "tags": ["a"]}, {"id": 2, "instruction": TWO[1]}]
    for text in (json.dumps(rows), json.dumps({"instructions": rows}, indent=1)):
        assert read(text, "instruction") == (TWO, [])


@pytest.mark.parametrize(
    ("field", "items", "wrong"),
    [
        (None, '"Write a poem.", 1, null, true, {"a": "b"}, ["x"]', 5),
        ("i", '{"i": "Write a poem."}, "Why?", {"I": "Why?"}, {"i": ["Why?"]}, {"i": null}, []', 5),
        ("i", '{"i": "Write a poem."}, {"i": "Name a.", "i": "Name b."}', 1),
        ("i", '{"x": 1, "i": "Write a poem.", "x": 2}, {"a": {"i": "Deep."}}', 1),
    ],
)
def test_items_of_another_structure_are_malformed(field, items, wrong):
    instructions, rejects = read(f"[{items}]", field)
    assert instructions == ["Write a poem."]
    assert [reason for reason, _ in rejects] == ["malformed"] * wrong


@pytest.mark.parametrize(
    ("cut", "field"),
    [
        ('["Write a poem.", "Why is', None),
        ('["Write a poem.", "Why \\', None),
        ('["Write a poem.", "Why \\u00', None),
        ('{"instructions": ["Write a poem.", "Two\nlines', None),
        ('```json\n[{"i": "Write a poem."}, {"i": "Why is', "i"),
        ('[{"i": "Write a poem."}, {"i": "Why?", "answer": "Bec', "i"),
        ('[{"i": "Write a poem."}, {"i', "i"),
        ('[{"i": "Write a poem."}, {', "i"),
    ],
)
def test_whole_items_before_a_cut_are_kept(cut, field):
    instructions, rejects = read(cut, field)
    assert instructions == ["Write a poem."]
    assert [reason for reason, _ in rejects] == ["truncated"]


def test_an_error_of_syntax_ends_the_list():
    instructions, rejects = read('["Write a poem.", "Say "hi" to Ann.", "Why?"]')
    assert instructions == ["Write a poem."]
    assert rejects == [("malformed", '"Say "hi" to Ann.", "Why?"]')]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty_answer"),
        ("[]", "empty_answer"),
        ('{"instructions": []}', "empty_answer"),
        ("{}", "empty_answer"),
        ("null", "no_list"),
        ('"Write a poem."', "no_list"),
        ('{"instructions": "Write a poem."}', "no_list"),
        ('{"1": "Write a poem.", "2": "Why?"}', "no_list"),
        (f'{{"a": {LIST}, "b": {LIST}}}', "no_list"),
        (f'{{"a": {LIST}, "a": {LIST}}}', "no_list"),
        (f'{{"data": {{"instructions": {LIST}}}}}', "no_list"),
        ("1. Write a poem.\n2. Why is it dark?", "no_list"),
        ("<example>Write a poem.</example>", "no_list"),
        ("I'm sorry, but I cannot help with that.", "refusal"),
        ("[" * 100_000 + "1", "malformed"),
    ],
)
def test_other_answers_are_rejected_with_a_reason(text, reason):
    instructions, rejects = read(text)
    assert (instructions, [each for each, _ in rejects]) == ([], [reason])


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (SHOWN[1], "copied"),
        ("name a river", "copied"),
        ("Generate 5 diverse examples that are similar to the provided examples", "copied"),
        ("<your example here>", "empty"),
        ("x" * 4001, "too_long"),
        ("Question: What is it?\nAnswer: It is a cat.", "answered"),
        ("I'm sorry, but I cannot help with that.", "refusal"),
    ],
)
def test_texts_are_checked_as_between_labels(item, reason):
    assert [each for each, _ in read(json.dumps([item]))[1]] == [reason]


def test_a_part_of_a_shown_example_is_no_sentence_of_the_prompt():
    assert read('["Say \\"hello\\" to her."]')[0] == ['Say "hello" to her.']


def test_unicode_is_kept():
    texts = [
        "Écris un poème.",
        "写一首诗。",
        "Explain 🙂.",
        "What does </think> or <|im_end|> mean?",
    ]
    for ascii_only in (True, False):
        assert read(json.dumps(texts, ensure_ascii=ascii_only)) == (texts, [])
    assert read('["A \\ud800 b\\u0000c."]')[0] == ["A ? b c."]


@given(st.lists(st.text(min_size=1)), st.integers(min_value=0))
def test_no_cut_makes_an_error_or_a_new_text(texts, at):
    whole = json.dumps({"instructions": texts})
    cut = read(whole[: at % (len(whole) + 1)])[0]
    assert cut == read(whole)[0][: len(cut)]


# --- Settings -------------------------------------------------------------------------------------

PROMPT = {"template": TEMPLATE, "parser": "json"}
SCHEMA = {"name": "instructions", "schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"response_format": {"type": "json_object"}}, "needs `prompt: {template: package:lamini"),
        ({"prompt": PROMPT}, "needs `response_format`, such as `{type: json_object}`"),
        ({"prompt": {"field": "a"}}, "`field` is for `parser: json`"),
        ({"prompt": PROMPT, "response_format": {"type": "text"}}, "json_object or json_schema"),
        (
            {"prompt": PROMPT, "response_format": {"type": "json_schema", "json_schema": {}}},
            "needs `name` and `schema`",
        ),
        (
            {"sampling": {"extra_body": {"response_format": {"type": "json_object"}}}},
            "write it as `response_format` beside `sampling`",
        ),
    ],
)
def test_format_and_parser_must_agree(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        InstructionRequests.model_validate(values)


def test_a_template_must_ask_for_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.jinja").write_text("{{ examples | join }} {{ topics | join }} {{ count }}")
    own = InstructionTemplate(template="own.jinja", parser="json")
    with pytest.raises(LaminiError, match="does not ask for JSON"):
        PromptTemplate(own).check(examples=3, topics=2)
    for field in (None, "task"):
        ready = InstructionTemplate(template=TEMPLATE, parser="json", field=field)
        PromptTemplate(ready).check(examples=3, topics=2)


# --- End to end -----------------------------------------------------------------------------------


def test_a_shard_of_json_answers(shard):  # noqa: F811
    """Each second answer is cut; formats are sent, counts are those of the label parser."""
    made, turns = iter(range(1000)), iter(range(1000))

    def write(body: dict[str, Any]) -> tuple[str, str]:
        rows = [{"task": f"Describe place number {next(made)}."} for _ in range(5)]
        text = json.dumps({"instructions": rows})
        return (text, "stop") if next(turns) % 2 else (text[: -len('lace."}]}')], "length")

    form = {"type": "json_schema", "json_schema": SCHEMA}
    requests = {"prompt": PROMPT | {"field": "task"}, "response_format": form}
    with WritingEndpoint(write=write) as endpoint:
        rows, rejects, report = shard(endpoint, requests=requests)
    assert len(rows) == 20 and report["complete"]
    assert all(row["instruction"].startswith("Describe place number ") for row in rows)
    assert all(body["response_format"] == form for body in endpoint.requests)
    assert '{"task": "' in endpoint.requests[0]["messages"][-1]["content"]
    cut = report["finish_reasons"]["length"]
    assert cut and report["rejected"]["truncated"] == cut
    assert report["well_formed"] == 5 * report["requests"] - cut
    assert {row["reason"] for row in rejects} <= {"truncated", "surplus"}
