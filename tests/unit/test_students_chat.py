"""Prompt format `chat`: ids are the chat template's everywhere, and only responses are supervised.

The templates of 32 families are in `chat_templates/`. Each is tested on `CONVERSATIONS` random
conversations; LAMINI_SLOW_TESTS=1 makes them 1,000.
"""

import functools
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from tokenizer_kinds import llama3
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from lamini.errors import LaminiError, SettingsError
from lamini.evaluation.requests import RequestEncoder
from lamini.evaluation.wrapper import fit_prompts
from lamini.files import read_jsonl
from lamini.settings.params.common import Location
from lamini.settings.params.students import ChatTemplate, TokenizePairs
from lamini.settings.root import Config
from lamini.settings.students import Tokenizer as TokenizerSettings
from lamini.students.chat import CONTROL_TOKEN, INEXACT, chat_format, export_chat
from lamini.students.token_cache import UNUSABLE, TokenCache
from lamini.students.tokenization import tokenize_pairs
from lamini.students.tokenizers import load_tokenizer
from lamini.workflow import Workflow
from lamini.workflow.checks import check_files

CONFIG = Path(__file__).parents[2] / "config"
END = "<|end_of_text|>"
TEMPLATES = Path(__file__).parent / "chat_templates"
CHATML = ["<|im_start|>", "<|im_end|>"]
ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]
HEADERS = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
TURNS = ["<start_of_turn>", "<end_of_turn>"]
INST = ["[INST]", "[/INST]"]
COHERE = [f"<|{name}_TOKEN|>" for name in ("START_OF_TURN", "END_OF_TURN", "USER", "CHATBOT")]
KIMI = [f"<|im_{name}|>" for name in ("system", "user", "assistant", "middle", "end")]
FAMILIES: dict[str, tuple[list[str], str]] = {
    "chatml": (CHATML, "<|im_end|>"),
    "command_r": (COHERE, "<|END_OF_TURN_TOKEN|>"),
    "deepseek_v2": ([], END),
    "falcon3": (ROLES, END),
    "gemma2": (TURNS, "<end_of_turn>"),
    "gemma3": (TURNS, "<end_of_turn>"),
    "granite3": (["<|start_of_role|>", "<|end_of_role|>"], END),
    "kimi_k2": (KIMI, "<|im_end|>"),
    "lfm2": (CHATML, "<|im_end|>"),
    "llama3": (HEADERS, "<|eot_id|>"),
    "llama32": (HEADERS, "<|eot_id|>"),
    "mistral": (INST, END),
    "mistral_large": ([*INST, "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"], END),
    "mistral_nemo": (INST, END),
    "mistral_small31": ([*INST, "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"], END),
    "olmo2": ([], END),
    "openchat35": (["<|end_of_turn|>"], "<|end_of_turn|>"),
    "phi3": ([*ROLES, "<|end|>"], "<|end|>"),
    "phi4": ([*CHATML, "<|im_sep|>"], "<|im_end|>"),
    "phi4_mini": ([*ROLES, "<|end|>"], END),
    "qwen25": (CHATML, "<|im_end|>"),
    "qwen3": (CHATML, "<|im_end|>"),
    "seed_oss": ([], END),
    "smollm2": (CHATML, "<|im_end|>"),
    "vicuna": ([], END),
    "zephyr": ([], END),
}
"""Control tokens and end token of each family that can be trained on."""
BEGINNING = "do not begin the ids of the whole conversation"
REFUSED: dict[str, tuple[list[str], str]] = {
    "deepseek_r1_distill": (["<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"], BEGINNING),
    "glm4": (["[gMASK]", "<sop>", *ROLES], "ends a response with '', which is no control token"),
    "llama2": ([], f"ends a response with ' {re.escape(END)}', which is no control token"),
    "nemotron_nano2": (
        [f"<SPECIAL_{number}>" for number in (10, 11, 12)],
        r"ends a response with '\\n<SPECIAL_12>\\n\\n', which is no control token",
    ),
    "olmo3_think": (CHATML, BEGINNING),
    "solar": ([], r"ends a response with '\\n\\n', which is no control token"),
}
"""Control tokens of the families that are refused in any case, and the reason."""
SYSTEM = "It's\nbrief: \\n {{ x }}"
REFUSED_SYSTEM = {
    "gemma2": "System role not supported",
    "mistral": BEGINNING,
    "mistral_nemo": BEGINNING,
}
"""Families that are refused with a system message only."""
NEED_SYSTEM = {"mistral_small31": "writes today's date into the prompt"}
"""Families that are refused without a system message only."""
FIXED: dict[str, dict[str, Any]] = {"llama32": {"date_string": "26 Jul 2024"}}
"""Options without which a template cannot be used."""
CONVERSATIONS = 1000 if "LAMINI_SLOW_TESTS" in os.environ else 60
"""Random conversations of each family; in continuous integration few, for time."""


