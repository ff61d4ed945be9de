"""How an instruction is put before a model: the one place where the wrappers are written.

Training, evaluation and free-text answers all render their prompts here, so that a model is asked
in exactly the text that it was trained on.
"""

from lamini.errors import SettingsError

# Alpaca's wrapper for instructions without input, as LaMini-LM's decoder-only models use it. The
# last colon ends it: no newline and no space follows.
_ALPACA_BEFORE = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n### Instruction:\n"
)
_ALPACA_AFTER = "\n\n### Response:"
_WRAPPERS = {"bare": ("", ""), "alpaca": (_ALPACA_BEFORE, _ALPACA_AFTER)}


def render_prompt(prompt_format: str, instruction: str) -> str:
    """The text that a model is given for an instruction.

    Args:
        prompt_format: `bare` (the instruction alone) or `alpaca` (its wrapper).
        instruction: the instruction, input included if it has one.

    Raises:
        SettingsError: on an unknown format.
    """
    before, after = prompt_parts(prompt_format)
    return f"{before}{instruction}{after}"


def prompt_parts(prompt_format: str) -> tuple[str, str]:
    """What a format puts before the instruction, and what after it.

    Raises:
        SettingsError: on an unknown format.
    """
    try:
        return _WRAPPERS[prompt_format]
    except KeyError:
        known = ", ".join(_WRAPPERS)
        raise SettingsError(f"prompt_format: {prompt_format!r} is unknown; use {known}") from None


def chat_template(prompt_format: str) -> str:
    """A Jinja chat template that renders the last message's text in the format.

    A wrapped prompt ends in one space here, and only here: lm-eval's chat mode drops the space
    between prompt and continuation, and moves trailing spaces of the prompt to the continuation,
    so that the requests become those of `render_prompt`, token for token.
    """
    before, after = prompt_parts(prompt_format)
    # A Jinja string literal: the template's own whitespace rules would eat newlines next to tags.
    opening, closing = (_jinja_literal(text) for text in (before, f"{after} " if after else after))
    return f"{{{{ {opening} + messages[-1]['content'] + {closing} }}}}"


def _jinja_literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
