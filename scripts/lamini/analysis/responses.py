"""Responses that are no answers, and responses that end in the middle, by their text alone."""

import re

_READ = 400  # characters of a response that are read
_THING = (
    r"(?:context|information|input|output|text|passage|article|sentences?|question|document"
    r"|paragraph|data|details|image|picture|list|answer|response|attachment|file|code|phrase"
    r"|statement|prompt|items|numbers|words|story|instructions?)"
)
_MORE = r"(?:(?:any|more|further|additional|enough|sufficient|specific|the|an?|your|some) ){0,2}"
_GIVEN = r"(?:given|provided|available|specified|included|supplied|attached|asked|mentioned)"
_END = r"(?:\W*$|[.;,:!] )"
_OPENING = re.compile(
    r"(?:(?:sure|certainly|of course|sorry|i'm sorry|i am sorry|i apologi[sz]e|apologies"
    r"|unfortunately|hello|hi)\b[,.!]? ?(?:but )?|(?:answer|output|response): ?)+"
)
_PLACEHOLDER = re.compile(
    r"[<\[(]?(?:no ?(?:out|in)put(?: (?:needed|required|available|possible))?"
    r"|no (?:answer|response)|blank|empty|none given|n/a|not applicable|unknown|unanswerable|tbd"
    r"|to be determined|(?:insert |put |write )?(?:your )?answer(?: goes)? here"
    r"|your (?:answer|response)|missing (?:input|context|information)"
    r"|(?:input|context|information) missing|(?:information|data) (?:not available|unavailable)"
    r"|answers? (?:will|may) vary|responses? (?:will|may) vary|i (?:don't|do not) know)[>\])]?\W*"
)
_NON_ANSWERS = (
    r"[<\[(]no ?output[>\])]",
    r"no output because\b",
    rf"(?:there (?:is|was|are|were) )?no (?:further |additional |more )?{_THING}"
    rf" (?:is |was |were |are |has been )?{_GIVEN}\b",
    rf"there (?:is|was) no {_THING} (?:to (?!me\b)\w+\b|here\b)",
    rf"(?:the )?{_THING} (?:is|was|are|were) (?:missing|empty|incomplete){_END}",
    rf"(?:the |this )?{_THING} (?:is|was|are) (?:not {_GIVEN}|unanswerable)\b",
    rf"(?:the|this|your)(?: given)? (?:message|{_THING}) (?:does not|doesn't)"
    rf" (?:provide|contain|give|include) (?:this |enough )?{_MORE}{_THING}\b",
    rf"(?:there is |there's )?(?:not enough|insufficient) (?:context|information|details|data)"
    rf"(?: (?:is |was )?{_GIVEN})?(?: to (?:answer|determine|give|say|tell|know|conclude|complete"
    r"|respond|identify|summari[sz]e)\b|\W*$)",
    r"(?:(?:this|it|the question|this question|the task) )?(?:cannot|can't) be (?:answered"
    r"|determined|completed|summari[sz]ed)(?: without| from)\b",
    r"(?:cannot|can't|unable to|impossible to) (?:answer|respond|say|tell|determine)\b[^.]{0,20}"
    r"\bwithout\b",
    rf"without {_MORE}{_THING}, (?:it is (?:im|not )possible|no \w+ can|i (?:cannot|can't)"
    r"|it (?:cannot|can't))",
    r"(?:please|(?:could|can|would) you(?: please)?),? (?:provide|share|give|send|paste|specify"
    rf"|clarify|supply|enter|attach|upload)(?: me)?(?: with)? (?:{_MORE}{_THING}\b|what you\b"
    rf"|which {_THING}\b)",
    rf"(?:what is the|which) {_THING}\b[^.?]* (?:you(?:'d| would)? (?:want|like) me|would you like"
    r" me|should i)\b",
    r"i (?:do not|don't) have enough (?:context|information|details)\b",
    r"i (?:would )?need (?:more|additional|further) (?:context|information|details)\b",
    rf"i would need (?:to (?:see|know|read) )?the {_THING}\b",
    rf"i (?:see no|(?:don't|do not|can't|cannot) see (?:an?|any)) {_THING}\b",
    r"you (?:forgot to|(?:did not|didn't|have not|haven't) (?:provided?|given?|included?"
    r"|specif\w+|attach\w*))\b",
    rf"it (?:seems|looks|appears)(?: like| that)? (?:you forgot|no {_THING}|the {_THING}"
    r" (?:is|was) (?:missing|not))\b",
    r"it is (?:unclear|not clear) (?:what (?:you|the question)|from the given)\b",
    r"i(?:'m| am) not sure what you\b",
    rf"i (?:do not|don't) understand the {_THING}\b",
    r"lorem ipsum dolor",
)
_NON_ANSWER = re.compile("|".join(f"(?:{pattern})" for pattern in _NON_ANSWERS))
_LETTER = re.compile(r"\b(?:dear|regards|sincerely|yours)\b")


