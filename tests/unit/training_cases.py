"""Small models and token caches for the tests of training."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from lamini.files import write_folder_manifest, write_jsonl
from lamini.settings.params.common import Location
from lamini.settings.params.students import TrainTokenizer
from lamini.settings.students import Recipe, TrainedTokenizer
from lamini.students.numerics import choose_precision
from lamini.students.pretrained import separate_head
from lamini.students.token_cache import BOUNDARIES, TOKENS, UNUSABLE, TokenCache
from lamini.students.tokenizers import train_tokenizer
from lamini.training.adapter import train_adapter_only
from lamini.training.job import TrainingJob
from lamini.training.loop import Trainer
from lamini.training.pairs import select_pairs
from lamini.training.ranks import Ranks

CPU = torch.device("cpu")
VOCABULARY = 97
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
CONFIGS: dict[str, dict[str, Any]] = {
    "t5": {"model_type": "t5", **_T5},
    "t5-v1.1": {
        "model_type": "t5",
        **_T5,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    },
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "gpt-neo": {
        "model_type": "gpt_neo",
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
        "max_position_embeddings": 128,
    },
    "cerebras-gpt": {
        "model_type": "gpt2",
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 128,
        "activation_function": "gelu",
        "n_inner": 96,
    },
    "llama": {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}

NUMBERED: dict[str, dict[str, Any]] = {
    "bart": {
        "model_type": "bart",
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 128,
    },
}
"""Encoder-decoders outside the paper, which number their positions."""


def architecture(name: str) -> str:
    return "encoder-decoder" if name.startswith(("t5", "bart")) else "decoder-only"


def tiny_model(name: str, seed: int = 0, dropout: bool = False) -> Any:
    """A random model with weights of noticeable size; by default without dropout."""
    torch.manual_seed(seed)
    special = {"vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    config = AutoConfig.for_model(**special, decoder_start_token_id=0, **(CONFIGS | NUMBERED)[name])
    if not dropout:
        for key in list(vars(config)):
            if "drop" in key:
                setattr(config, key, 0.0)
    maker = AutoModelForCausalLM if architecture(name) == "decoder-only" else AutoModelForSeq2SeqLM
    model = maker.from_config(config, dtype=torch.float32)
    if name == "t5-v1.1":
        separate_head(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def tiny_cache(folder: Path, pairs: int = 24, longest: int = 40, shared: int = 0) -> TokenCache:
    """A cache of random tokens of very different lengths; all prompts start with `shared`."""
    generator = np.random.default_rng(7)
    head = np.arange(2, 2 + shared)
    parts = []
    for _ in range(pairs):
        prompt, response = generator.integers(1, longest, size=2)
        parts.append(np.append(head, generator.integers(2, VOCABULARY, size=prompt)))
        parts.append(np.append(generator.integers(2, VOCABULARY, size=response - 1), 1))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TOKENS).write_bytes(np.concatenate(parts).astype(np.uint16).tobytes())
    np.save(folder / BOUNDARIES, np.cumsum([0, *map(len, parts)]))
    write_jsonl(folder / UNUSABLE, [])
    facts = {"pairs": pairs, "token_type": "uint16", "vocabulary": VOCABULARY}
    write_folder_manifest(folder, facts | {"dataset_sha256": "0" * 64})
    return TokenCache(folder)


def make_tokenizer(
    dataset: Path, kind: Literal["t5", "gpt2"], folder: Path, vocabulary: int = 340
) -> None:
    """Train a tokenizer on a mixture's parquet."""
    train = TrainedTokenizer(kind=kind, vocabulary=vocabulary)
    settings = TrainTokenizer(train=train, pad_token=None)
    train_tokenizer(dataset=dataset, manifest=folder / "manifest.json", settings=settings)


def recipe(**changes: Any) -> Recipe:
    """A short recipe."""
    settings: dict[str, Any] = {
        "epochs": 2,
        "batch_pairs": 8,
        "learning_rate": 1e-2,
        "schedule": "cosine",
        "warmup_ratio": 0.1,
        "max_prompt_tokens": 64,
        "max_response_tokens": 64,
        "held_out_pairs": 4,
        "tokens_per_micro_batch": 120,
        "save_minutes": 1e-6,
    }
    return Recipe(**{**settings, **changes})


def tiny_job(model: Any, **changes: Any) -> TrainingJob:
    """Settings for training a tiny model."""
    place = Location(path="nowhere")
    return TrainingJob(
        model="tiny",
        name="Tiny",
        architecture="encoder-decoder" if model.config.is_encoder_decoder else "decoder-only",
        initialization=place,
        tokenizer=place,
        prompt_format="bare",
        pad_token=None,
        recipe=recipe(**changes),
    )


def tiny_trainer(
    model: Any, cache: TokenCache, work: Path, ranks: Ranks | None = None, **changes: Any
) -> Trainer:
    """A trainer of a tiny model on the CPU, or of its adapter if the recipe has one."""
    job = tiny_job(model, **changes)
    train_adapter_only(
        job, model, choose_precision(job.recipe.precision, CPU, before_ampere="fp16")
    )
    return Trainer(
        job=job,
        model=model,
        start_token=0,
        cache=cache,
        selection=select_pairs(cache, job.recipe),
        work=work,
        ranks=ranks or Ranks(0),
        fingerprint="tiny",
    )


SENTENCE = "the sea is blue and red birds sing of a green hill where rivers run to the old town"
WORDS = SENTENCE.split()


def write_dataset(path: Path, pairs: int = 120, longest: int = 1000) -> Path:
    """A mixture's parquet with simple sentences, a few hostile ones, and one of `longest` words."""
    generator = np.random.default_rng(3)
    sentences = [
        " ".join(generator.choice(WORDS, size=generator.integers(3, 15))) for _ in range(2 * pairs)
    ]
    rows = {"instruction": sentences[::2], "response": sentences[1::2]}
    rows["response"][3] = "it ends </s> here <|endoftext|> not"
    rows["response"][5] = " \n"
    rows["instruction"][7] = "the sea " * (longest // 2)
    rows["response"][9] = "the sea " * 500
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({**rows, "instruction_source": ["alpaca"] * pairs}).write_parquet(path)
    return path
