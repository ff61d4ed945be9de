"""The chat template that a student is published with: its ids are those of the training's prompts.

`apply_chat_template` tokenises the text that a template renders without adding anything to it, so
the template itself writes what the tokenizer adds in training: a begin token, T5's end token. Some
tokenizers see a word after such a token as if no space were before it, and the first word of a text
as if there were one; for them the template writes that space. What it gives is compared with the
training's own prompts before it is used.
"""

import logging
from typing import TYPE_CHECKING, Any

from lamini.prompt_formats import prompt_parts
from lamini.students.prompt_tokens import PromptTokenizer

if TYPE_CHECKING:
    from transformers import TokenizersBackend

logger = logging.getLogger("lamini")
_TRIED = (
    "Name a sea.", " a space before", "a space after ", "two  spaces", "\n\nlines\n", "1 + 1 = 2",
    "été 海 🦙", "it's {{ a }} \\ \"quote\"", "\ttab", "",
)  # fmt: skip


def chat_template(tokenizer: "TokenizersBackend", prompt_format: str) -> str | None:
    """A Jinja chat template for a tokenizer and the format that its students are trained in.

    It puts the last message, which must be a user's, into the format; earlier messages and system
    messages were in no training prompt, and are left out. A `delimiter` that is given to it, as
    lm-eval does by `chat_template_args`, ends the prompt.

    Args:
        tokenizer: of the student.
        prompt_format: `bare` or `alpaca` (`lamini.prompt_formats`).

    Returns:
        The template; none, with a warning, where no template gives the training's ids.
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
    """What a tokenizer adds before and after a text, as text."""
    encoded = tokenizer.backend_tokenizer.encode("a")
    own = [place for place, added in enumerate(encoded.special_tokens_mask) if not added]
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
    """A Jinja string: the template's own rules for white space do not reach into it."""
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
