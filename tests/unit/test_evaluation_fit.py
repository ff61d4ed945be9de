"""A protocol that does not fit a model causes an error or warning before its weights are read."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation_cases import t5_tokenizer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, PreTrainedTokenizerFast

from lamini.errors import LaminiError
from lamini.evaluation.models import check_protocol, load_evaluated_model
from lamini.settings.evaluation import Evaluation
from lamini.settings.params.evaluation import EvaluatedModel

END = "<|endoftext|>"


def _evaluated(architecture: str, path: str = "nowhere") -> EvaluatedModel:
    return EvaluatedModel(
        model="mine", architecture=architecture, prompt_format=None, path=path, revision=None
    )  # type: ignore[call-arg]


def _tokenizer(template: str) -> Any:
    """A tokenizer with two tokens; a template adds the special token to each text."""
    tokenizer = Tokenizer(WordLevel({"a": 0, END: 1}))
    tokenizer.post_processor = TemplateProcessing(template, None, [(END, 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END)


def _check(tokenizer: Any, protocol: str) -> None:
    config = AutoConfig.for_model("llama")
    check_protocol(_evaluated("decoder-only"), Evaluation(protocol=protocol), config, tokenizer)


@pytest.mark.parametrize(
    ("template", "protocol", "warned"),
    [(f"{END} $A", "paper", True), (f"{END} $A", "modern", False), ("$A", "paper", False)],
)
def test_a_begin_token_that_paper_does_not_send_is_warned_of(
    template: str, protocol: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="lamini")
    _check(_tokenizer(template), protocol)
    assert bool(caplog.messages) == warned
    if warned:
        assert f"models.mine: the tokenizer starts each text with {END}" in caplog.messages[0]
        assert "`models.mine.protocol`" in caplog.messages[0]


def test_an_end_token_before_each_continuation_is_refused() -> None:
    _check(_tokenizer(f"$A {END}"), "paper")
    with pytest.raises(LaminiError, match=r"ends each text with .*`add_eos_token` to false"):
        _check(_tokenizer(f"$A {END}"), "modern")


@pytest.mark.parametrize(
    ("family", "evaluation", "message"),
    [
        (
            {"model_type": "bart"},
            {"protocol": "paper"},
            r"1,024 positions, but protocol paper sends"
            r" it up to 2,048 tokens; set `models\.mine\.protocol: modern`",
        ),
        ({"model_type": "bart"}, {"protocol": "modern"}, None),
        (
            {"model_type": "bart"},
            {"protocol": "modern", "max_encoder_tokens": 1025},
            r"evaluation\.max_encoder_tokens sends it up to 1,025 tokens; set 1024 there",
        ),
        ({"model_type": "bart"}, {"protocol": "paper", "max_encoder_tokens": 1024}, None),
        ({"model_type": "bart", "max_position_embeddings": 2048}, {"protocol": "paper"}, None),
        ({"model_type": "pegasus"}, {"protocol": "paper"}, "1,024 positions"),
        ({"model_type": "led"}, {"protocol": "paper"}, None),
        (
            {"model_type": "led", "max_encoder_position_embeddings": 512},
            {"protocol": "paper"},
            "512 positions",
        ),
        ({"model_type": "t5"}, {"protocol": "paper"}, None),
        ({"model_type": "mt5"}, {"protocol": "paper"}, None),
        ({"model_type": "t5", "n_positions": 512}, {"protocol": "paper"}, None),
    ],
)
def test_an_encoder_is_not_given_more_tokens_than_it_has_positions(
    family: dict[str, Any], evaluation: dict[str, Any], message: str | None
) -> None:
    def check() -> None:
        config = AutoConfig.for_model(**family)
        check_protocol(_evaluated("encoder-decoder"), Evaluation(**evaluation), config, None)

    if message is None:
        check()
    else:
        with pytest.raises(LaminiError, match=message):
            check()


def test_the_weights_of_a_model_that_does_not_fit_are_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "bart"
    AutoConfig.for_model("bart").save_pretrained(folder)
    t5_tokenizer(tmp_path / "tokenizer").save_pretrained(folder)
    evaluated, cpu = _evaluated("encoder-decoder", str(folder)), torch.device("cpu")
    with pytest.raises(LaminiError, match="1,024 positions"):
        load_evaluated_model(evaluated, "fp32", cpu, Evaluation(protocol="paper"))
    with pytest.raises(LaminiError, match="can't be loaded"):
        load_evaluated_model(evaluated, "fp32", cpu, Evaluation(protocol="modern"))