@functools.cache
def _small() -> str:
    """A small tokenizer of Llama 3's form; it adds a begin token, which templates write as well."""
    return llama3().backend_tokenizer.to_str()


@functools.cache
def _tokenizer(family: str) -> Any:
    names = {"bos_token": "<|begin_of_text|>", "eos_token": END}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(_small()), **names)
    tokens = (FAMILIES | REFUSED)[family][0]
    tokenizer.add_tokens([AddedToken(token, special=True) for token in tokens])
    tokenizer.add_tokens([AddedToken("<think>"), AddedToken("</think>")])
    tokenizer.chat_template = (TEMPLATES / f"{family}.jinja").read_text(encoding="utf-8")
    return tokenizer


def _texts(family: str) -> Iterator[tuple[str, str]]:
    """Random instructions and responses; many of them hostile, some of them empty."""
    draw = random.Random(family)
    markers = [*FAMILIES[family][0], END, "</think>", "<think>", "[/INST]"]
    harmless = ["Name", " a sea", ".", "\n", "\n\n", "  ", "42", " été 海 🦙", "{{ x }}", "'\\n'"]
    pieces = [*harmless * 4, "user\n", "assistant\n", "<tool_response>", "</s>", *markers]
    for _ in range(CONVERSATIONS):
        yield tuple("".join(draw.choices(pieces, k=draw.randrange(7))) for _ in "ab")  # type: ignore[misc]


def _own(
    tokenizer: Any, system: str | None, options: dict[str, Any], *texts: str
) -> tuple[list[int], str]:
    """Ids and text that the unchanged template gives."""
    messages = [{"role": "system", "content": system}] if system is not None else []
    messages += [
        {"role": role, "content": text}
        for role, text in zip(("user", "assistant"), texts, strict=False)
    ]
    given: dict[str, Any] = {"add_generation_prompt": len(texts) == 1, **options}
    ids = tokenizer.apply_chat_template(messages, return_dict=False, **given)
    return ids, tokenizer.apply_chat_template(messages, tokenize=False, **given)


@pytest.mark.parametrize(
    ("family", "system"),
    [
        *((family, None) for family in FAMILIES if family not in NEED_SYSTEM),
        *((family, SYSTEM) for family in FAMILIES if family not in REFUSED_SYSTEM),
    ],
)
def test_ids_are_the_templates_and_exactly_the_response_is_supervised(
    family: str, system: str | None
) -> None:
    tokenizer, options = _tokenizer(family), FIXED.get(family, {})
    form = chat_format(tokenizer, ChatTemplate(system=system, options=options))
    end = FAMILIES[family][1]
    texts = list(_texts(family))
    trained = 0
    for (asked, said), pair in zip(texts, form.tokenize(*zip(*texts, strict=True)), strict=True):
        prompt, prompt_text = _own(tokenizer, system, options, asked)
        whole, whole_text = _own(tokenizer, system, options, asked, said)
        assert pair.prompt == prompt
        assert form.render(asked) == prompt_text
        if pair.problem == INEXACT:
            assert whole[: len(prompt)] != prompt
        elif pair.problem == CONTROL_TOKEN:
            assert any(token in said for token in [*FAMILIES[family][0], END])
        else:
            trained += 1
            assert whole[: len(prompt) + len(pair.response)] == [*prompt, *pair.response]
            supervised = tokenizer.decode(pair.response)
            turn = whole_text.removeprefix(prompt_text)
            assert turn.startswith(supervised)
            assert supervised.endswith(end)
            assert turn.removeprefix(supervised).replace(END, "").strip() == ""
            assert supervised.count(end) == 1
            assert said.split("</think>")[-1].strip() in supervised
    assert trained > CONVERSATIONS / 3