def is_non_answer(response: str) -> bool:
    """Whether a response is a placeholder, or says which input is missing.

    Refusals of a request are not meant (`lamini.generation.refusals`). Only the start is read.
    """
    text = " ".join(response[:_READ].replace("’", "'").lower().split())
    text = _OPENING.sub("", text, count=1) if _OPENING.match(text) else text
    if _PLACEHOLDER.fullmatch(text):
        return True
    return _NON_ANSWER.match(text) is not None and not _LETTER.search(text)


_ENDS = re.compile(r"(?:[.!?…。！？][\"'”’»)\]*`_}]*|[:;]-?[)D])$")
_MARKER = re.compile(r"(?:\d+[.)]|[-*•])$")
_CONNECTS = re.compile(
    r"(?:[,(\[{=+/–—-]|\b(?:a|an|the|and|or|but|of|to|in|on|at|by|for|with|from|as|that|which|who"
    r"|is|are|was|were|be|been|has|have|had|will|would|can|could|should|may|might|their|its|his"
    r"|her|your|our|my|this|these|than|because|if|when|while|into|about|between|such|not|very))$",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"^\s*(?:def |class |import |from \w+ import|#include|for .*:$|if .*:$|return\b|SELECT\b"
    r"|int |<\w+|curl |\$ |[{}])|[;{}]\s*$",
    re.MULTILINE,
)
_CODE_GOES_ON = re.compile(r"[(\[{,=+:.\\-]$|\b(?:in|and|or|not|def|return|print|FROM)$")
_TAIL = re.compile(r"(?:#\w+|https?://\S+|[^\w\s.,;:(\[{-])$")  # no sentence
_SMALL_WORDS = (
    "a an the and of to in is are was were that it for with as on by from its their which"
)
_FUNCTION_WORDS = frozenset(f"{_SMALL_WORDS} has have".split())
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"), ("“", "”"))


def is_unfinished(response: str) -> bool:
    """Whether a response ends in the middle of a sentence, list, table or program.

    An estimate for data without finish reasons: what is cut after a sentence or in a list without
    punctuation is not noticed.
    """
    text = response.rstrip()
    if not text or _is_open(text):
        return bool(text)
    lines = [line for line in text.split("\n") if line.strip()]
    last = lines[-1].strip()
    if _CODE.search(text):
        return bool(_CODE_GOES_ON.search(last)) or (
            "</" in text and last.count("<") > last.count(">")
        )
    if last.startswith("|"):
        return not last.endswith("|") or last.count("|") < lines[0].count("|")
    if _MARKER.fullmatch(last) or _ENDS.search(last):
        return _MARKER.fullmatch(last) is not None
    connects = _CONNECTS.search(last) is not None and " " in text
    return connects or (not _TAIL.search(last) and _breaks_off(lines, last))


def _is_open(text: str) -> bool:
    """Whether a bracket, a quotation or a code block is not closed."""
    plain = re.sub(r"^\s*\w+\)", "", text, flags=re.MULTILINE)  # "1) ..." closes no bracket
    if any(plain.count(first) > plain.count(last) for first, last in _PAIRS):
        return True
    inches = re.search(r"\d\"", text)
    return text.count("```") % 2 == 1 or (text.count('"') % 2 == 1 and not inches)


def _breaks_off(lines: list[str], last: str) -> bool:
    """Whether the last line, which has no mark at its end, is the start of a sentence."""
    words = last.split()
    small = sum(word in _FUNCTION_WORDS for word in words)
    if re.search(r"[^\W\d]{2}[.!?][\"”)]* [A-Z\"“(]", last):
        return len(words) > 3
    if len(lines) > 1:
        # Lists, poems and menus have no marks at the ends of their lines.
        ended = sum(bool(_ENDS.search(line)) for line in lines[:-1])
        return 2 * ended > len(lines) - 1 and small >= 1 and len(words) >= 3
    capitals = sum(word[0].isupper() for word in words)
    return len(words) >= 6 and 2 * capitals < len(words) and small >= 2
