"""Instruction shards: prompts, rounds, accepted instructions, and equal bytes in each run."""

import io
import itertools
import json
import logging
import re
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from writing_endpoint import WritingEndpoint

from lamini.errors import LaminiError
from lamini.files import write_jsonl
from lamini.generation.instructions import generate_instructions
from lamini.generation.prompt_template import PromptTemplate
from lamini.settings.params.generation import GenerateInstructions
from lamini.settings.teacher import InstructionTemplate

PAPER = PromptTemplate(InstructionTemplate())
FIGURE_2 = """\
<example>What are some things you can do to de-stress?</example>
<example>How can individuals and organizations reduce unconscious bias?</example>
<example>Write a program to compute the sum of integers from k to n.</example>

Generate 20 diverse examples that are similar to the provided examples.
You do not need to provide a response to the generated examples.
Each example must include an instruction.
Each generated instruction can be either an imperative sentence or a question.
Each example must start with the label "<example>" and end with the label "</example>"."""

FIGURE_7 = """\
<example>Try coming up with a creative way to stay motivated during a workout.</example>
<example>In your opinion, what are the qualities of an effective sports coach?</example>
<example>Return the SSN number for the person: "Yann LeCun"</example>

Generate 20 diverse examples that are similar to the provided examples with the topics \
"Design bureaus, Conidae, Infantry".
You do not need to provide a response to the generated examples.
Each example must include an instruction.
Each generated instruction can be either an imperative sentence or a question.
Each example must start with the label "<example>" and end with the label "</example>"."""


def test_prompts_are_the_papers():
    for figure, topics in ((FIGURE_2, []), (FIGURE_7, ["Design bureaus", "Conidae", "Infantry"])):
        examples = re.findall("^<example>(.*)</example>$", figure, re.MULTILINE)
        assert PAPER.render(examples, topics, 20) == figure


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), max_size=3))
def test_the_papers_prompt_has_the_bytes_of_before_it_was_a_template(examples, topics):
    shown = "\n".join(f"<example>{example}</example>" for example in examples)
    guide = f' with the topics "{", ".join(topics)}"' if topics else ""
    constraints = FIGURE_2.split("\n\n")[1].replace("examples.\n", f"examples{guide}.\n", 1)
    assert PAPER.render(examples, topics, 20) == f"{shown}\n\n{constraints}"


def params(**changes) -> GenerateInstructions:
    generation = {"instructions_per_request": 5} | changes.pop("generation", {})
    fields = {
        "source": "some",
        "generation": generation,
        "model": "m",
        "requests": {},
        "seed_requests": False,
        "count": 20,
        "seed": 42,
        "version": 1,
    }
    return GenerateInstructions.model_validate(fields | changes)


