"""Small tokenizers of each kind that students have, built like the originals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation_cases import MIRROR, gpt2_tokenizer, t5_tokenizer
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

_WORDS = Regex(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Llama 3's and Qwen's rule for words."""


def _trained(model: Any, trainer: Any, **parts: Any) -> Tokenizer:
    tokenizer = Tokenizer(model)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    texts = [path.read_text() for path in sorted(Path(MIRROR).rglob("*.jsonl"))]
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _adding(tokenizer: Tokenizer, before: str = "", after: str = "") -> Any:
    """A post-processor that adds tokens before and after each text."""
    tokens = [(token, tokenizer.token_to_id(token)) for token in (before, after) if token]
    single = f"{before} $A {after}".strip()
    return processors.TemplateProcessing(single=single, special_tokens=tokens)


def _sentencepiece(**parts: Any) -> PreTrainedTokenizerFast:
    """Llama's and Mistral's: pieces with a sign for the space, bytes for what is unknown."""
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False)
    bpe = models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    tokenizer = _trained(bpe, trainer, **parts)
    tokenizer.post_processor = _adding(tokenizer, "<s>")
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def _metaspace(scheme: str) -> PreTrainedTokenizerFast:
    rule = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme, split=False)
    return _sentencepiece(pre_tokenizer=rule)


def _prepending() -> PreTrainedTokenizerFast:
    """Llama 2's, which puts the sign before a text in its normalisation."""
    steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    return _sentencepiece(normalizer=normalizers.Sequence(steps))


def _byte_level(special: list[str], **parts: Any) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=900, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    rules: list[Any] = [
        pre_tokenizers.Split(_WORDS, "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    words = pre_tokenizers.Sequence(rules)
    tokenizer = _trained(models.BPE(), trainer, pre_tokenizer=words, **parts)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def llama3() -> PreTrainedTokenizerFast:
    """Byte-level, with a begin token that a post-processor adds."""
    begin, end = "<|begin_of_text|>", "<|end_of_text|>"
    tokenizer = _byte_level([begin, end])
    steps = [processors.ByteLevel(trim_offsets=False), _adding(tokenizer, begin)]
    tokenizer.post_processor = processors.Sequence(steps)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=begin, eos_token=end)


def _qwen() -> PreTrainedTokenizerFast:
    """Byte-level without a begin token, with normalised characters."""
    end = "<|endoftext|>"
    tokenizer = _byte_level([end], normalizer=normalizers.NFC())
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end)


def _bert() -> PreTrainedTokenizerFast:
    """Words and their parts, with a token before and one after each text."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=700, special_tokens=special, show_progress=False)
    tokenizer = _trained(
        models.WordPiece(unk_token="[UNK]"),
        trainer,
        normalizer=normalizers.BertNormalizer(),
        pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
    )
    tokenizer.post_processor = _adding(tokenizer, "[CLS]", "[SEP]")
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "eos_token": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", **names
    )


def unwritable() -> PreTrainedTokenizerFast:
    """Add a token that no text is converted to: `<x>` in a text is three characters."""
    tokenizer = _byte_level(["<end>"])
    vocabulary = {**tokenizer.get_vocab(), "<x>": tokenizer.get_vocab_size()}
    bare = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bare.pre_tokenizer = tokenizer.pre_tokenizer
    bare.post_processor = _adding(bare, "<x>")
    return PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="<end>")


KINDS: dict[str, Callable[[Path], Any]] = {
    "gpt2": lambda _: gpt2_tokenizer(),
    "llama-first": lambda _: _metaspace("first"),
    "llama-always": lambda _: _metaspace("always"),
    "llama-never": lambda _: _metaspace("never"),
    "llama2": lambda _: _prepending(),
    "llama3": lambda _: llama3(),
    "qwen": lambda _: _qwen(),
    "bert": lambda _: _bert(),
    "t5": t5_tokenizer,
}
ADDED = {
    "llama-first": ("<s>", ""),
    "llama-always": ("<s>", ""),
    "llama-never": ("<s>", ""),
    "llama2": ("<s>", ""),
    "llama3": ("<|begin_of_text|>", ""),
    "bert": ("[CLS]", "[SEP]"),
    "t5": ("", "</s>"),
}
"""What the kinds add before and after a text; the others add nothing."""
