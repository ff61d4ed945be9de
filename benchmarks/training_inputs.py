"""Synthetic pairs with the paper's lengths, tokenised for small students like GPT-2 and T5.

Token counts are lognormal with the means of the paper's dataset. The vocabularies are small like
the models, so that the output head has the same share of the work as in GPT-2 124M.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from dataset_inputs import Writer

from lamini.forward.own import start_token
from lamini.prompt_formats import render_prompt
from lamini.settings.params.common import Location
from lamini.settings.params.students import TokenizePairs, TrainTokenizer
from lamini.settings.students import Architecture, Recipe, TrainedTokenizer
from lamini.students.pretrained import random_model
from lamini.students.token_cache import TokenCache
from lamini.students.tokenization import tokenize_pairs
from lamini.students.tokenizers import load_tokenizer, train_tokenizer
from lamini.training.job import TrainingJob
from lamini.training.pairs import select_pairs

INSTRUCTION_TOKENS, RESPONSE_TOKENS = 50.6, 32.9
"""Mean lengths of the paper's 2.58M pairs, in GPT-2 tokens, without the prompt wrapper."""
SPREADS = 0.85, 0.95
"""Standard deviations of the logarithms of instruction and response lengths."""
VOCABULARY = 8192
LONGEST = 512
SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 256,
        "n_layer": 6,
        "n_head": 4,
        "n_positions": 1024,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    },
    "t5": {
        "model_type": "t5",
        "d_model": 256,
        "d_kv": 64,
        "d_ff": 1024,
        "num_layers": 4,
        "num_heads": 4,
        "dropout_rate": 0.0,
    },
}
"""Model configurations without dropout, so that all sides compute the same loss."""


@dataclass(frozen=True)
class Student:
    """A model with its settings, tokenizer and tokenised pairs."""

    job: TrainingJob
    model: Any
    """The initial model; each side trains a copy."""
    tokenizer: Any
    cache: TokenCache
    tokenized: Path

    @property
    def causal(self) -> bool:
        """Whether it is decoder-only."""
        return self.job.architecture == "decoder-only"

    @property
    def start_token(self) -> int:
        """Id that fills padding and starts the responses of an encoder-decoder."""
        return self.tokenizer.eos_token_id if self.causal else start_token(self.model)

    def usable(self) -> np.ndarray:
        """Training pairs (short enough), as rows of the token cache."""
        return select_pairs(self.cache, self.job.recipe).training


def write_pairs(folder: Path, count: int, vocabulary: int = VOCABULARY) -> Path:
    """Write random pairs as the Parquet file of a mixture, and tokenizers for them to `folder`."""
    writer = Writer(1)
    first = _texts(writer, 2000, INSTRUCTION_TOKENS, SPREADS[0])
    # The text contains the prompt wrapper, so that the wrapper's words become tokens.
    wrapped = [render_prompt("alpaca", text) for text in first[:500]]
    pl.DataFrame({"instruction": first, "response": [*wrapped, *first[500:]]}).write_parquet(
        folder / "text.parquet"
    )
    for kind in ("gpt2", "t5"):
        train = TrainedTokenizer(kind=kind, vocabulary=vocabulary)  # type: ignore[arg-type]
        train_tokenizer(
            dataset=folder / "text.parquet",
            manifest=folder / "tokenizers" / kind / "manifest.json",
            settings=TrainTokenizer(train=train, pad_token=None),
        )
    tokenizer = load_tokenizer(str(folder / "tokenizers/gpt2"))
    per_word = sum(map(len, tokenizer(first)["input_ids"])) / sum(len(t.split()) for t in first)
    means = INSTRUCTION_TOKENS / per_word, RESPONSE_TOKENS / per_word
    instructions, responses = (
        _texts(writer, count, mean, spread) for mean, spread in zip(means, SPREADS, strict=True)
    )
    pl.DataFrame({"instruction": instructions, "response": responses}).write_parquet(
        folder / "pairs.parquet"
    )
    return folder / "pairs.parquet"


def make_student(
    kind: str,
    dataset: Path,
    pairs: int,
    tokens_per_micro_batch: int | str,
    shape: dict[str, Any] | None = None,
    **changes: Any,
) -> Student:
    """A student with random weights, and a recipe with steps of `pairs` pairs.

    Args:
        kind: kind of the tokenizer, `gpt2` or `t5`; without `shape`, also of the model.
        dataset: path returned by `write_pairs`.
        pairs: pairs of an optimiser step.
        tokens_per_micro_batch: most padded tokens of a micro-batch, or `auto`.
        shape: `model_type` and fields of its Hugging Face configuration.
        changes: fields of the recipe to change.
    """
    causal = kind == "gpt2"
    architecture: Architecture = "decoder-only" if causal else "encoder-decoder"
    wrapper, pad = ("alpaca", "[PAD]") if causal else ("bare", None)
    folder = dataset.parent
    location = Location(path=str(folder / "tokenizers" / kind))
    tokenized = folder / "tokenized" / kind
    if not tokenized.exists():
        tokenize_pairs(
            dataset=dataset,
            manifest=tokenized / "manifest.json",
            settings=TokenizePairs(tokenizer=location, prompt_format=wrapper, pad_token=pad),
        )
    fields: dict[str, Any] = {
        "epochs": 1,
        "batch_pairs": pairs,
        "learning_rate": 1e-6,
        "schedule": "constant",
        "warmup_ratio": 0,
        "max_prompt_tokens": LONGEST,
        "max_response_tokens": LONGEST,
        "tokens_per_micro_batch": tokens_per_micro_batch,
    }
    recipe = Recipe(**fields | changes)
    job = TrainingJob(
        model=kind,
        name=kind,
        architecture=architecture,
        initialization=location,
        tokenizer=location,
        prompt_format=wrapper,
        pad_token=pad,
        recipe=recipe,
    )
    tokenizer = load_tokenizer(location.path, pad_token=pad)
    model, _ = random_model(
        {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        | (shape or SHAPES[kind]),
        architecture,
        location,
        0,
    )
    return Student(job, model, tokenizer, TokenCache(tokenized), tokenized)


def _texts(writer: Writer, count: int, mean: float, spread: float) -> list[str]:
    """Random texts with `mean` words on average and at least one word."""
    random = writer.random
    drawn = random.lognormal(np.log(mean) - spread**2 / 2, spread, count)
    lengths = np.clip(drawn.round().astype(int), 1, 2 * LONGEST)
    words = writer.draw(int(lengths.sum()))
    ends = np.cumsum(lengths)
    return [" ".join(words[end - n : end]) for end, n in zip(ends, lengths, strict=True)]
