"""Tokenizer and chat template of a GGUF file: byte-level BPE, as GPT-2, Llama 3 and Qwen have."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import gguf
from gguf import TokenType

from lamini.errors import LaminiError

if TYPE_CHECKING:
    from transformers import TokenizersBackend

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS = {_LLAMA3: "llama-bpe", _LLAMA3.replace("{1,3}", ""): "qwen2"}
"""llama.cpp's name of each pattern that splits a text into words."""


class _PreTokenizer(TypedDict, total=False):
    """A pre-tokenizer in the JSON of the library `tokenizers`, with the keys of its type."""

    type: str | None
    pretokenizers: "list[_PreTokenizer]"
    add_prefix_space: bool
    use_regex: bool
    individual_digits: bool
    pattern: dict[str, str]
    behavior: str


@dataclass(frozen=True)
class Vocabulary:
    """Tokens as a GGUF file has them."""

    pre: str
    """llama.cpp's name of the rule that splits a text into words."""
    tokens: list[str]
    """Texts by id; a row of the embedding without a token has a placeholder."""
    types: list[TokenType]
    merges: list[str]


def read_vocabulary(tokenizer: "TokenizersBackend", rows: int) -> Vocabulary:
    """Vocabulary of a tokenizer.

    Args:
        tokenizer: a fast tokenizer.
        rows: rows of the model's embedding, at least the number of tokens.

    Raises:
        LaminiError: if llama.cpp has no tokenizer of this kind; names the part that it lacks.
    """
    serialized = json.loads(tokenizer.backend_tokenizer.to_str())
    model = serialized["model"]
    name = tokenizer.name_or_path
    if model["type"] != "BPE" or model.get("byte_fallback"):
        raise LaminiError(
            f"{name}: only byte-level BPE tokenizers can be exported to GGUF, not {model['type']}"
            f"{' with byte fallback' if model.get('byte_fallback') else ''}"
        )
    normalizer = (serialized.get("normalizer") or {"type": "NFC"})["type"]
    if normalizer != "NFC":
        raise LaminiError(f"{name}: llama.cpp has no normalizer {normalizer}")
    texts = {number: text for text, number in model["vocab"].items()}
    types = dict.fromkeys(texts, TokenType.NORMAL)
    for added in serialized["added_tokens"]:
        texts[added["id"]] = added["content"]
        special = added["special"]
        types[added["id"]] = TokenType.CONTROL if special else TokenType.USER_DEFINED
    return Vocabulary(
        pre=_splitting(serialized["pre_tokenizer"], name),
        tokens=[texts.get(number, f"[PAD{number}]") for number in range(rows)],
        types=[types.get(number, TokenType.UNUSED) for number in range(rows)],
        merges=[m if isinstance(m, str) else " ".join(m) for m in model["merges"]],
    )


def _splitting(pre_tokenizer: _PreTokenizer | None, name: str) -> str:
    """llama.cpp's name of a pre-tokenizer."""
    steps = (pre_tokenizer or {}).get("pretokenizers") or [pre_tokenizer or {"type": None}]
    *others, last = steps
    if last["type"] == "ByteLevel" and not last["add_prefix_space"]:
        if last["use_regex"] and not others:
            return "gpt-2"
        if last["use_regex"] and others == [{"type": "Digits", "individual_digits": True}]:
            return "smollm"
        if not last["use_regex"] and len(others) == 1 and others[0]["type"] == "Split":
            pattern = others[0]["pattern"].get("Regex")
            if pattern in _SPLITS and others[0]["behavior"] == "Isolated":
                return _SPLITS[pattern]
    raise LaminiError(
        f"{name}: llama.cpp's name for its pre-tokenizer is not known ({json.dumps(steps)});"
        " those of GPT-2, SmolLM2, Llama 3 and Qwen are"
    )


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: "TokenizersBackend", rows: int) -> None:
    """Add vocabulary, special tokens and chat template to a GGUF file.

    Args:
        writer: the file's writer.
        tokenizer: a fast tokenizer.
        rows: rows of the model's embedding.

    Raises:
        LaminiError: if llama.cpp has no tokenizer of this kind.
    """
    vocabulary = read_vocabulary(tokenizer, rows)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    for number, add in (
        (tokenizer.bos_token_id, writer.add_bos_token_id),
        (tokenizer.eos_token_id, writer.add_eos_token_id),
        (tokenizer.pad_token_id, writer.add_pad_token_id),
        (tokenizer.unk_token_id, writer.add_unk_token_id),
    ):
        if number is not None:
            add(number)
    bare, whole = (tokenizer("a", add_special_tokens=add)["input_ids"] for add in (False, True))
    writer.add_add_bos_token(whole[0] != bare[0])
    writer.add_add_eos_token(whole[-1] != bare[-1])
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)