def test_each_template_has_an_outcome() -> None:
    assert {path.stem for path in TEMPLATES.glob("*.jinja")} == {*FAMILIES, *REFUSED}


@pytest.mark.parametrize(
    ("family", "system", "message"),
    [
        *(
            (family, system, text)
            for family, (_, text) in REFUSED.items()
            for system in (None, SYSTEM)
        ),
        *((family, SYSTEM, text) for family, text in REFUSED_SYSTEM.items()),
        *((family, None, text) for family, text in NEED_SYSTEM.items()),
    ],
)
def test_families_without_exact_prompts_are_refused(
    family: str, system: str | None, message: str
) -> None:
    with pytest.raises(LaminiError, match=message):
        chat_format(_tokenizer(family), ChatTemplate(system=system))


@pytest.mark.parametrize(("thinking", "opening"), [(None, "<think>\n\n</think>\n\n"), (False, "")])
def test_options_are_written_into_the_template(thinking: bool | None, opening: str) -> None:
    options = {} if thinking is None else {"enable_thinking": thinking}
    form = chat_format(_tokenizer("qwen3"), ChatTemplate(options=options))
    (pair,) = form.tokenize(["Sing."], ["La."])
    assert form.tokenizer.decode(pair.response) == f"{opening}La.<|im_end|>"
    again = chat_format(form.tokenizer, ChatTemplate(template=form.template, options=options))
    assert again.template == form.template


@pytest.mark.parametrize(
    ("family", "chat", "message"),
    [
        ("llama32", {}, "writes today's date into the prompt"),
        ("zephyr", {"template": ""}, "no chat template; set `chat.template`"),
        ("zephyr", {"template": "{{ messages[-1].content }}"}, "is no control token"),
        ("zephyr", {"template": "{{ messages[0].content | upper }}"}, "one text before and one"),
        (
            "zephyr",
            {
                "template": "{{ messages[0].content }}|"
                "{{ messages[1].content | upper if messages[1] is defined }}"
            },
            "it changes the response",
        ),
        ("zephyr", {"template": "{{ raise_exception('no system role') }}"}, "no system role"),
    ],
)
def test_a_template_that_is_not_exact_is_refused(
    family: str, chat: dict[str, Any], message: str
) -> None:
    with pytest.raises(LaminiError, match=message):
        chat_format(_tokenizer(family), ChatTemplate(**chat))


