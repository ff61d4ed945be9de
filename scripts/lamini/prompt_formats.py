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
