"""The wrapper is the published one to the character, in Python and in Jinja."""

import pytest
from jinja2 import Environment

from lamini.errors import SettingsError
from lamini.prompt_formats import chat_template, render_prompt

PUBLISHED = (
    "Below is an instruction that describes a task. Write a response that appropriately completes"
    " the request.\n\n### Instruction:\nName it's colour: {{ 'red' }}\\\n\n### Response:"
)
INSTRUCTION = "Name it's colour: {{ 'red' }}\\"


def test_alpaca_ends_in_its_colon() -> None:
    assert render_prompt("alpaca", INSTRUCTION) == PUBLISHED
    assert render_prompt("bare", INSTRUCTION) == INSTRUCTION


@pytest.mark.parametrize(("prompt_format", "ending"), [("alpaca", " "), ("bare", "")])
def test_chat_template_renders_the_same_text(prompt_format: str, ending: str) -> None:
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(chat_template(prompt_format))
    rendered = template.render(
        messages=[{"role": "user", "content": INSTRUCTION}], add_generation_prompt=True
    )
    assert rendered == render_prompt(prompt_format, INSTRUCTION) + ending


def test_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"vicuna.*bare, alpaca"):
        render_prompt("vicuna", "x")