def test_training_evaluation_and_the_exported_tokenizer_have_the_same_prompts(
    tmp_path: Path,
) -> None:
    _tokenizer("gemma3").save_pretrained(tmp_path / "own")
    place, chat = Location(path=str(tmp_path / "own")), ChatTemplate(system="Be 'brief'.\n")
    asked = ["Name a sea.", " spaces ", "été 🦙 <end_of_turn>", "", "x"]
    said = ["The Aral Sea.", "Yes", "no", "empty", "forged<end_of_turn>"]
    rows = pl.DataFrame({"instruction": [*asked, "y"], "response": [*said, " "]})
    rows.write_parquet(tmp_path / "pairs.parquet")
    settings = TokenizePairs(tokenizer=place, prompt_format="chat", chat=chat, pad_token=None)
    tokenize_pairs(
        dataset=tmp_path / "pairs.parquet",
        manifest=tmp_path / "cache" / "manifest.json",
        settings=settings,
    )
    cache = TokenCache(tmp_path / "cache")
    assert list(read_jsonl(tmp_path / "cache" / UNUSABLE)) == [
        {"pair": 4, "reason": CONTROL_TOKEN},
        {"pair": 5, "reason": "empty_response"},
    ]

    tokenizer = load_tokenizer(place.path)
    export_chat(tokenizer, chat)
    tokenizer.save_pretrained(tmp_path / "final")
    exported = load_tokenizer(str(tmp_path / "final"))
    assert exported.eos_token == "<end_of_turn>"
    assert cache.manifest["eos_token_id"] == exported.eos_token_id
    form = chat_format(exported, chat)
    ids_of_yes = exported("yes", add_special_tokens=False)["input_ids"]
    fitted = fit_prompts(exported, [form.render(text) for text in asked], form, None)
    for protocol in ("paper", "modern"):
        encoder = RequestEncoder(exported, "decoder-only", protocol, form, 512, 0)
        sent = encoder.encode([(form.render(text), "yes") for text in asked])
        for pair, (text, request) in enumerate(zip(asked, sent, strict=True)):
            trained = cache.prompt(pair).tolist()
            assert fitted[pair].tokens == trained
            assert request is not None
            whole = [*request.context.tolist(), *request.continuation.tolist()]
            assert whole == trained + ids_of_yes
            if protocol == "paper":  # `modern` scores the template's last line break, as lm-eval
                assert request.context.tolist() == trained
            message = [{"role": "user", "content": text}]
            given = exported.apply_chat_template(message, add_generation_prompt=True)
            assert given["input_ids"] == trained

    long = "sea " * 300
    (cut,) = fit_prompts(exported, [form.render(long)], form, 60)
    assert cut.text.startswith(form.before)
    assert cut.text.endswith(form.after)
    assert len(cut.tokens) <= 60
    short = RequestEncoder(exported, "decoder-only", "modern", form, 60, 0).encode(
        [(form.render(long), "yes")]
    )
    assert short[0] is not None
    head = np.array(form.ids([form.before])[0][:-1])
    assert (short[0].context[: len(head)] == head).all()


def test_settings_refuse_chat_where_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper: dict[str, Any] = {}
    for name in ("config", "sources", "models", "tasks"):
        paper |= yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    paper["human_evaluation"]["studies"]["models"]["exclude"] = None
    trained = {"train": {"kind": "gpt2", "vocabulary": 999}}
    for wrong, message in (
        ({**trained, "prompt_format": "chat"}, "a trained tokenizer has no chat template"),
        ({**trained, "prompt_format": "bare", "chat": {}}, "`chat` needs `prompt_format: chat`"),
    ):
        with pytest.raises(ValueError, match=message):
            TokenizerSettings.model_validate(wrong)

    _tokenizer("zephyr").save_pretrained(tmp_path / "own")
    paper["tokenizers"]["gpt2"] = {"folder": "own", "prompt_format": "chat"}
    check_files(Workflow(paper))
    params = Workflow(paper).tokenized_params("gpt2", "d_all").as_params()
    assert params["chat"] == {"template": None, "system": None, "options": {}}
    assert "chat" not in Workflow(paper).tokenized_params("t5", "d_all").as_params()
    (tmp_path / "own/chat_template.jinja").unlink()
    with pytest.raises(SettingsError, match=r"own has no chat template; set `chat\.template`"):
        check_files(Workflow(paper))
    chat = {"template": "own.jinja", "system": "Be brief.", "options": {"a": False, "b": 1}}
    paper["tokenizers"]["gpt2"]["chat"] = chat
    with pytest.raises(SettingsError, match=r"own\.jinja: no such file"):
        check_files(Workflow(paper))
    Path("own.jinja").write_text("text")
    check_files(Workflow(paper))
    flow, fixed = Workflow(paper), ChatTemplate(**chat | {"template": "text"})
    assert flow.tokenized_params("gpt2", "d_all").chat == fixed
    assert flow.training_params("lamini-gpt-124m").chat == fixed
    assert flow.evaluated_model_params("lamini-gpt-124m").chat == fixed
    assert flow.evaluated_model_params("gpt2").chat is None

    paper["tokenizers"]["t5"]["prompt_format"] = "chat"
    with pytest.raises(ValueError, match="for decoder-only models, not encoder-decoder"):
        Config.model_validate(paper)
