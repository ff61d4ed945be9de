"""The paper's symbols of its sets of texts, such as D\u0302_P3 and X_SI: letter, hat and index.

Figures, LaTeX and the report's pages show the hat as mathematics and the index as a subscript. A
user-defined source may have any other name, which is shown as it is.
"""

import re

PATTERN = r"\b([A-Z])(\N{COMBINING CIRCUMFLEX ACCENT}?)_((?:t,)?[A-Z]\w*)"
"""Regular expression with the groups letter, hat and index."""
_SYMBOL = re.compile(PATTERN)


def symbol_parts(symbol: str) -> tuple[str, str, str] | None:
    """Letter, hat (or "") and index, if the whole text is a symbol."""
    match = _SYMBOL.fullmatch(symbol)
    return (match[1], match[2], match[3]) if match else None


def pieces(text: str) -> list[tuple[str, str]]:
    """Pieces of a text, each with its subscript or "": of "X_SI sets", X with SI, and " sets"."""
    parts, end = [], 0
    for match in _SYMBOL.finditer(text):
        parts.append((text[end : match.start()] + match[1] + match[2], match[3]))
        end = match.end()
    return [*parts, (text[end:], "")] if text[end:] or not parts else parts
