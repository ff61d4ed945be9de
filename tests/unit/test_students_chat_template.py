"""The exported chat template gives exactly the prompt tokens of training."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from jinja2 import TemplateError
from tokenizer_kinds import ADDED, KINDS, unwritable

from lamini.prompt_formats import render_prompt
from lamini.settings.params.common import Location
from lamini.settings.params.students import TokenizePairs
from lamini.students.chat_template import chat_template
from lamini.students.token_cache import TokenCache
from lamini.students.tokenization import tokenize_pairs
from lamini.students.tokenizers import load_tokenizer

INSTRUCTIONS = [
    "Name a sea.",
    " led by a space",
    "ended by one ",
    "  by two  ",
    "\n\nlines\n\n",
    "\ttab",
    "1 + 1 = 2",
    "été, e\u0301te\u0301, 海 🦙",
    "it's {{ a }} {% b %} \\ 'x' \"y\"",
    "a\u00a0b\u2028",
    "### Response:",
    "▁ already there",
    "[INST] x [/INST]",
    "an </s> in <s> the middle",
]


def _saved(kind: str, folder: Path) -> str:
    if not (folder / kind).exists():
        KINDS[kind](folder / "made" / kind).save_pretrained(folder / kind)
    return str(folder / kind)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


def _exported(kind: str, prompt_format: str, folder: Path, target: Path) -> Any:
    """A tokenizer, exported as by training and loaded again."""
    tokenizer = load_tokenizer(_saved(kind, folder))
    tokenizer.chat_template = chat_template(tokenizer, prompt_format)
    tokenizer.save_pretrained(target)
    return load_tokenizer(str(target))


def _messages(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("prompt_format", ["alpaca", "bare"])
@pytest.mark.parametrize("kind", KINDS)
def test_its_ids_are_those_of_the_trainings_prompts(
    kind: str, prompt_format: str, folder: Path, tmp_path: Path
) -> None:
    rows = pl.DataFrame({"instruction": INSTRUCTIONS, "response": ["x"] * len(INSTRUCTIONS)})
    rows.write_parquet(tmp_path / "pairs.parquet")
    tokenize_pairs(
        dataset=tmp_path / "pairs.parquet",
        manifest=tmp_path / "cache" / "manifest.json",
        settings=TokenizePairs(
            tokenizer=Location(path=_saved(kind, folder)),
            prompt_format=prompt_format,
            pad_token=None,
        ),
    )
    cache = TokenCache(tmp_path / "cache")
    tokenizer = _exported(kind, prompt_format, folder, tmp_path / "final")
    for pair, text in enumerate(INSTRUCTIONS):
        given = tokenizer.apply_chat_template(_messages(text), add_generation_prompt=True)
        assert given["input_ids"] == cache.prompt(pair).tolist(), text
    before, after = ADDED.get(kind, ("", ""))
    rendered = tokenizer.apply_chat_template(_messages("Sing."), tokenize=False)
    assert rendered.startswith(before)
    assert rendered.removeprefix(before).lstrip(" ") == (
        render_prompt(prompt_format, "Sing.") + after
    )


def test_only_the_last_message_is_asked_and_it_must_be_the_users(
    folder: Path, tmp_path: Path
) -> None:
    tokenizer = _exported("gpt2", "alpaca", folder, tmp_path)
    turns = [{"role": "system", "content": "Be brief."}, *_messages("Sing.")]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == render_prompt("alpaca", "Sing.")
    answered = [*_messages("Sing."), {"role": "assistant", "content": "La."}]
    with pytest.raises(TemplateError, match="last message must be of the user"):
        tokenizer.apply_chat_template(answered, tokenize=False)


def test_a_tokenizer_that_no_template_fits_gets_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unwritable().save_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer("a")["input_ids"][0] == tokenizer.convert_tokens_to_ids("<x>")
    with caplog.at_level("WARNING", logger="lamini"):
        assert chat_template(tokenizer, "alpaca") is None
    assert "the tokenizer gets no chat template" in caplog.text
