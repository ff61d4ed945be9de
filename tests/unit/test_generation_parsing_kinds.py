"""Kinds of answers that are hard to read: echoes, talk, nested tags, thoughts, chat markers."""

import time

import pytest

from lamini.generation.parsing.examples import parse_examples
from lamini.generation.parsing.labels import label_pattern
from lamini.generation.parsing.leftovers import split_answer
from lamini.generation.prompt_template import PromptTemplate
from lamini.settings.teacher import InstructionTemplate

LABEL = label_pattern("<example>", "</example>")
SHOWN = ("What is a fjord?", "Write a poem about spring.", "List three rivers.")
PROMPT = PromptTemplate(InstructionTemplate()).render(SHOWN, ["Sports cars", "Art"], 20)
ONE, TWO = "Name a tree.", "Why is the sky blue?"
FIRST, SECOND = f"<example>{ONE}</example>", f"<example>{TWO}</example>"


def parse(text: str, *, truncated: bool = False, shown=SHOWN) -> tuple[list[str], list[str]]:
    parsed = parse_examples(text, label=LABEL, truncated=truncated, shown=shown, prompt=PROMPT)
    return parsed.instructions, [reject.reason for reject in parsed.rejects]


@pytest.mark.parametrize(
    "echo",
    [
        "<example>Each example must include an instruction.</example>",
        "<example>You do not need to provide a response to the generated examples</example>",
        "<example>Generate 20 diverse examples that are similar to the provided</example>",
        "<example>must include an instruction</example>",
        '<example>"list THREE rivers"</example>',
        "<example>what is a fjord</example>",
    ],
)
def test_the_prompts_own_sentences_are_copies(echo):
    assert parse(f"{echo}\n{FIRST}") == ([ONE], ["copied"])


def test_an_echo_of_the_whole_prompt_gives_copies_only():
    assert parse(f"{PROMPT}\n{FIRST}") == ([ONE], ["copied"] * len(SHOWN))


@pytest.mark.parametrize(
    "talk",
    [
        'Each example must start with the label "<example>" and end with the label "</example>".',
        "Each example starts with the label <example> and ends with the label </example>.",
        "I put each one between <example> and </example> tags. Here they are:",
        "I will use `<example>` and `</example>`.",
        "Sure, here are the <examples>:",
        "Here are the <examples> in full, each with one <example>:",
        "解释 <example> 标签的意思。",
    ],
)
def test_talk_about_labels_before_the_examples_is_no_example(talk):
    assert parse(f"{talk}\n{FIRST}\n{SECOND}") == ([ONE, TWO], [])
    assert parse(talk) == ([], ["no_label"])


@pytest.mark.parametrize(
    "talk",
    [
        "<example> is the label that I use.",
        "<example> and </example> are the labels.",
        "Note: <example> marks the start.",
        "<example>Write HTML that shows <b>bold</b> and an <example> element.</example>",
        "<example>Explain what </example> does in XML.</example>",
        "<example>Explain the `<example>` tag.</example>",
        "<example>Use an <example>\nfor this task.</example>",
    ],
)
def test_a_text_with_a_label_inside_gives_no_fragments(talk):
    assert parse(f"{talk}\n{FIRST}") == ([ONE], ["label_inside"])


@pytest.mark.parametrize(
    "text",
    [
        f"{FIRST} and {SECOND}",
        f"The first is {FIRST}, the second is {SECOND}.",
        f"Here is one: {FIRST}\nAnd here is another: {SECOND}",
        f"<example>{ONE} <example>{TWO}</example>",
    ],
)
def test_examples_within_sentences_are_examples(text):
    assert parse(text) == ([ONE, TWO], [])


def test_small_letters_without_closing_labels_are_instructions():
    assert parse("<example> name a tree\n<example> name a bird") == (
        ["name a tree", "name a bird"],
        [],
    )


@pytest.mark.parametrize("text", ["instruction here", "[your instruction]", "Example text", "…"])
def test_placeholders_are_empty(text):
    assert parse(f"<example>{text}</example>\n{FIRST}") == ([ONE], ["empty"])


@pytest.mark.parametrize(
    "opening",
    [
        f'<example topic="{"Climate change, " * 30}">',
        '<example id="3" topic="Climate change, Renaissance art, Sports cars">',
        "<example topic='a > b, c'>",
        '<example\n  id="1"\n  topic="Art">',
        "<example on climate change, Renaissance art, Sports cars, Rivers>",
        "<example topic=Climate change, Renaissance art, Sports cars, Rivers>",
    ],
)
def test_attributes_of_any_length_and_form(opening):
    assert parse(f"{opening}{ONE}</example>\n{opening}{TWO}</example>") == ([ONE, TWO], [])


