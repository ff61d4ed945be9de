"""Headings of tables that show an analysis CSV, from the names of its columns."""

import re

_WRITTEN = {
    "card": "card number",
    "email": "e-mail",
    "english": "English",
    "iban": "IBAN",
    "ip": "IP address",
    "ssn": "US social security number",
    "url": "web address",
}
_JOINED = re.compile(r"\b(non|near) ")
_ENDS = {"low": "from", "high": "to"}


def csv_heading(column: str) -> str:
    """Heading of a column: `Non-English, %` of `non_english_percent`, `from` of `mean_low`."""
    *words, last = column.split("_")
    if words and last in _ENDS:
        return _ENDS[last]
    unit = ", %" if last == "percent" else ""
    words = words if unit else [*words, last]
    text = _JOINED.sub(r"\1-", " ".join(_WRITTEN.get(word, word) for word in words))
    return f"{text[0].upper()}{text[1:]}{unit}"
