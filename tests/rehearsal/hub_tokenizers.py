"""Small tokenizers in the files of the repositories that the paper's configuration names.

Each has the kind, the special tokens and the settings of the real one; the vocabulary is trained on
a few texts. The settings are those of the repositories' own `tokenizer_config.json`, with their
oddities: Alpaca's names no tokens, and GPT-4's class is GPT-2's although it cuts words otherwise.
"""

import functools
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

ROOT = Path(__file__).parents[2]
END = "<|endoftext|>"
GPT4_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""cl100k's rule for words: at most three digits together."""
Files = dict[str, bytes]


@functools.cache
def texts() -> list[str]:
    """English texts of the demo, of which the vocabularies are made."""
    places = sorted((ROOT / "config/demo").rglob("*.jsonl"))
    return [line for place in places for line in place.read_text("utf-8").splitlines()]


def as_json(value: Any) -> bytes:
    """A value as the bytes of a JSON file."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _byte_level(words: str | None, special: list[str], size: int = 600) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if words is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        cut = pre_tokenizers.Split(Regex(words), "removed", invert=True)
        rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, rest])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_special_tokens(special)
    return tokenizer


def _bpe_files(tokenizer: Tokenizer) -> Files:
    made = json.loads(tokenizer.to_str())
    vocabulary = made["model"]["vocab"] | {t["content"]: t["id"] for t in made["added_tokens"]}
    merges = [
        merge if isinstance(merge, str) else " ".join(merge) for merge in made["model"]["merges"]
    ]
    return {
        "vocab.json": json.dumps(vocabulary, ensure_ascii=False).encode(),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]).encode(),
        "tokenizer.json": tokenizer.to_str(pretty=True).encode(),
    }


@functools.cache
def _gpt2() -> Mapping[str, bytes]:
    return _bpe_files(_byte_level(None, [END]))


def gpt2(positions: int, *, named: bool) -> Files:
    """GPT-2's. Its own repositories give the length alone, others also the special tokens."""
    settings: dict[str, Any] = {"model_max_length": positions}
    files = dict(_gpt2())
    if named:
        names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
        settings |= {"add_prefix_space": False, "tokenizer_class": "GPT2Tokenizer", **names}
        files["special_tokens_map.json"] = as_json(names)
    return {**files, "tokenizer_config.json": as_json(settings)}


def lamini_gpt(positions: int) -> Files:
    """Of the released decoder-only students: GPT-2's with `[PAD]` as its last entry."""
    tokenizer = _byte_level(None, [END, "[PAD]"])
    names = {**dict.fromkeys(("bos_token", "eos_token", "unk_token"), END), "pad_token": "[PAD]"}
    settings = {"model_max_length": positions, "tokenizer_class": "GPT2Tokenizer", **names}
    return {
        **_bpe_files(tokenizer),
        "added_tokens.json": as_json({"[PAD]": tokenizer.get_vocab_size() - 1}),
        "special_tokens_map.json": as_json(names),
        "tokenizer_config.json": as_json(settings),
    }


def gpt4() -> Files:
    """cl100k in Hugging Face's form."""
    special = [END, "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|endofprompt|>"]
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
    settings = {
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 8192,
        "tokenizer_class": "GPT2Tokenizer",
        **names,
    }
    return {
        **_bpe_files(_byte_level(GPT4_WORDS, special)),
        "special_tokens_map.json": as_json(names),
        "tokenizer_config.json": as_json(settings),
    }


def qwen2() -> Files:
    """Qwen 2.5's, with a chat template."""
    special = [END, "<|im_start|>", "<|im_end|>"]
    template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    settings = {
        "chat_template": template,
        "eos_token": "<|im_end|>",
        "pad_token": END,
        "model_max_length": 131072,
        "tokenizer_class": "Qwen2Tokenizer",
    }
    return {
        **_bpe_files(_byte_level(GPT4_WORDS, special)),
        "tokenizer_config.json": as_json(settings),
    }


