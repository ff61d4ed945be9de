"""Chat template of a published student, which gives the token ids of the training prompts.

`apply_chat_template` tokenizes the rendered text without adding special tokens. The template
therefore writes the special tokens that the tokenizer adds in training: a begin token, T5's end
token. Some tokenizers insert a space before the first word of a text, but not before a word that
follows a special token; for them the template writes this space. The template is used only if its
ids equal those of training prompts.
"""

import logging
from typing import TYPE_CHECKING, Any

from lamini.prompt_formats import prompt_parts
from lamini.students.prompt_tokens import PromptTokenizer

if TYPE_CHECKING:
    from transformers import TokenizersBackend

logger = logging.getLogger("lamini")
_TRIED = (
    "Name a sea.",
    " a space before",
    "a space after ",
    "two  spaces",
    "\n\nlines\n",
    "1 + 1 = 2",
    "été 海 🦙",
    'it\'s {{ a }} \\ "quote"',
    "\ttab",
    "",
)


def chat_template(tokenizer: "TokenizersBackend", prompt_format: str) -> str | None:
    """Jinja chat template for a tokenizer and the prompt format of the training.

    The template formats the last message, which must be a user message. It ignores earlier messages
    and system messages, because training prompts have none. An optional `delimiter`, which lm-eval
    passes by `chat_template_args`, is appended to the prompt.

    Args:
        tokenizer: tokenizer of the student.
        prompt_format: `bare` or `alpaca` (`lamini.prompt_formats`).

    Returns:
        The template; None, with a warning, if no template gives the ids of training prompts.
    """
    expected = PromptTokenizer(tokenizer, prompt_format).tokenize(_TRIED)
    before, after = _added_tokens(tokenizer)
    for space in (False, True):
        template = _template(prompt_format, before, after, space)
        if [_ids(tokenizer, template, text) for text in _TRIED] == expected:
            return template
    logger.warning(
        "the tokenizer gets no chat template: none gives the prompts of the training, token for"
        " token; tokenise a prompt as a text instead"
    )
    return None


def _added_tokens(tokenizer: "TokenizersBackend") -> tuple[str, str]:
    """Special tokens that a tokenizer adds before and after a text, as text."""
    encoded = tokenizer.backend_tokenizer.encode("a")
    own = [index for index, added in enumerate(encoded.special_tokens_mask) if not added]
    before, after = encoded.tokens[: own[0]], encoded.tokens[own[-1] + 1 :]
    return "".join(before), "".join(after)


def _template(prompt_format: str, before: str, after: str, space: bool) -> str:
    opening, closing = map(_literal, prompt_parts(prompt_format))
    parts = [_literal(before)] if before else []
    if space:
        parts.append("('' if prompt[:1] in ' ▁' else ' ')")
    parts += ["prompt", *([_literal(after)] if after else []), "(delimiter or '')"]
    return (
        "{%- if messages[-1]['role'] != 'user' -%}"
        "{{- raise_exception('the last message must be of the user: it is the instruction') -}}"
        "{%- endif -%}"
        f"{{%- set prompt = {opening} + messages[-1]['content'] + {closing} -%}}"
        f"{{{{- {' + '.join(parts)} -}}}}"
    )


def _literal(text: str) -> str:
    """A Jinja string literal, inside which Jinja does not strip white space."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _ids(tokenizer: Any, template: str, instruction: str) -> list[int]:
    ids: list[int] = tokenizer.apply_chat_template(
        [{"role": "user", "content": instruction}],
        chat_template=template,
        add_generation_prompt=True,
        return_dict=False,
    )
    return ids
