"""Tokenization of prompts; if the tokenizer allows it, the prompt wrapper is tokenized only once.

GPT-2's pre-tokenizer always splits between a newline and a character that is not white space. The
tokens of an instruction in Alpaca's wrapper are therefore the tokens of the wrapper's head, of the
instruction and of the wrapper's tail, tokenized separately. The wrapper is more than a third of an
average prompt.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from lamini.prompt_formats import prompt_parts, render_prompt

if TYPE_CHECKING:
    from transformers import TokenizersBackend


class PromptTokenizer:
    """Tokenizes prompts, with the tokenizer's special tokens, as at inference.

    Args:
        tokenizer: tokenizer of the model.
        prompt_format: name of the prompt format (`lamini.prompt_formats`).
    """

    def __init__(self, tokenizer: "TokenizersBackend", prompt_format: str) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._prompt_format = prompt_format
        head, tail = prompt_parts(prompt_format)
        cut = _ends_in_one_newline(head) and tail.startswith("\n")
        self.in_parts = cut and _cuts_at_newlines(self._backend)
        """Whether the wrapper is tokenized only once."""
        if self.in_parts:
            self._head, self._tail = (self._backend.encode(part).ids for part in (head, tail))

    def tokenize(self, instructions: Sequence[str]) -> list[list[int]]:
        """Token ids of each instruction's prompt."""
        self._backend.encode_special_tokens = False
        alone = [self.in_parts and _has_clear_edges(text) for text in instructions]
        texts = [
            text if by_itself else render_prompt(self._prompt_format, text)
            for text, by_itself in zip(instructions, alone, strict=True)
        ]
        encoded = self._backend.encode_batch_fast(texts)
        return [
            [*self._head, *prompt.ids, *self._tail] if by_itself else prompt.ids
            for prompt, by_itself in zip(encoded, alone, strict=True)
        ]


def _ends_in_one_newline(head: str) -> bool:
    return head == head.rstrip() + "\n"


def _has_clear_edges(text: str) -> bool:
    """Whether a text is not empty and has no leading or trailing white space."""
    return text != "" and text == text.strip()


def _cuts_at_newlines(backend: Tokenizer) -> bool:
    """Whether a tokenizer has GPT-2's pre-tokenizer, and no other part that spans white space."""
    rule = backend.pre_tokenizer
    return (
        isinstance(rule, ByteLevel)
        and rule.use_regex
        and not rule.add_prefix_space
        and backend.normalizer is None
        and not backend.encode("").ids
        and not any(map(_takes_white_space, backend.get_added_tokens_decoder().values()))
    )


def _takes_white_space(token: AddedToken) -> bool:
    return (
        token.lstrip
        or token.rstrip
        or token.single_word
        or token.content.split() != [token.content]
    )
