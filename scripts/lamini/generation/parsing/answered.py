"""Detector of a response inside a generated instruction ("Name a tree. Answer: an oak").

"Output: a JSON array of strings" describes the response, and "Answer: yes. Is the answer right?"
asks about it: these are instructions. So is an "Answer:" at the end, as in many prompts of P3 and
FLAN.
"""

import re
from collections.abc import Sequence

_RESPONSE = re.compile(
    r"(?:^|(?<=[.?!:\"')\]]\s)|\n)[ \t*]*(?:expected |sample )?"
    r"(?P<name>response|answer|output|solution)\s*\**:\**[ \t]*",
    re.IGNORECASE,
)
_SHORT_QUESTION = re.compile(r"^[ \t]*Q:", re.MULTILINE)
_SHORT_RESPONSE = re.compile(r"^[ \t]*(?P<name>A):", re.MULTILINE)
_WORD = re.compile(r"[^\W_]")
_KIND = (
    r"(?:json|xml|csv|yaml|html|markdown|latex|python|lists?|arrays?|strings?|tables?|integers?|numbers?"
    r"|booleans?|dictionar(?:y|ies)|objects?|sentences?|paragraphs?|words?|lines?|code|functions?"
    r"|bullet points?|letters?|percentages?|floats?|tuples?)"
)
_RULE = re.compile(
    r"[\"'(\[]*(?:must|should|shall|has to|have to|needs? to)\b"
    r"|(?:yes|true|positive)(?:/| or )(?:no|false|negative)\b",
    re.IGNORECASE,
)
_FORMAT = re.compile(
    rf"(?:only |exactly |in |as )?(?:an? |the |one |two |three |\d+ )?(?:[\w-]+ )?{_KIND}"
    rf"(?: {_KIND})?(?=\s*(?:[.,;:(\n]|$)| (?:of|with|containing|that|where|which|format|only|per"
    r"|in|for|representing|sorted|between)\b)",
    re.IGNORECASE,
)
_FIELD_FOLLOWS = re.compile(
    r"[.\n]\s*(?:input|list|text|data|question|context|passage|sentence|code|table|numbers?|words?"
    r"|article|paragraph)\s*\d*\s*:\s*\S",
    re.IGNORECASE,
)
_REQUEST_FOLLOWS = re.compile(
    r"(?:[.!]\**\s+|\n+\s*)(?:(?:now|then|please) )?(?:explain|check|grade|evaluate|verify|rate"
    r"|judge|correct|rewrite|improve|decide|justify|fix|critique|assess|translate|summari[sz]e|classify"
    r"|is|does|was|did|say) (?:the|this|that|his|her|their|why|how|whether|if)\b",
    re.IGNORECASE,
)
_QUESTION_FOLLOWS = re.compile(r"[.!\n]\**\s*[^.!?\n]+\?[\"'”’)]*\s*$")


def is_answered(text: str, shown: Sequence[str]) -> bool:
    """Whether a text contains a response, and no shown example does."""
    return _has_response(text) and not any(_has_response(example) for example in shown)


def _has_response(text: str) -> bool:
    labels = list(_RESPONSE.finditer(text))
    if _SHORT_QUESTION.search(text):  # without "Q:", "A:" is the first of several options
        labels = [*labels, *_SHORT_RESPONSE.finditer(text)]
    labels = [label for label in labels if label.start() > 0]
    if not labels:
        return False
    last = max(labels, key=re.Match.end)
    response = text[last.end() :]
    return bool(_WORD.search(response)) and not _is_request(last["name"].lower(), response)


def _is_request(name: str, response: str) -> bool:
    """Whether the text after a label describes the response, or goes on with a request."""
    if _RULE.match(response) or (name in ("output", "solution") and _FORMAT.match(response)):
        return True
    return any(
        pattern.search(response)
        for pattern in (_FIELD_FOLLOWS, _REQUEST_FOLLOWS, _QUESTION_FOLLOWS)
    )
