"""Thoughts of a reasoning model: separated from its answer, or written before it.

Servers with a reasoning parser return thoughts in a field of their own (`reasoning_content`).
Others leave them in the text, before the answer. Forms, from the models' chat templates: tags
such as `<think>` (DeepSeek R1, Qwen3), whose opening tag may be part of the prompt and so be
missing; `[THINK]` (Mistral); and the channels of gpt-oss.
"""

import re

TAGS = ("<think>", "</think>")
"""Tags around the thoughts that a student is trained on."""
_NAMES = r"(think|thinking|thoughts?|reasoning|seed:think)"
_OPENING = re.compile(rf"\s*[<\[]{_NAMES}[>\]]", re.IGNORECASE)
_CLOSING = re.compile(rf"[<\[]/{_NAMES}[>\]]", re.IGNORECASE)
_FINAL = re.compile(r"<\|channel\|>final\b.*?<\|message\|>|\Aanalysis.*?assistantfinal", re.DOTALL)
_TAG = re.compile(rf"[<\[]/?{_NAMES}[>\]]", re.IGNORECASE)
_CHANNEL = re.compile(r"<\|(?:start|channel)\|>[^<\n]*|<\|(?:end|return|message)\|>")
_CHANNEL_MARKER = re.compile(r"<\|(?:end|return|start|channel|message)\|>")


def split_thoughts(text: str) -> tuple[str, str]:
    """Return a text's answer and its thoughts; the thoughts are empty for most texts.

    A thought that was cut off has no answer. Tags after the beginning of an answer belong to it.
    """
    if "<|channel|>" in text or text.startswith("analysis"):
        return _final_channel(text)
    if "<" not in text and "[" not in text:
        return text, ""
    answer = text
    while opening := _OPENING.match(answer):
        closing = _CLOSING.search(answer, opening.end())
        if closing is None:
            return "", text
        answer = answer[closing.end() :]
    unopened = _CLOSING.search(answer)
    if unopened and not _OPENING.search(answer, 0, unopened.start()):
        answer = answer[unopened.end() :]
    if answer is text:
        return text, ""
    return answer.lstrip(), text[: len(text) - len(answer)]


def _final_channel(text: str) -> tuple[str, str]:
    finals = list(_FINAL.finditer(text))
    if not finals:
        return ("", text) if "<|channel|>" in text else (text, "")
    start = finals[-1].end()
    end = _CHANNEL_MARKER.search(text, start)
    return text[start : end.start() if end else len(text)].strip(), text[: finals[-1].start()]


def with_thoughts(thoughts: str, answer: str) -> str:
    """An answer with thoughts before it, in one form: `<think>`, the thoughts, `</think>`, the
    answer, as Qwen3's template writes them.

    Args:
        thoughts: with or without tags; tags inside are removed. Without text: the answer alone.
        answer: text without thoughts.
    """
    bare = _CHANNEL.sub("", _TAG.sub("", thoughts)).strip()
    opening, closing = TAGS
    return f"{opening}\n{bare}\n{closing}\n\n{answer}" if bare else answer