@functools.cache
def bert() -> Mapping[str, bytes]:
    """BERT's word pieces in lower case."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = _word_pieces(special, "[CLS]", "[SEP]", "[UNK]")
    settings = {"do_lower_case": True, "model_max_length": 512}
    return _word_piece_files(tokenizer, settings)


@functools.cache
def mpnet() -> Mapping[str, bytes]:
    """MPNet's word pieces, which start and end a text as RoBERTa's do."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]
    tokenizer = _word_pieces(special, "<s>", "</s>", "[UNK]")
    names = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "[UNK]",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "mask_token": {
            "content": "<mask>",
            "single_word": False,
            "lstrip": True,
            "rstrip": False,
            "normalized": False,
        },
    }
    settings = {
        "do_lower_case": True,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "model_max_length": 512,
        "tokenizer_class": "MPNetTokenizer",
        **names,
        "mask_token": "<mask>",
    }
    files = _word_piece_files(tokenizer, settings)
    return {**files, "special_tokens_map.json": as_json(names)}


def _word_pieces(special: list[str], first: str, last: str, unknown: str) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts(), trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", pair=f"{first} $A {last} $B {last}", special_tokens=ends
    )
    return tokenizer


def _word_piece_files(tokenizer: Tokenizer, settings: dict[str, Any]) -> Files:
    order = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    return {
        "vocab.txt": "\n".join([token for token, _ in order] + [""]).encode(),
        "tokenizer.json": tokenizer.to_str(pretty=True).encode(),
        "tokenizer_config.json": as_json(settings),
    }


@functools.cache
def _pieces(kind: str, **special: int) -> bytes:
    """A SentencePiece model."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts()),
        model_writer=written,
        model_type=kind,
        vocab_size=700,
        hard_vocab_limit=False,
        byte_fallback=kind == "bpe",
        num_threads=1,
        max_sentence_length=1 << 20,
        minloglevel=2,
        **special,
    )
    return written.getvalue()


@functools.cache
def t5() -> Mapping[str, bytes]:
    """T5's unigram pieces and its 100 sentinel tokens."""
    from sentencepiece import sentencepiece_model_pb2
    from transformers import T5Tokenizer

    pieces = _pieces("unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    model.ParseFromString(pieces)
    tokenizer = T5Tokenizer(
        vocab=[(piece.piece, piece.score) for piece in model.pieces],
        extra_ids=100,
        _spm_precompiled_charsmap=model.normalizer_spec.precompiled_charsmap,
        model_max_length=512,
    )
    return {**_saved(tokenizer), "spiece.model": pieces}


@functools.cache
def llama_pieces() -> bytes:
    """LLaMA's pieces, with a piece for each byte."""
    return _pieces("bpe", unk_id=0, bos_id=1, eos_id=2, pad_id=-1)


@functools.cache
def llama() -> Mapping[str, bytes]:
    """LLaMA's, as huggyllama's repository has it: a fast tokenizer beside the pieces."""
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    settings = {
        "add_bos_token": True,
        "add_eos_token": False,
        "model_max_length": 2048,
        "tokenizer_class": "LlamaTokenizer",
        **names,
    }
    pieces = llama_pieces()
    slow = {"tokenizer.model": pieces, "tokenizer_config.json": as_json(settings)}
    fast = _reloaded(slow)["tokenizer.json"]
    return {**slow, "tokenizer.json": fast, "special_tokens_map.json": as_json(names)}


def alpaca(size: int) -> Files:
    """Alpaca's: pieces only, and settings that name no tokens."""
    settings = {
        "bos_token": "",
        "eos_token": "",
        "model_max_length": 512,
        "padding_side": "right",
        "special_tokens_map_file": "/home/user/special_tokens_map.json",
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "",
    }
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "</s>")
    return {
        "tokenizer.model": llama_pieces(),
        "tokenizer_config.json": as_json(settings),
        "special_tokens_map.json": as_json({**names, "pad_token": "[PAD]"}),
        "added_tokens.json": as_json({"[PAD]": size}),
    }


def _saved(tokenizer: Any) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return dict(_contents(Path(folder)))


def _reloaded(files: Files) -> Files:
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return _saved(AutoTokenizer.from_pretrained(folder))


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()
