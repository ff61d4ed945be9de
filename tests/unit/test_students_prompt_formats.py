"""The wrapper equals the published one."""

import pytest

from lamini.errors import SettingsError
from lamini.prompt_formats import render_prompt

PUBLISHED = (
    "Below is an instruction that describes a task. Write a response that appropriately completes"
    " the request.\n\n### Instruction:\nName it's colour: {{ 'red' }}\\\n\n### Response:"
)
INSTRUCTION = "Name it's colour: {{ 'red' }}\\"


def test_alpaca_ends_in_its_colon() -> None:
    assert render_prompt("alpaca", INSTRUCTION) == PUBLISHED
    assert render_prompt("bare", INSTRUCTION) == INSTRUCTION


def test_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"vicuna.*bare, alpaca"):
        render_prompt("vicuna", "x")