@pytest.mark.parametrize(
    "label", ["exmaple", "exampel", "examle", "exampple", "exemple", "xample", "eXamplle"]
)
def test_one_typing_error_in_a_label(label):
    assert parse(f"<example>{ONE}</{label}>\n<{label}>{TWO}</example>") == ([ONE, TWO], [])


def test_other_tags_are_no_typing_errors():
    for tag in ("sample", "exam", "template", "apple"):
        text = f"What does the tag <{tag}> do?"
        assert parse(f"<example>{text}</example>") == ([text], [])
    short = label_pattern("<task>", "</task>")
    assert not short.search("<mask>")
    assert short.search("<Task 3>")


@pytest.mark.parametrize(
    ("inner", "instruction"),
    [
        ("<instruction>Name it.</instruction><input>rain</input>", "Name it.:rain"),
        ('<instruction id="1">Name it.</instruction>\n<input></input>', "Name it."),
        ("Sum it up. <input>A text.</input>", "Sum it up.:A text."),
        ("<question>Why?</question><context>It rained.</context>", "Why?:It rained."),
        ("<p>Name it.</p>", "Name it."),
        ("<task>1. Name it.</task><output></output>", "Name it."),
    ],
)
def test_fields_become_an_instruction_with_its_input(inner, instruction):
    assert parse(f"<example>{inner}</example>") == ([instruction], [])


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ("<instruction>Name it.</instruction><output>oak</output>", "answered"),
        ("<task>Name it.", "nested"),
        ("Name it.</instruction>", "nested"),
        ("<title>Art</title><body>Name it.</body>", "nested"),
        ("<instruction>A.</instruction><instruction>B.</instruction>", "nested"),
        ("<instruction><task>A.</task></instruction>", "nested"),
        ("<instruction>A.</instruction> and more", "nested"),
        ("<instruction></instruction>", "nested"),
    ],
)
def test_other_nested_tags_are_rejected(inner, reason):
    assert parse(f"<example>{inner}</example>\n{FIRST}") == ([ONE], [reason])


@pytest.mark.parametrize(
    "text",
    ["Write a form with an <input> element.", "Correct this HTML: <b>hi</b>", "Is 3 < 5 > 2?"],
)
def test_instructions_about_tags_are_kept(text):
    assert parse(f"<example>{text}</example>") == ([text], [])


def test_tags_of_the_shown_examples_are_kept():
    shown = ("<question>Who?</question><context>A man.</context>",)
    text = "<question>Where?</question><context>A town.</context>"
    assert parse(f"<example>{text}</example>", shown=shown) == ([text], [])


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I cannot generate that.",
        "I cannot assist with that request.",
        "I’m unable to create more examples.",
        "As an AI language model, I cannot create this.",
        "Lo siento, pero no puedo ayudarte con eso.",
    ],
)
def test_refusals_between_labels_are_rejected(text):
    assert parse(f"<example>{text}</example>\n{FIRST}") == ([ONE], ["refusal"])


@pytest.mark.parametrize(
    "text",
    [
        "Please provide the text of a law about dogs.",
        "I can't help my son with maths. What should I do?",
        "I'm sorry, but I cannot help you.\n\nWho could have said this?",
        "Rewrite politely: I can't help you with that.",
    ],
)
def test_instructions_that_resemble_refusals_are_kept(text):
    assert parse(f"<example>{text}</example>") == ([text], [])


MARKERS = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "</s>",
    "<｜end▁of▁sentence｜>",
]


@pytest.mark.parametrize("marker", MARKERS)
def test_the_end_of_the_turn_ends_the_answer(marker):
    assert parse(f"{FIRST}{marker}") == ([ONE], [])
    assert parse(f"<example>{ONE}{marker}") == ([ONE], [])
    assert parse(f"<example>Name a{marker}") == ([], ["chat_marker"])
    assert parse(f"{FIRST}{marker}\n<|im_start|>user\n{SECOND}") == ([ONE], ["chat_marker"])
    assert parse(f"<example>{ONE}{marker}\n<|im_start|>user\nMore.") == ([ONE], ["chat_marker"])


@pytest.mark.parametrize(
    "start",
    [
        "<|im_start|>assistant\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<start_of_turn>model\n",
        "<s>",
        "<|assistant|>",
    ],
)
def test_markers_at_the_start_are_removed(start):
    assert parse(start + FIRST) == ([ONE], [])


def test_an_instruction_about_a_marker_gives_no_fragment():
    text = "<example>What is the <|im_end|> token?</example>"
    assert parse(text) == ([], ["chat_marker", "chat_marker"])


DRAFT = "<example>A draft about it.</example>"


