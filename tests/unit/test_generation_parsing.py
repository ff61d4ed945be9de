"""Answers as models really write them, and anything else that may come."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lamini.generation.normalization import normalized
from lamini.generation.parsing.examples import parse_examples
from lamini.generation.parsing.labels import label_pattern

LABEL = label_pattern("<example>", "</example>")
SHOWN = ("What is a fjord?", "Write a poem.", "List three rivers.")


def parse(text: str, truncated: bool = False, shown=SHOWN, label=LABEL, **options):
    parsed = parse_examples(text, label=label, truncated=truncated, shown=shown, **options)
    return parsed.instructions, [reject.reason for reject in parsed.rejects]


ONE = "Name a tree."
TWO = "Why is the sky blue?"


@pytest.mark.parametrize(
    "text",
    [
        f"<example>{ONE}</example>\n<example>{TWO}</example>",
        f"Sure! Here are 2 examples:\n\n<example>{ONE}</example>\n<example>{TWO}</example>\nEnjoy!",
        f"1. <example>{ONE}</example>\n2. <example>{TWO}</example>",
        f"<example>1. {ONE}</example><example>2) {TWO}</example>",
        f"<example> Example 1: {ONE}</example>\n<example>Example 2: {TWO}</example>",
        f"<example>\nInstruction: {ONE}\n</example>\n<example>\nInstruction: {TWO}\n</example>",
        f'<example>"{ONE}"</example>\n<example>“{TWO}”</example>',
        f"<example>**{ONE}**</example>\n<example>- {TWO}</example>",
        f"<Example>{ONE}</Example>\n< example >{TWO}< /example >",
        f"<example 1>{ONE}</example 1>\n<example2>{TWO}</example2>",
        f'<example id="1">{ONE}</example>\n<example id="2">{TWO}</example>',
        f"<example>{ONE}<\\example>\n<example>{TWO}<\\example>",
        f"&lt;example&gt;{ONE}&lt;/example&gt;\n&lt;example&gt;{TWO}&lt;/example&gt;",
        f"<example>{ONE}\n<example>{TWO}",
        f"<example>{ONE}<example>\n<example>{TWO}<example>",
        f"<example>{ONE}<example/>\n<example>{TWO}<example/>",
        f"<example><example>{ONE}</example></example>\n<example>{TWO}</example>",
        f"<examples>\n<example>{ONE}</example>\n<example>{TWO}</example>\n</examples>",
        f"{ONE}</example>\n<example>{TWO}</example>",
        f"Here you are:\n{ONE}</example>\n<example>{TWO}</example>",
        f"```xml\n<example>{ONE}</example>\n<example>{TWO}</example>\n```",
        f"<example>{ONE}</example>\nAnswer: oak\n<example>{TWO}</example>\nAnswer: scattering",
        f"<example>{ONE}</example>\r\n\r\n<example>{TWO}</example>\r\n",
        f"<example>{ONE}\x00</example>\n<example>{TWO}\u2028</example>",
    ],
)
def test_what_can_be_told_for_certain_is_mended(text):
    instructions, rejects = parse(text)
    assert [i.strip() for i in instructions] == [ONE, TWO]
    assert rejects == []


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("", ["empty_answer"]),
        (" \n...\n", ["empty_answer"]),
        ("I'm sorry, but I cannot do that.", ["refusal"]),
        ("As an AI language model, I have no hobbies.", ["refusal"]),
        ("1. Name a tree.\n2. Why is the sky blue?", ["no_label"]),
        ("<example></example>", ["empty"]),
        ("<example>...</example>", ["empty"]),
        ("<example>what is  a FJORD?</example>", ["copied"]),
        ("<example>1. Write a poem.</example>", ["copied"]),
        (f"<example>{'word ' * 900}</example>", ["too_long"]),
        ("<example>Name a tree.\nAnswer: oak</example>", ["answered"]),
        ("<example>Name a tree. Response: An oak.</example>", ["answered"]),
        ("<example>Name a tree.\n**Output:** oak</example>", ["answered"]),
        ("<example>Q: Which tree is tall?\nA: the redwood</example>", ["answered"]),
        ("Some talk.\nMore talk.\nNot clear where it starts</example>", ["unopened"]),
    ],
)
def test_the_rest_is_rejected_with_a_reason(text, reasons):
    assert parse(text) == ([], reasons)


def test_only_the_last_example_can_be_truncated():
    text = "<example>Name a tree.\n<example>Why is the sk"
    assert parse(text, truncated=True) == (["Name a tree."], ["truncated"])
    assert parse(text) == (["Name a tree.", "Why is the sk"], [])
    closed = "<example>Name a tree.</example>\n<exam"
    assert parse(closed, truncated=True) == (["Name a tree."], [])


def test_the_form_of_the_shown_examples_is_kept():
    shown = ("1. First do this.", "2. Then do that.", "3. Rest.")
    assert parse("<example>4. Begin anew.</example>", shown=shown) == (["4. Begin anew."], [])
    few_shot = ("Q: 1 + 1?\nA: 2\n\nQ: 2 + 2?\nA: 4",)
    text = "Q: 3 + 3?\nA: 6\n\nQ: 4 + 4?\nA: 8"
    assert parse(f"<example>{text}</example>", shown=few_shot) == ([text], [])


@pytest.mark.parametrize(
    "text",
    [
        "Hint: it is tall.\nQuestion: Which tree is it?\nAnswer:",
        "Trees grow.\n\nQ: What grows?\nA:",
        "Which is biggest?\nA: the sun\nB: the moon",
        "Is <example.com> a website?",
        "Compute 3 < 5 and 7 > 2.",
        'Return the SSN number for the person: "Yann LeCun"',
        "Translate to French:\n\nGood morning.",
    ],
)
def test_prompts_of_the_collections_pass_unchanged(text):
    assert parse(f"<example>{text}</example>") == ([text], [])


def test_copies_of_demonstrations_are_rejected():
    assert parse("<example>name a TREE.</example>", also_shown=["Name a tree."]) == ([], ["copied"])


def test_lone_surrogates_do_not_reach_the_files():
    instructions, _ = parse("<example>Name \ud800 a tree.</example>")
    assert instructions[0].encode("utf-8")


PIECES = st.sampled_from(
    [
        "<example>",
        "</example>",
        "<Example 2>",
        "< /example>",
        "<example/>",
        "\n",
        "Answer: 4",
        "1. ",
        "Name a tree.",
        "What is a fjord?",
        '"',
        "**",
        "Here:\n",
        "&lt;example&gt;",
        "<examp",
    ]
)


@given(st.lists(PIECES | st.text(max_size=20), max_size=30), st.booleans())
@example(["<example>", "**0 **", "</example>"], False)
def test_no_answer_breaks_the_parser(pieces, truncated):
    text = "".join(pieces)
    parsed = parse_examples(text, label=LABEL, truncated=truncated, shown=SHOWN, max_characters=50)
    copies = {normalized(example) for example in SHOWN}
    for instruction in parsed.instructions:
        instruction.encode("utf-8")
        assert instruction == instruction.strip()
        assert 0 < len(instruction) <= 50
        assert "<example>" not in instruction.lower()
        assert "</example>" not in instruction.lower()
        assert normalized(instruction) not in copies
    if not parsed.instructions and "<example>" not in text:
        assert parsed.rejects or "example" in text.lower()


WORDS = st.lists(st.text("abcdefghijklmnop", min_size=2, max_size=9), min_size=2, max_size=7)


@given(st.lists(WORDS.map(lambda words: " ".join(words) + "?"), unique=True, max_size=20))
def test_well_formed_answers_lose_nothing(instructions):
    text = "\n".join(f"<example>{instruction}</example>" for instruction in instructions)
    shown = ("Not one of them!",)
    assert parse(text or "x", shown=shown)[0] == instructions


@given(st.text())
def test_normalising_is_idempotent(text):
    assert normalized(normalized(text)) == normalized(text)


def test_normalised_forms():
    assert normalized("Ｗｈａｔ is\u00a0a  FJORD?\n") == "what is a fjord?"
    assert normalized("STRASSE") == normalized("Straße")


@pytest.mark.parametrize(
    ("opening", "closing", "text"),
    [
        ("<task>", "</task>", f"<task>{ONE}</task>\n<Task 2>{TWO}</Task 2>"),
        ("<task>", "</task>", f"<tasks>{ONE}</tasks>&lt;task&gt;{TWO}&lt;/task&gt;"),
        ("<my-task>", "</my-task>", f"<my-task 1>{ONE}</My-Task>\n< my-task>{TWO}<\\my-task>"),
        ("[[", "]]", f"Here are two: [[{ONE}]] and [[{TWO}]]."),
        ("BEGIN", "END", f"begin {ONE} end\nBEGIN {TWO} END"),
        ("###", "### end", f"### {ONE} ### end\n### {TWO} ### end"),
        ("###", None, f"###\n1. {ONE}\n###\n2. {TWO}\n"),
        ("Instruction:", None, f"Instruction: {ONE}\nInstruction: {TWO}"),
    ],
)
def test_other_labels_are_read(opening, closing, text):
    assert parse(text, label=label_pattern(opening, closing)) == ([ONE, TWO], [])


def test_other_labels_keep_the_reasons():
    label = label_pattern("[[", None)
    assert parse(f"[[{ONE}[[{TWO}", truncated=True, label=label) == ([ONE], ["truncated"])
    assert parse(f"<example>{ONE}</example>", label=label) == ([], ["no_label"])
    assert parse(f"[[{SHOWN[0]}", label=label) == ([], ["copied"])
