"""Substitutes for the teacher and students in `config/examples/herd.yaml`.

`python tests/workflow/herd_parts.py` puts two tiny models of random weights into `models/` and
answers as the teacher on port 8000, until it is stopped. The key is any word: `HERD_API_KEY=none`.
"""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "unit"))

from writing_endpoint import WritingEndpoint  # noqa: E402

_PORT = 8000
_DISHES = ("soup", "bread", "salad", "cake", "stew", "rice", "pie")
_WAYS = ("cook", "season", "freeze", "reheat", "serve", "plate")


def answer(body: dict[str, Any]) -> tuple[str, str]:
    """New instructions if the prompt requests examples, otherwise an answer."""
    prompt = body["messages"][-1]["content"]
    if not (asked := re.search(r"Generate (\d+) diverse examples", prompt)):
        return f"In short: {prompt.strip()[:60]}", "stop"
    first = sum(prompt.encode())
    texts = (
        f"How do I {_WAYS[n % len(_WAYS)]} a {_DISHES[n % len(_DISHES)]} for {n % 97 + 2} people?"
        for n in range(first, first + int(asked[1]))
    )
    return "\n".join(f"<example>{text}</example>" for text in texts), "stop"


def make_students(folder: Path, texts: Path) -> None:
    """Save a Llama and a BART of random weights, with tokenizers trained on some instructions.

    Args:
        folder: gets `my-llama/` and `my-bart/`, as `save_pretrained` writes them.
        texts: JSONL with the column `instruction`.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from tokenizers.decoders import ByteLevel
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
    from transformers import PreTrainedTokenizerFast as FastTokenizer

    lines = [json.loads(line)["instruction"] for line in texts.read_text("utf-8").splitlines()]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(lines, trainer)
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    ids = {"vocab_size": bpe.get_vocab_size(), "bos_token_id": 0, "eos_token_id": 2}
    torch.manual_seed(0)

    llama = AutoConfig.for_model(
        "llama",
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        **ids,
    )
    AutoModelForCausalLM.from_config(llama).save_pretrained(folder / "my-llama")
    FastTokenizer(tokenizer_object=bpe, **ends).save_pretrained(folder / "my-llama")

    bart = AutoConfig.for_model(
        "bart",
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=1024,
        decoder_start_token_id=2,
        pad_token_id=1,
        **ids,
    )
    AutoModelForSeq2SeqLM.from_config(bart).save_pretrained(folder / "my-bart")
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    with_padding = FastTokenizer(tokenizer_object=bpe, pad_token="<pad>", **ends)
    with_padding.save_pretrained(folder / "my-bart")


@contextlib.contextmanager
def herd_parts(root: Path, port: int = 0) -> Iterator[WritingEndpoint]:
    """Make the students in `root`, and serve the teacher until the block ends."""
    make_students(root / "models", root / "config/examples/herd/cooking.jsonl")
    with WritingEndpoint(write=answer, port=port) as teacher:
        yield teacher


if __name__ == "__main__":
    with herd_parts(ROOT, _PORT) as served:
        print(f"models/my-llama, models/my-bart; the teacher is at {served.base_url} (Ctrl-C ends)")
        with contextlib.suppress(KeyboardInterrupt):
            served._thread.join()
