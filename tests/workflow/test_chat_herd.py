"""The example of chat models runs, with tiny models of the real architectures and a small vLLM."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from checkouts import ROOT, Checkout
from lamini.files import read_json, read_jsonl
from lamini.paths import DATASET

sys.path.append(str(ROOT / "tests/unit"))

from tokenizer_kinds import llama3

pytestmark = pytest.mark.timeout(3600)
EXAMPLE = "config/examples/chat-herd.yaml"
ONE_PROCESS = str(ROOT / "tests/rehearsal/one_process.py")
STUDENTS = ("chat-smollm2-135m", "chat-qwen3-0.6b")
MODELS = ("smollm2-135m", "qwen3-0.6b", *STUDENTS)
EXAMPLES = {"arc_easy": 6, "sciq": 4, "mmlu": 6, "gsm8k": 4, "triviaqa": 4}
SHAPES: dict[str, dict[str, Any]] = {
    "smollm2-135m": {"model_type": "llama", "tie_word_embeddings": True},
    "qwen3-0.6b": {"model_type": "qwen3", "head_dim": 16, "tie_word_embeddings": True},
}
CHATML = ("<|im_start|>", "<|im_end|>")


def _save(folder: Path, template: str | None, shape: dict[str, Any]) -> None:
    """Random weights of an architecture, with a tokenizer that has ChatML's tokens."""
    import torch
    from tokenizers import AddedToken
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = llama3()
    tokenizer.add_tokens([AddedToken(token, special=True) for token in CHATML])
    tokenizer.add_tokens([AddedToken("<think>"), AddedToken("</think>")])
    tokenizer.chat_template = template
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        **shape,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _stand_ins(checkout: Checkout) -> str:
    """Tiny models in place of the hub's, and a small vLLM; returns the overlay's name."""
    vllm = checkout.folder / ".venv-teacher/bin/vllm"
    vllm.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests/rehearsal/stand_in_vllm.py", vllm)
    qwen3 = (ROOT / "tests/unit/chat_templates/qwen3.jinja").read_text(encoding="utf-8")
    for (name, shape), template in zip(SHAPES.items(), (None, qwen3), strict=True):
        _save(checkout.folder / "models" / name, template, shape)
    places = {name: {"hub": None, "folder": f"models/{name}"} for name in SHAPES}
    smollm2, qwen = places.values()
    overlay: dict[str, Any] = {
        "tokenizers": {"smollm2-chat": smollm2, "qwen3-chat": qwen},
        "models": {
            name: {"weights": place, "parameters": 50_000} for name, place in places.items()
        },
        "recipes": {"chat": {"epochs": 1, "learning_rate": 1.0e-2}},
        "tasks": {"gsm8k": {"generation_kwargs": {"max_gen_toks": 8}}},
        "teacher": {"server": {"gpus": 0, "threads": 1}},
    }
    (checkout.folder / "small.yaml").write_text(yaml.safe_dump(overlay))
    return "small.yaml"


def test_the_example_distils_and_evaluates_chat_models(checkout: Checkout) -> None:
    small = _stand_ins(checkout)
    table = "results/tables/table_scores.md"
    done = checkout.run(sys.executable, ONE_PROCESS, EXAMPLE, small, "--", table)
    results = checkout.folder / "results"
    trained = re.findall(r"^train_model (\S+): ", done.stderr, re.MULTILINE)
    assert sorted(trained) == sorted(STUDENTS)
    data = pl.read_parquet(checkout.folder / DATASET.format(mixture="chat"))
    roles = [[turn["role"] for turn in messages] for messages in data["messages"]]
    assert roles == [["user", "assistant"] * 2] * 28
    for student in STUDENTS:
        facts = read_json(results / f"checkpoints/{student}/final/manifest.json")
        assert facts["pairs_used"] == 2 * 28, "each answer of 28 conversations"
        curve = list(read_jsonl(results / f"checkpoints/{student}/final/metrics.jsonl"))
        assert curve[-1]["loss"] < curve[1]["loss"]
    for model in MODELS:
        found = {task: read_json(results / f"evals/{model}/{task}.json") for task in EXAMPLES}
        assert {task: result["examples"] for task, result in found.items()} == EXAMPLES
        assert found["mmlu"]["num_fewshot"] == 5
        assert set(found["mmlu"]["parts"]) == {"mmlu_nutrition", "mmlu_high_school_chemistry"}
        assert list(found["gsm8k"]["other_metrics"]) == ["exact_match,flexible-extract"]
        assert found["sciq"]["prompt_format"] == (None if model == "smollm2-135m" else "chat")
        sent = _first_prompt(results / f"evals/{model}/lm_eval/samples_mmlu.jsonl")
        turns = sent.count("<|im_start|>user\n")
        assert turns == (0 if model == "smollm2-135m" else 6), "each solved example is a turn"
        assert sent.endswith("<think>\n\n</think>\n\n") == ("qwen3" in model)
    text = (checkout.folder / table).read_text()
    assert "| MMLU |" in text and "Chat-Qwen3-0.6B" in text


def _first_prompt(samples: Path) -> str:
    with samples.open() as lines:
        return str(json.loads(next(lines))["arguments"]["gen_args_0"]["arg_0"])