@pytest.fixture
def shard(tmp_path, monkeypatch):
    """Generate one shard; returns its rows, rejects and report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    seeds = [
        {"id": f"{s}:{n}", "instruction": f"Tell {n} of {s}.", "subset": s}
        for s in "abc"
        for n in range(9)
    ]
    write_jsonl("prompts.jsonl", seeds)
    write_jsonl("topics.jsonl", [{"topic": f"Topic {n}"} for n in range(50)])

    def run(endpoint: WritingEndpoint, name: str = "0000", teacher: dict | None = None, **changes):
        folder = Path("instructions")
        facts = generate_instructions(
            prompts=Path("prompts.jsonl"),
            topics=[Path("topics.jsonl")],
            instructions=folder / f"{name}.jsonl",
            rejects=folder / f"{name}.rejects.jsonl.zst",
            report=folder / f"{name}.report.json",
            shard=name,
            settings=params(**changes),
            teacher=endpoint.settings(**(teacher or {})),
        )
        assert facts == {"ledger": f"instructions/{name}.ledger.jsonl"}
        rows = list(map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines()))
        packed = (folder / f"{name}.rejects.jsonl.zst").read_bytes()
        text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read().decode()
        report = json.loads((folder / f"{name}.report.json").read_text())
        return rows, list(map(json.loads, text.splitlines())), report

    return run


def numbered():
    """A teacher that writes five new examples per request, all different."""
    numbers = itertools.count()

    def write(body: dict) -> tuple[str, str]:
        lines = [f"<example>Explain number {next(numbers)}.</example>" for _ in range(5)]
        return "\n".join(lines), "stop"

    return write


def test_a_shard_gets_its_count_with_no_request_too_many(shard):
    with WritingEndpoint(write=numbered()) as endpoint:
        rows, rejects, report = shard(endpoint, count=23)
    assert len(rows) == 23
    assert len(endpoint.requests) == 5
    assert [row["reason"] for row in rejects] == ["surplus"] * 2
    assert report["requests"] == 5
    assert report["accepted"] == 23
    assert report["complete"] is True
    assert (report["prompt_tokens"], report["completion_tokens"]) == (50, 25)
    assert [row["id"] for row in rows] == [f"some/0000/{n}" for n in range(23)]
    assert set(rows[0]) == {
        "id",
        "instruction",
        "instruction_source",
        "subset",
        "topics",
        "examples",
        "request",
    }


def test_rounds_request_the_missing_instructions(shard):
    numbers = itertools.count()

    def write(body: dict) -> tuple[str, str]:
        # Two of five are good: 20 need 10 requests, of which the first round asks 4.
        new = [f"<example>Explain number {next(numbers)}.</example>" for _ in range(2)]
        return "\n".join([*new, "<example></example>", "<example>Cut"]), "length"

    with WritingEndpoint(write=write) as endpoint:
        rows, rejects, report = shard(endpoint)
    assert len(rows) == 20
    assert len(endpoint.requests) == report["requests"] == 10
    assert report["rejected"] == {"empty": 10, "truncated": 10}
    assert report["finish_reasons"] == {"length": 10}
    assert {row["text"] for row in rejects} == {"", "Cut"}


def test_examples_come_from_one_subset_and_topics_from_the_list(shard):
    generation = {"same_subset": True, "topics_per_request": 3}
    with WritingEndpoint(write=numbered()) as endpoint:
        rows, _, _ = shard(endpoint, count=60, generation=generation)
    assert {row["subset"] for row in rows} == {"a", "b", "c"}
    for row in rows:
        assert len(set(row["examples"])) == len(set(row["topics"])) == 3
        assert {example.split(":")[0] for example in row["examples"]} == {row["subset"]}
    prompt = endpoint.requests[0]["messages"][-1]["content"]
    topics = re.search('with the topics "(.+)"', prompt)[1].split(", ")
    assert any(row["topics"] == topics for row in rows)


def test_requests_depend_only_on_the_shard_and_their_number(shard):
    def prompts_of(name: str, count: int, **changes) -> list[str]:
        with WritingEndpoint(write=numbered()) as endpoint:
            shard(endpoint, name, teacher={"max_concurrency": 1}, count=count, **changes)
        return [body["messages"][-1]["content"] for body in endpoint.requests]

    few = prompts_of("0000", 10)
    Path("instructions/0000.ledger.jsonl").unlink()
    assert prompts_of("0000", 30)[:2] == few
    assert not set(prompts_of("0001", 30)) & set(few)
    assert not set(prompts_of("0002", 10, seed=43)) & set(few)


def test_the_same_ledger_gives_the_same_bytes_without_requests(shard):
    with WritingEndpoint(write=numbered()) as endpoint:
        shard(endpoint)
        files = [f for f in Path("instructions").glob("0000.*") if "ledger" not in f.name]
        assert len(files) == 3
        before = {file: file.read_bytes() for file in files}
        for file in files:
            file.unlink()
        asked = len(endpoint.requests)
        shard(endpoint)
    assert len(endpoint.requests) == asked
    assert {file: file.read_bytes() for file in before} == before


def test_duplicates_copies_and_demonstrations_are_not_accepted(shard):
    copied = "<example>Tell 1 of a.</example>"
    demonstrated = "<example>Name a TREE.</example>"
    new = numbered()

    def write(body: dict) -> tuple[str, str]:
        shown = re.search("<example>.*</example>", body["messages"][-1]["content"])[0]
        same = "<example>Always the same.</example>"
        return "\n".join([shown, demonstrated, same, new(body)[0]]), "stop"

    turn = [
        {"role": "user", "content": copied},
        {"role": "assistant", "content": "<example>Name a tree.</example>"},
    ]
    with WritingEndpoint(write=write) as endpoint:
        rows, _, report = shard(endpoint, requests={"demonstrations": turn})
    assert [row["instruction"] for row in rows].count("Always the same.") == 1
    assert report["rejected"]["copied"] == 2 * report["requests"]
    assert report["rejected"]["duplicate"] == report["requests"] - 1
    assert endpoint.requests[0]["messages"][:2] == turn


def test_a_sources_own_requests_stand_before_the_teachers(shard):
    own = {"sampling": {"temperature": 0.5, "extra_body": {"grammar": "root ::= x"}}}
    with WritingEndpoint(write=numbered()) as endpoint:
        shard(endpoint, generation={"requests": own}, requests={"sampling": {"temperature": 1.0}})
    assert endpoint.requests[0]["temperature"] == 0.5
    assert endpoint.requests[0]["grammar"] == "root ::= x"


def test_paid_answers_of_the_papers_prompt_are_found_again(shard):
    with WritingEndpoint(write=numbered()) as endpoint:
        rows, _, _ = shard(endpoint, count=5, generation={"topics_per_request": 3})
    # The key of this request in a ledger that was written before the prompt was a template.
    assert {row["request"] for row in rows} == {"8bea3a7ee33f0e69bb04741ea521ac7c"}


def test_a_prompt_of_ones_own_is_sent_and_its_labels_are_read(shard):
    Path("own.jinja").write_text(
        "Like these:\n{% for example in examples %}\n- {{ example }}\n{% endfor %}\n"
        "write {{ count }} more{{ ' on ' ~ topics[0] if topics }}, as [[...]]: {{ opening }}\n"
    )
    prompt = {"template": "own.jinja", "opening": "[[", "closing": "]]"}
    turn = [{"role": "assistant", "content": "[[Name a tree.]]"}]
    with WritingEndpoint(
        write=lambda body: ("[[Plant a tree.]] [[Name a tree.]] <example>No.</example>", "stop")
    ) as endpoint:
        rows, rejects, _ = shard(
            endpoint, count=1, requests={"prompt": prompt, "demonstrations": turn}
        )
    assert [row["instruction"] for row in rows] == ["Plant a tree."]
    assert [reject["reason"] for reject in rejects] == ["copied"]
    sent = endpoint.requests[0]["messages"][-1]["content"]
    assert re.fullmatch(
        r"Like these:\n(- Tell \d of [abc]\.\n){3}write 5 more, as \[\[...\]\]: \[\[", sent
    )


WHOLE = "{{ examples | join }} {{ topics | join }} {{ count }} {{ opening }} {{ closing }}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"own.jinja: the instruction prompt can't be read .*No such file"),
        ("{% for x", r"can't be read as a Jinja template \(line 1: unexpected"),
        (WHOLE + "{{ exmples }}", r"can't be filled \('exmples' is undefined\)"),
        (WHOLE.replace("examples | join", "examples[0]"), "does not show all of `examples`"),
        (WHOLE.replace("topics", "examples"), "does not show all of `topics`"),
        (WHOLE.replace("count", "opening"), "does not show all of `count`"),
        (WHOLE.replace("opening", "closing"), r"does not show the opening label '\[\['"),
        (WHOLE.replace("closing", "opening"), r"does not show the closing label '\]\]'"),
    ],
)
def test_a_template_that_lacks_something_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("own.jinja").write_text(text)
    prompt = InstructionTemplate(template="own.jinja", opening="[[", closing="]]")
    with pytest.raises(LaminiError, match=message):
        PromptTemplate(prompt).check(examples=3, topics=2)


def test_whole_templates_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for source_topics in (0, 3):
        PAPER.check(examples=3, topics=source_topics)
    Path("own.jinja").write_text("{{ examples | join | upper }}{{ count }}#")
    unlabelled = InstructionTemplate(template="own.jinja", opening="#", closing=None)
    PromptTemplate(unlabelled).check(examples=3, topics=0)


def test_the_ceiling_ends_a_shard_with_a_warning(shard, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("lamini"), "propagate", True)
    answers = itertools.chain(["<example>Only this one.</example>"], itertools.repeat("Sorry, no."))
    with WritingEndpoint(write=lambda body: (next(answers), "stop")) as endpoint:
        rows, rejects, report = shard(endpoint, generation={"max_requests_factor": 2})
    assert len(rows) == 1
    assert len(endpoint.requests) == report["requests"] == report["max_requests"] == 8
    assert report["complete"] is False
    assert [row["reason"] for row in rejects] == ["refusal"] * 7
    assert "only 1 of 20 instructions" in caplog.text


def test_no_instruction_at_all_is_an_error(shard):
    with (
        WritingEndpoint(write=lambda body: ("I cannot help with that.", "stop")) as endpoint,
        pytest.raises(LaminiError, match=r"no instruction was accepted after 16 requests.*refusal"),
    ):
        shard(endpoint)
    assert not list(Path("instructions").glob("0000.jsonl"))


def test_equal_requests_ask_for_new_answers(shard):
    write_jsonl("prompts.jsonl", [{"id": "a:1", "instruction": "Tell.", "subset": "a"}])
    with WritingEndpoint(write=numbered()) as endpoint:
        rows, _, _ = shard(endpoint, generation={"examples_per_request": 1})
    assert len(set(endpoint.asked)) == 1
    assert len(endpoint.requests) == 4
    assert len({row["request"] for row in rows}) == 4


def test_too_few_topics_are_an_error_before_anything_is_asked(shard):
    write_jsonl("topics.jsonl", [{"topic": "One"}, {"topic": "Two"}])
    with WritingEndpoint() as endpoint, pytest.raises(LaminiError, match="only 2 topics"):
        shard(endpoint, generation={"topics_per_request": 3})
    assert not endpoint.requests


def test_a_teacher_that_writes_no_instruction_is_not_paid_up_to_the_ceiling(shard):
    def refuse(body: dict) -> tuple[str, str]:
        return "I cannot help with that.", "stop"

    with (
        WritingEndpoint(write=refuse) as endpoint,
        pytest.raises(LaminiError, match="no instruction was accepted in the first 30 answers"),
    ):
        shard(endpoint, count=5000, teacher={"max_concurrency": 8})
    # Of 1,000 requests; some hundred are answered before the first answers are stored and read.
    assert 30 <= endpoint.asked.total() < 900


@pytest.mark.parametrize(("per_answer", "warned"), [(1, "0.20"), (2, None), (5, None), (6, "1.20")])
def test_an_unusual_number_of_instructions_is_logged_early(
    shard, per_answer, warned, caplog, monkeypatch
):
    """Drafts in a model's thoughts, for example, are more instructions than were asked for."""
    monkeypatch.setattr(logging.getLogger("lamini"), "propagate", True)
    numbers = itertools.count()

    def write(body: dict) -> tuple[str, str]:
        lines = [f"<example>Explain number {next(numbers)}.</example>" for _ in range(per_answer)]
        return "\n".join(lines), "stop"

    with WritingEndpoint(write=write) as endpoint:
        shard(endpoint, count=170)
    told = [m for m in caplog.messages if "well-formed instructions per requested one" in m]
    assert len(told) == (warned is not None)
    assert all(f"the first 30 answers have {warned}" in message for message in told)