@pytest.mark.parametrize(
    "thought",
    [
        f"<think>\nI write {DRAFT}\n</think>\n\n",
        f"<think>{DRAFT}</think><think>\nAgain {DRAFT}</think>",
        f"<thinking>\n{DRAFT}\n</thinking>\n",
        f"I write {DRAFT}\n</think>\n\n",
        f"[THINK]{DRAFT}[/THINK]",
        f"◁think▷{DRAFT}◁/think▷",
        f"<|begin_of_thought|>\n{DRAFT}<|end_of_thought|>\n",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>",
        f"analysisWe need 20. {DRAFT}assistantfinal",
    ],
)
def test_drafts_in_thoughts_are_no_instructions(thought):
    instructions, reasons = parse(thought + FIRST)
    assert instructions == [ONE]
    assert set(reasons) == {"thought"}
    between, reasons = parse(f"{FIRST}\n<think>{DRAFT}</think>\n{SECOND}")
    assert (between, reasons) == ([ONE, TWO], ["thought"])


@pytest.mark.parametrize(
    "thought", [f"<think>\n{DRAFT} then <example>Draft", f"<|channel|>analysis<|message|>{DRAFT}"]
)
@pytest.mark.parametrize("truncated", [True, False])
def test_an_answer_of_thoughts_alone_gives_nothing(thought, truncated):
    assert parse(thought, truncated=truncated) == ([], ["thought"])


@pytest.mark.parametrize(
    "text", ["Explain the <think> tag of reasoning models.", 'What does "</think>" mean?']
)
def test_instructions_about_thoughts_are_kept(text):
    assert parse(f"<example>{text}</example>\n{FIRST}") == ([text, ONE], [])


def test_the_parts_of_an_answer():
    assert split_answer("<think>a</think>b<|im_end|>\n<|im_start|>user\nc") == (
        "b",
        ["<think>a</think>"],
        "user\nc",
    )
    assert split_answer("b</s>") == ("b", [], "")
    assert split_answer("Is <s>it</s>\nright?") == ("Is <s>it</s>\nright?", [], None)
    assert split_answer("<s>Is it</s>\nright?") == ("<s>Is it</s>\nright?", [], None)


@pytest.mark.parametrize(
    "text",
    [
        "Convert the list to JSON. Output: a JSON array of strings. List: a, b, c",
        "Sort the words. Output: a list",
        "Write a class. Solution: must be in Python 3.",
        "Count them. Output: an integer between 1 and 9.",
        "What is 2 + 2? Answer: 5. Is this answer correct?",
        "Is the sky green? Answer: yes. Is the answer right?",
        "A student wrote:\nAnswer: 12\nCheck whether the answer is right.",
        "Does it follow? Answer: yes or no",
        "Fill the gap.\nAnswer: ____",
        "Is it so?\nAnswer: A cave of ice.\nQuestion: how are caves formed?",
    ],
)
def test_a_described_or_questioned_response_is_no_answer(text):
    assert parse(f"<example>{text}</example>") == ([text], [])


@pytest.mark.parametrize(
    "text",
    [
        "What is 2 + 2? Answer: 4",
        "What is it?\nAnswer: It is a tree. It grows.",
        "Name a tree. Output: oak",
        "How do I relax? Answer: Breathe. Count to ten. Walk.",
        "Name a structure of data.\nResponse: a list",
        "Who was it? Solution: Ann. She had the key.",
    ],
)
def test_answered_instructions_are_rejected(text):
    assert parse(f"<example>{text}</example>") == ([], ["answered"])


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("1) apple 2) pear 3) plum. Which is not red?", None),
        ("(1) a (2) b. Which comes first?", None),
        ("7. Name it. 8. Draw it.", None),
        ("- apple\n- pear\nWhich is red?", None),
        ("1) Name 2 trees.", "Name 2 trees."),
        ("- Name a well-known tree.", "Name a well-known tree."),
        ("Question: Why is the sea salty?", "Why is the sea salty?"),
        ("Question: Which tree is it?\nAnswer:", None),
        ("Topic: Sports cars\nWrite a haiku.", "Write a haiku."),
        ("Topic: Sports cars\nWrite a haiku about the topic.", None),
    ],
)
def test_numbers_and_names_before_an_instruction(text, instruction):
    assert parse(f"<example>{text}</example>") == ([instruction or text], [])


@pytest.mark.parametrize(
    "unit", ["x <example> y ", '<example a="', "<think>", "</think> ", "<input>", "<|a", "1) "]
)
def test_long_answers_are_read_in_linear_time(unit):
    start = time.process_time()
    parse("<example>" + unit * (200_000 // len(unit)))
    assert time.process_time() - start < 3  # 0.2 s; more than 30 s in quadratic time
