"""Prompt formats: the wrapper text around an instruction.

Training, evaluation and free-text answers render their prompts with this module, so that a model
sees exactly the prompt format that it was trained on.
"""

from dataclasses import dataclass

from lamini.errors import SettingsError

# Alpaca's wrapper for instructions without input, as used by LaMini-LM's decoder-only models. It
# ends with the colon: no newline or space follows.
_ALPACA_BEFORE = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n### Instruction:\n"
)
_ALPACA_AFTER = "\n\n### Response:"
_WRAPPERS = {"bare": ("", ""), "alpaca": (_ALPACA_BEFORE, _ALPACA_AFTER)}


@dataclass(frozen=True)
class PromptFormat:
    """Text around an instruction. A chat template is one too (`lamini.students.chat`)."""

    before: str
    after: str

    @property
    def has_special_tokens(self) -> bool:
        """Whether the text has its special tokens, so that the tokenizer must add none."""
        return False

    def render(self, instruction: str) -> str:
        """Text of the whole prompt."""
        return f"{self.before}{instruction}{self.after}"


def text_format(prompt_format: str) -> PromptFormat:
    """The prompt format `bare` or `alpaca`.

    Raises:
        SettingsError: on an unknown format.
    """
    return PromptFormat(*prompt_parts(prompt_format))


def render_prompt(prompt_format: str, instruction: str) -> str:
    """Render the prompt of an instruction.

    Args:
        prompt_format: `bare` (the instruction alone) or `alpaca` (with Alpaca's wrapper).
        instruction: the instruction, including its input if it has one.

    Raises:
        SettingsError: on an unknown format.
    """
    before, after = prompt_parts(prompt_format)
    return f"{before}{instruction}{after}"


def prompt_parts(prompt_format: str) -> tuple[str, str]:
    """Text of a prompt format before and after the instruction.

    Raises:
        SettingsError: on an unknown format.
    """
    try:
        return _WRAPPERS[prompt_format]
    except KeyError:
        known = ", ".join(_WRAPPERS)
        raise SettingsError(f"prompt_format: {prompt_format!r} is unknown; use {known}") from None
